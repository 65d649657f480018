"""Each Collector's file with the real program: what it masks, whom it lets in, what it refuses."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from programs import COLLECTOR

from e2e.backends import eventually
from otel_genai import semconv
from single import PATHS, Collector, Jaeger, all_of, attributes, ids, span, switched_on, traces, value

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

MASKING = ("transform/lend", "redaction", "transform/take_back")
SECRETS = (
    "sk-proj-abcdefghijklmnop1234",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl",
    "Bearer abcdef0123456789abcdef",
    "https://user:pa55word@db.example",
    "https://api.example/v1?key=abc123def",
    "jane.doe@example.com",
    "4111 1111 1111 1111",
    "4111111111111111",
    "DE89 3704 0044 0532 0130 00",
    "+49 170 1234567",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----",
)
GONE = (
    "sk-proj-abc",
    "ghp_abc",
    "AKIAIOS",
    "eyJhbGci",
    "abcdef0123456789abcdef",
    "pa55word",
    "abc123def",
    "jane.doe",
    "4111",
    "0532 0130",
    "1234567",
    "MIIEvQ",
    "hunter2",
)
SAID = f"kept before {' and '.join(SECRETS)} kept after"
HARMLESS = {
    "gen_ai.usage.input_tokens": 4242,
    "gen_ai.response.time_to_first_chunk": 0.4242424242424242,
    "gen_ai.usage.cost.amount": 0.0051818181818181817,
    "gen_ai.response.finish_reasons": ["stop", "length"],
    "time": 1763735000000000000,
    "server.address": "10.0.0.1",
    "gen_ai.response.id": "chatcmpl-CdEfGh0987654321abcdefghijklm",
}


def everywhere() -> dict[str, Any]:
    """Give attributes with secrets in every kind of value."""
    return {
        "text": SAID,
        "json": json.dumps({"content": SAID, "score": 0.5}),
        "list": ["kept", SAID, *SECRETS],
        "map": {"inner": {"deep": [SAID]}},
        "card": 4111111111111111,
        "db.password": "hunter2",
    }


def spans_with_secrets() -> Any:
    """Put secrets wherever a string can stand in an export of spans."""
    one = span(
        1,
        name=SAID,
        trace_state=f"vendor={SAID}",
        attributes=attributes({**everywhere(), **HARMLESS}),
        events=[Span.Event(name=SAID, attributes=attributes(everywhere()))],
        status=Status(code=Status.STATUS_CODE_ERROR, message=SAID),
    )
    request = traces("masked", [one])
    request.resource_spans[0].resource.attributes.extend(attributes(everywhere()))
    scope = request.resource_spans[0].scope_spans[0].scope
    scope.name, scope.version = SAID, SAID
    scope.attributes.extend(attributes(everywhere()))
    return request


def logs_with_secrets() -> Any:
    """Put secrets wherever a string can stand in an export of logs: once in a text, once in a map."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.extend(attributes(everywhere()))
    scoped = group.scope_logs.add()
    scoped.scope.name, scoped.scope.version = SAID, SAID
    scoped.scope.attributes.extend(attributes(everywhere()))
    for body in (SAID, everywhere(), [SAID, *SECRETS]):
        scoped.log_records.add(
            body=value(body),
            event_name=SAID,
            severity_text=SAID,
            attributes=attributes({**everywhere(), **HARMLESS}),
        )
    return request


def metrics_with_secrets() -> Any:
    """Put secrets wherever a program's data can stand in an export of metrics."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(attributes(everywhere()))
    scoped = group.scope_metrics.add()
    scoped.scope.attributes.extend(attributes(everywhere()))
    metric = scoped.metrics.add(name="kept")
    metric.histogram.aggregation_temporality = 2
    point = metric.histogram.data_points.add(
        attributes=attributes(everywhere()), count=1, sum=1.0, time_unix_nano=1, bucket_counts=[1]
    )
    point.exemplars.add(filtered_attributes=attributes(everywhere()), as_double=1.0, time_unix_nano=1)
    counter = scoped.metrics.add(name="kept too")
    counter.sum.aggregation_temporality = 2
    counter.sum.data_points.add(attributes=attributes(everywhere()), as_int=1, time_unix_nano=1)
    return request


def written(place: Path) -> bytes:
    """Give all that is on the disk below a directory, but for what the program printed."""
    files = [one for one in place.rglob("*") if one.is_file() and one.suffix not in {".log", ".pid"}]
    return b"\n".join(one.read_bytes() for one in files)


@pytest.mark.parametrize("file", ["config.yaml", "agent.yaml"])
@pytest.mark.parametrize("make", [spans_with_secrets, logs_with_secrets, metrics_with_secrets])
def test_masked_is_masked_before_any_disk(root: Path, keys: dict[str, str], file: str, make: Any) -> None:
    """With every back end away, what waits on the disk has no secret in any place a string can stand."""
    with Collector(root, file, COLLECTOR_SPAN_METRICS_EVERY="200ms", **keys) as collector:
        assert collector.send(make()) == 200
        eventually(lambda: _holds(root / file.removesuffix(".yaml")))
        disk = written(collector.home)
    assert [secret for secret in GONE if secret.encode() in disk] == []
    assert b"masked." not in disk.replace(b"redaction.masked.count", b"").replace(b"masked.count", b"")
    assert disk.count(b"kept before") == disk.count(b"kept after")


def _holds(place: Path) -> None:
    assert b"kept after" in written(place)


def test_what_is_no_secret_stays_what_it_was(root: Path) -> None:
    """Numbers, lists and ids beside the secrets arrive as they were sent."""
    with Collector(root, "config.yaml") as collector:
        assert collector.send(logs_with_secrets()) == 200
        exported = json.loads((collector.home / "events.jsonl").read_text())
    records = exported["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    sent = logs_with_secrets().resource_logs[0].scope_logs[0].log_records
    assert len(records) == len(sent) == 3
    for record in records:
        found = {one["key"]: one["value"] for one in record["attributes"]}
        assert {key: _plain(found[key]) for key in HARMLESS} == HARMLESS
        assert found["redaction.masked.count"]["intValue"]
        assert found["text"]["stringValue"].startswith("kept before **** and ****")
        assert json.loads(found["json"]["stringValue"])["score"] == 0.5


def _plain(found: dict[str, Any]) -> Any:
    if "arrayValue" in found:
        return [_plain(one) for one in found["arrayValue"]["values"]]
    return int(found["intValue"]) if "intValue" in found else next(iter(found.values()))


def test_masking_is_the_same_everywhere() -> None:
    """One machine and agent mask alike, first of all, and every pipeline that takes data in does."""
    one, agent = (yaml.safe_load((COLLECTOR / file).read_text()) for file in ("config.yaml", "agent.yaml"))
    for config in (one, agent):
        assert {name: config["processors"][name] for name in MASKING} == {
            name: one["processors"][name] for name in MASKING
        }
        for pipeline in config["service"]["pipelines"].values():
            if "otlp" in pipeline["receivers"]:
                assert tuple(pipeline["processors"][1:4]) == MASKING


# --- Whom it lets in -------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["config.yaml", "agent.yaml", "gateway.yaml"])
def test_tls_and_token(root: Path, keys: dict[str, str], file: str) -> None:
    """With TLS and a token: the right one is let in, a wrong one and none are not, nor is plain text."""
    chosen = file if file == "gateway.yaml" else switched_on(file, root)
    request = traces("let-in", [span(1)])
    with Collector(root, chosen, name="secure", **keys) as collector:
        authority = root / "cert.pem"
        answers = {
            token: (
                collector.send(request, authority=authority, token=token),
                collector.send_grpc(request, authority=authority, token=token),
            )
            for token in ("right-token", "wrong-token", "")
        }
        plain = collector.send(request, token="right-token")
        accepted = collector.counts()["receiver_accepted_spans"]
    assert answers == {
        "right-token": (200, "OK"),
        "wrong-token": (401, "UNAUTHENTICATED"),
        "": (401, "UNAUTHENTICATED"),
    }
    assert (plain, accepted) == (400, 2)


# --- What is too much, and what is nonsense --------------------------------------------------------------


def test_a_large_message(root: Path, tell: Callable[[str], None]) -> None:
    """12 MB arrive over either protocol, cut for Jaeger; 17 MB are refused for good."""
    large, larger = "x" * 12_000_000, "x" * 17_000_000
    sent = [span(number, attributes=attributes({"prompt": large})) for number in (1, 2)]
    jaeger = Jaeger(root)
    with all_of(jaeger, collector := Collector(root, "config.yaml", JAEGER_OTLP_ENDPOINT=jaeger.otlp)):
        assert collector.send(traces("large", sent[:1])) == 200
        assert collector.send_grpc(traces("large", sent[1:])) == "OK"
        too_large = traces("large", [span(3, attributes=attributes({"prompt": larger}))])
        assert collector.send(too_large) == 400
        assert collector.send_grpc(too_large) == "RESOURCE_EXHAUSTED"
        eventually(lambda: _stored(jaeger, "large", ids(sent)))
        texts = [
            one["value"]["stringValue"] for found in jaeger.spans("large") for one in found["attributes"]
        ]
        memory = collector.counts()["process_memory_rss"] / 2**20
    assert [(len(text), text[-5:]) for text in texts if text[0] == "x"] == [(60_000, "[cut]")] * 2
    tell(f"12 MB: 2 sent, 2 stored; 17 MB: 2 refused; {memory:.0f} MiB resident")


def _stored(jaeger: Jaeger, service: str, wanted: set[str]) -> None:
    missing = wanted - jaeger.ids(service)
    assert not missing, f"{len(missing)} of {len(wanted)} are missing"


def nonsense(number: int) -> tuple[str, bytes, str]:
    """Make a request that is broken in one of several ways."""
    chance = random.Random(number)
    whole = traces("good", [span(number + 1, attributes=attributes({"a": "b" * 100}))]).SerializeToString()
    path = chance.choice([*PATHS.values(), "/v1/nothing"])
    cut = chance.randrange(1, len(whole) - 1)
    return chance.choice([
        (path, chance.randbytes(chance.randrange(1, 5000)), "application/x-protobuf"),
        (path, b"\xff" + whole, "application/x-protobuf"),
        ("/v1/traces", whole[:cut] + b"\xff\xff\xff", "application/x-protobuf"),
        (path, b'{"resourceSpans": [{"scopeSpans": 7}], "resourceMetrics": 7, "resourceLogs": "x"}',
         "application/json"),
        (path, b'{"resourceSpans": [' * 500, "application/json"),
        (path, whole, "text/plain"),
    ])  # fmt: skip


def test_a_thousand_malformed_requests(root: Path, tell: Callable[[str], None]) -> None:
    """Nonsense is refused as the sender's fault, each time, and the next good request is taken."""
    with Collector(root, "config.yaml") as collector:
        answers = [collector.post(*nonsense(number)) for number in range(1000)]
        good = collector.send(traces("good", [span(1)]))
        counts = collector.counts()
    statuses = {status: answers.count(status) for status in sorted(set(answers))}
    tell(f"1000 malformed requests: {statuses}; the next good one: {good}")
    assert set(answers) <= {400, 404, 415}
    assert (good, counts["receiver_accepted_spans"]) == (200, 1)
    assert not [
        name for name, count in counts.items() if re.search("send_failed|enqueue_failed", name) and count
    ]


# --- What the gateway takes out --------------------------------------------------------------------------


def test_all_content_has_its_names() -> None:
    """Whatever the package records as content, the gateway takes out of what goes to Jaeger."""
    processors = yaml.safe_load((COLLECTOR / "gateway.yaml").read_text())["processors"]
    statements = [one["statements"][0] for one in processors["transform/without_content"]["trace_statements"]]
    (condition,) = processors["filter/with_content"]["traces"]["span"]
    content = (
        semconv.SYSTEM_INSTRUCTIONS,
        semconv.INPUT_MESSAGES,
        semconv.OUTPUT_MESSAGES,
        semconv.TOOL_DEFINITIONS,
        semconv.TOOL_CALL_ARGUMENTS,
        semconv.TOOL_CALL_RESULT,
        semconv.RETRIEVAL_QUERY_TEXT,
        semconv.RETRIEVAL_DOCUMENTS,
        f"{semconv.PROMPT_VARIABLE}.name",
    )
    rest = (semconv.REQUEST_MODEL, semconv.PROMPT_NAME, semconv.TOOL_NAME, semconv.USAGE_COST_AMOUNT)
    for text in (*statements, condition):
        pattern = (
            text.split('"', 1)[1]
            .rsplit('"', 1)[0]
            .replace("$$", "$")
            .replace('\\"', '"')
            .replace("\\\\", "\\")
        )
        names = [f'"{name}"' if text is condition else name for name in (*content, *rest)]
        found = [re.search(pattern, name) is not None for name in names]
        assert found == [True] * len(content) + [False] * len(rest)
