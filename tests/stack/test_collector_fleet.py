"""A fleet with the real programs: an agent, two gateways, Jaeger and Prometheus."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from e2e.backends import eventually
from otel_genai import semconv
from single import Collector, Jaeger, Prometheus, all_of, attributes, span, traces, value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SERVICE = "fleet"
PROMPT = "a prompt that nobody but the files of content may have"
CONTENT = {
    semconv.INPUT_MESSAGES: json.dumps([{"role": "user", "parts": [{"type": "text", "content": PROMPT}]}]),
    semconv.TOOL_CALL_ARGUMENTS: PROMPT,
    semconv.RETRIEVAL_DOCUMENTS: [PROMPT],
    f"{semconv.PROMPT_VARIABLE}.name": PROMPT,
}
KINDS: dict[str, dict[str, Any]] = {
    "error": {"status": Status(code=Status.STATUS_CODE_ERROR)},
    "failed": {semconv.OUTCOME: semconv.FAILED},
    "truncated": {semconv.OUTCOME: semconv.TRUNCATED},
    "slow": {"seconds": 11.0},
    "costly": {semconv.USAGE_COST_AMOUNT: 0.051},
}
"""What is always kept."""
CHEAP = {semconv.OUTCOME: semconv.CANCELLED, semconv.USAGE_COST_AMOUNT: 0.049}


@dataclass(frozen=True)
class Fleet:
    """The programs of a fleet."""

    agent: Collector
    gateways: tuple[Collector, Collector]
    jaeger: Jaeger
    prometheus: Prometheus


def fleet(root: Path, keys: dict[str, str], **more: str) -> Fleet:
    """Make a fleet whose gateways decide after seconds."""
    jaeger, prometheus = Jaeger(root), Prometheus(root)
    env = {
        **keys,
        "GATEWAY_DECISION_WAIT": "10s",
        "GATEWAY_ROOT_WAIT": "1s",
        "COLLECTOR_SPAN_METRICS_EVERY": "500ms",
        "JAEGER_OTLP_ENDPOINT": jaeger.otlp,
        "PROMETHEUS_OTLP_ENDPOINT": prometheus.otlp,
        **more,
    }
    first, second = (Collector(root, "gateway.yaml", name=name, **env) for name in ("first", "second"))
    env["GATEWAYS"] = json.dumps([first.grpc, second.grpc])
    return Fleet(Collector(root, "agent.yaml", **env), (first, second), jaeger, prometheus)


def trace(number: int, kind: str) -> tuple[Span, Span]:
    """Make a trace of two spans: a root, and a call below it that is of a kind."""
    told = dict(KINDS.get(kind, CHEAP))
    fields: dict[str, Any] = {key: told.pop(key) for key in ("status", "seconds") if key in told}
    chance = random.Random(number)
    identity = chance.getrandbits(128)
    root = span(2 * number, trace=identity, name="request")
    said = attributes({**told, **CONTENT, semconv.OPERATION_NAME: semconv.CHAT})
    return root, span(2 * number + 1, parent=2 * number, trace=identity, attributes=said, **fields)


def send_all(agent: Collector, kinds: dict[int, str]) -> None:
    """Send all calls first and all roots later, so that no export has a whole trace."""
    made = [trace(number, kind) for number, kind in kinds.items()]
    for place in (1, 0):
        for start in range(0, len(made), 500):
            spans = [one[place] for one in made[start : start + 500]]
            assert agent.send(traces(SERVICE, spans)) == 200


def kept(spans: Iterable[dict[str, Any]]) -> set[int]:
    """Give the numbers of the traces that are there with both spans."""
    numbers = Counter(int(one["spanId"], 16) // 2 for one in spans)
    assert set(numbers.values()) <= {2}, "a trace is not whole"
    return set(numbers)


def settled(fleet: Fleet, spans: int) -> None:
    """Assert that the gateways have decided on all of it and have nothing under way."""
    counts = [gateway.counts() for gateway in fleet.gateways]
    assert sum(one.get("receiver_accepted_spans", 0) for one in counts) == spans
    assert sum(one.get("processor_tail_sampling_sampling_traces_on_memory", 0) for one in counts) == 0
    sampled = sum(_sampled(one) for one in counts)
    assert sampled == spans // 2
    for one in counts:
        assert one.get("exporter_queue_size", 0) == 0


def _sampled(counts: dict[str, float]) -> float:
    return counts.get("processor_tail_sampling_global_count_traces_sampled", 0.0)


def test_ten_thousand_traces(root: Path, keys: dict[str, str], tell: Callable[[str], None]) -> None:
    """All errors, slow and expensive calls are kept and a tenth of the rest; content is not in Jaeger."""
    kinds = {number: [*KINDS, *["rest"] * 45][number % 50] for number in range(1, 10_001)}
    these = fleet(root, keys)
    with all_of(these.jaeger, these.prometheus, *these.gateways, these.agent):
        send_all(these.agent, kinds)
        eventually(lambda: settled(these, 20_000))
        shares = [gateway.counts()["receiver_accepted_spans"] for gateway in these.gateways]
        spans = these.jaeger.spans(SERVICE)
        eventually(lambda: counted(these.prometheus, 20_000))
    found = Counter(kinds[number] for number in kept(spans))
    tell(f"of 10,000 traces kept: {dict(found)}; spans by gateway: {shares}")
    assert {kind: found[kind] for kind in KINDS} == dict.fromkeys(KINDS, 200)
    assert abs(found["rest"] - 900) < 5 * (9000 * 0.1 * 0.9) ** 0.5
    assert min(shares) > 5000
    assert PROMPT not in json.dumps(spans)
    assert {"gen_ai.operation.name", "otel_genai.outcome"} <= {
        one["key"] for each in spans for one in each.get("attributes", ())
    }
    written = [line for gateway in these.gateways for line in _lines(gateway, "spans.jsonl")]
    with_content = [one for line in written for one in _spans(line)]
    assert {int(one["spanId"], 16) for one in with_content} == {2 * number + 1 for number in kept(spans)}
    assert all(json.dumps(one).count(PROMPT) == len(CONTENT) for one in with_content)


def counted(prometheus: Prometheus, wanted: int) -> None:
    """Assert that the metrics of spans have counted what was sent, not what was kept."""
    query = f'sum(last_over_time(traces_span_metrics_calls_total{{service_name="{SERVICE}"}}[10m]))'
    assert prometheus.value(query) == wanted


def _lines(gateway: Collector, name: str) -> list[dict[str, Any]]:
    file = gateway.home / "content" / name  # there once something is written
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _spans(line: dict[str, Any]) -> list[dict[str, Any]]:
    groups = line["resourceSpans"]
    return [one for group in groups for scoped in group["scopeSpans"] for one in scoped["spans"]]


def test_a_gateway_away_and_back(root: Path, keys: dict[str, str], tell: Callable[[str], None]) -> None:
    """What is meant for a gateway that is away waits with the agent, killed or not; events arrive, too."""
    these = fleet(root, keys)
    with all_of(these.jaeger, these.agent, these.gateways[0]):
        send_all(these.agent, dict.fromkeys(range(1, 201), "error"))
        event = ExportLogsServiceRequest()
        event.resource_logs.add().scope_logs.add().log_records.add(body=value(PROMPT), event_name="said")
        assert these.agent.send(event) == 200
        these.agent.kill()
        with these.gateways[1]:
            these.agent.__enter__()
            eventually(lambda: _all_there(these.jaeger, 200))
            eventually(lambda: _one_event(these))
            doubled = sum(one.counts()["receiver_accepted_spans"] for one in these.gateways) - 400
    tell(f"a gateway away, the agent killed: 400 spans accepted, 400 stored, {doubled:.0f} sent twice")


def _all_there(jaeger: Jaeger, wanted: int) -> None:
    assert len(kept(jaeger.spans(SERVICE))) == wanted


def _one_event(these: Fleet) -> None:
    found = [line for gateway in these.gateways for line in _lines(gateway, "events.jsonl")]
    assert json.dumps(found).count(PROMPT) == 1


def test_a_wrong_token_stops_an_agent(root: Path, keys: dict[str, str]) -> None:
    """A gateway takes nothing from an agent with a wrong token."""
    wrong = root / "wrong"
    wrong.write_text("wrong-token\n")
    these = fleet(root, keys, GATEWAY_TOKEN_FILE=str(wrong))
    with all_of(these.gateways[0], these.agent):
        assert these.agent.send(traces(SERVICE, [span(1)])) == 200
        eventually(lambda: _refused(these.agent))
        assert these.gateways[0].counts().get("receiver_accepted_spans", 0) == 0


def _refused(agent: Collector) -> None:
    assert "wrong" in agent.log.read_text() or "Unauthenticated" in agent.log.read_text()


@pytest.mark.soak
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_what_a_gateway_loses(
    root: Path, keys: dict[str, str], tell: Callable[[str], None], how: str
) -> None:
    """Killed with -9, a gateway loses what it had not decided on, and nothing else; stopped, nothing."""
    these = fleet(root, keys)
    gateway = these.gateways[0]
    these.agent.env["GATEWAYS"] = json.dumps([gateway.grpc])
    with all_of(these.jaeger, gateway, these.agent):
        send_all(these.agent, dict.fromkeys(range(1, 501), "error"))
        eventually(lambda: _all_there(these.jaeger, 500))
        send_all(these.agent, dict.fromkeys(range(501, 601), "error"))
        eventually(lambda: _took(gateway, 1200))
        (gateway.kill if how == "killed" else gateway.stop)()
        gateway.__enter__()
        send_all(these.agent, dict.fromkeys(range(601, 701), "error"))
        eventually(lambda: _has(these.jaeger, set(range(601, 701))))
        left = kept(these.jaeger.spans(SERVICE))
    lost = set(range(1, 701)) - left
    tell(f"gateway {how}: {len(left)} of 700 traces stored, {len(lost)} undecided ones lost")
    assert lost <= (set(range(501, 601)) if how == "killed" else set())


def _took(gateway: Collector, spans: int) -> None:
    assert gateway.counts()["receiver_accepted_spans"] == spans


def _has(jaeger: Jaeger, numbers: set[int]) -> None:
    assert numbers <= kept(jaeger.spans(SERVICE))
