"""An unchanged program's calls to OpenAI, read back from Jaeger, Prometheus and the file of events.

What is expected is computed here from the raw JSON of the recorded exchanges.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from e2e.backends import KINDS, Found, Labels, Stored, read, restart
from e2e.conftest import RUNS, Pipeline, Run
from e2e.replay import path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recordings import Exchange

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # Docker may have images to fetch

CLIENT = 3
OPERATIONS = {"/v1/chat/completions": "chat", "/v1/responses": "chat", "/v1/embeddings": "embeddings"}
ERRORS = {400: "BadRequestError", 404: "NotFoundError"}
USAGE = {
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "prompt_tokens_details.cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "prompt_tokens_details.audio_tokens": "gen_ai.usage.audio.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "completion_tokens_details.reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "completion_tokens_details.audio_tokens": "gen_ai.usage.audio.output_tokens",
    "input_tokens": "gen_ai.usage.input_tokens",
    "input_tokens_details.cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "input_tokens_details.cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "output_tokens_details.reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}
LABELS = (
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "server.address",
    "server.port",
)
COMPARED = {
    *LABELS,
    *USAGE.values(),
    "gen_ai.request.stream",
    "gen_ai.request.max_tokens",
    "gen_ai.request.choice.count",
    "gen_ai.response.id",
    "gen_ai.response.finish_reasons",
    "error.type",
    "http.response.status_code",
    "otel_genai.outcome",
}
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
TOKENS = "gen_ai_client_token_usage"
DURATION = "gen_ai_client_operation_duration_seconds"
TO_FIRST_CHUNK = "gen_ai_client_operation_time_to_first_chunk_seconds"
CALLS = "otel_genai_calls_total"


@pytest.fixture(params=RUNS, ids=lambda run: run.service)
def run(request: pytest.FixtureRequest) -> Run:
    """Give each run of the program in turn."""
    chosen: Run = request.param
    return chosen


@pytest.fixture
def seen(pipeline: Pipeline, run: Run) -> Stored:
    """Give what is stored of a run."""
    return pipeline.stored[run.service]


@pytest.fixture
def expected(pipeline: Pipeline, run: Run, exchanges: list[Exchange]) -> list[Found]:
    """Give the attributes that each exchange should have."""
    return [told_by(exchange, pipeline.ports[run.service]) for exchange in exchanges]


# --- What the recorded answers say -----------------------------------------------------------------------


def told_by(exchange: Exchange, port: int) -> Found:
    """Say in attributes what the JSON of an exchange says."""
    request = exchange.request
    told = {
        "gen_ai.operation.name": OPERATIONS[path(exchange)],
        "gen_ai.provider.name": "openai",
        "server.address": "127.0.0.1",
        "server.port": port,
        "gen_ai.request.model": request["model"],
        "gen_ai.request.stream": request.get("stream") or None,
        "gen_ai.request.max_tokens": request.get("max_tokens") or request.get("max_output_tokens"),
        "gen_ai.request.choice.count": request.get("n"),
        "error.type": ERRORS.get(exchange.status),
        "http.response.status_code": exchange.status if exchange.status in ERRORS else None,
        "otel_genai.outcome": "failed" if exchange.status in ERRORS else None,
    }
    if exchange.status == 200:
        answer = responses_answer(exchange) if path(exchange) == "/v1/responses" else chat_answer(exchange)
        told |= {
            "gen_ai.response.id": answer["id"],
            "gen_ai.response.model": answer["model"],
            "gen_ai.response.finish_reasons": answer["finish_reasons"],
            **{USAGE[path]: count for path, count in flat(answer["usage"] or {}) if path in USAGE},
        }
    return {key: value for key, value in told.items() if value is not None}


def chat_answer(exchange: Exchange) -> Found:
    """Put an answer together from its document or its chunks; embeddings are alike, without choices."""
    documents = exchange.answer if exchange.sse else [exchange.answer]
    reasons = {
        choice["index"]: choice["finish_reason"]
        for document in documents
        for choice in document.get("choices", ())
        if choice["finish_reason"]
    }
    return {
        "id": documents[0].get("id"),
        "model": documents[0]["model"],
        "finish_reasons": [reasons[index] for index in sorted(reasons)] or None,
        "usage": documents[-1].get("usage"),
    }


def responses_answer(exchange: Exchange) -> Found:
    """Take the response from its document, or from the event that carries it whole."""
    response = exchange.answer[-1]["response"] if exchange.sse else exchange.answer
    calls = any(item["type"] in {"function_call", "custom_tool_call"} for item in response["output"])
    assert response["status"] == "completed"
    return {**response, "finish_reasons": ["tool_calls" if calls else "stop"]}


def flat(tree: Found, before: str = "") -> Iterator[tuple[str, Any]]:
    """Walk the leaves of a JSON object, each with its path."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def words(value: Any) -> set[str]:
    """Give the runs of three words anywhere in a JSON value: what no model, id or number looks like."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return set().union(*map(words, value))
    return set(re.findall(r"[A-Za-z]+ [A-Za-z]+ [A-Za-z]+", value)) if isinstance(value, str) else set()


def asked(exchange: Exchange) -> set[str]:
    """Give words of what was asked."""
    return words([exchange.request.get(key) for key in ("messages", "input", "instructions", "tools")])


def answered(exchange: Exchange) -> set[str]:
    """Give words of what was answered."""
    if path(exchange) == "/v1/chat/completions" and exchange.sse:
        said: dict[int, str] = {}
        for choice in (choice for chunk in exchange.answer for choice in chunk["choices"]):
            said[choice["index"]] = said.get(choice["index"], "") + (choice["delta"].get("content") or "")
        return words(said)
    whole = exchange.answer[-1]["response"] if exchange.sse else exchange.answer
    return words([whole.get("choices"), whole.get("output"), whole.get("error")])


# --- Helpers ---------------------------------------------------------------------------------------------


def compared(attributes: Found) -> str:
    """Spell the attributes that are compared, so that they can be sorted."""
    return json.dumps({key: attributes[key] for key in sorted(COMPARED & attributes.keys())})


def labels(attributes: Found, **more: str) -> Labels:
    """Name the series to which a call belongs."""
    own = {key.replace(".", "_"): str(attributes[key]) for key in LABELS if key in attributes}
    return frozenset({**own, **more}.items())


def content_of(items: Iterable[Found], exchange: Exchange, port: int) -> str:
    """Find the span or the event of an exchange, as text."""
    wanted = compared(told_by(exchange, port))
    (found,) = (item for item in items if compared(item["attributes"]) == wanted)
    return json.dumps(found)


def inferences(exchanges: list[Exchange]) -> list[Exchange]:
    """Leave the embeddings out, which have no content and no event."""
    return [exchange for exchange in exchanges if OPERATIONS[path(exchange)] == "chat"]


def secrets(exchanges: list[Exchange]) -> set[str]:
    """Give words of everything said, errors included."""
    return set().union(*(asked(exchange) | answered(exchange) for exchange in exchanges))


def leaks(text: str, exchanges: list[Exchange]) -> list[str]:
    """Find content in a text."""
    return sorted(secret for secret in secrets(exchanges) if secret in text)


# --- Traces ----------------------------------------------------------------------------------------------


def test_each_exchange_is_one_span(seen: Stored, expected: list[Found]) -> None:
    """Jaeger has one span for each exchange, and it says what the recorded answer says."""
    assert sorted(compared(span["attributes"]) for span in seen.calls) == sorted(map(compared, expected))


def test_spans_are_named_and_marked(seen: Stored) -> None:
    """Each call is a client's root span, named by operation and model, and an error only if it failed."""
    for span in seen.calls:
        attributes = span["attributes"]
        name = f"{attributes['gen_ai.operation.name']} {attributes['gen_ai.request.model']}"
        assert (span["name"], span["kind"], span["parent"]) == (name, CLIENT, None)
        assert span["failed"] == ("error.type" in attributes)
        assert [event for event, _ in span["events"]] == ["exception"] * span["failed"]


def test_http_requests_are_below_their_calls(seen: Stored) -> None:
    """The HTTP instrumentation's span of each request is a child of the call that sent it."""
    parents = [span["parent"] for span in seen.spans if span["scope"] != "otel_genai"]
    assert sorted(parents) == sorted(span["id"] for span in seen.calls)


# --- Metrics ---------------------------------------------------------------------------------------------


def test_tokens(seen: Stored, expected: list[Found]) -> None:
    """Prometheus has the recorded usage, added up by type, model, provider and server."""
    sums: Counter[Labels] = Counter()
    counts: Counter[Labels] = Counter()
    for attributes in expected:
        for kind in ("input", "output"):
            count = attributes.get(f"gen_ai.usage.{kind}_tokens")
            if count is not None:
                series = labels(attributes, gen_ai_token_type=kind)
                sums[series] += count
                counts[series] += 1
    assert seen.series[f"{TOKENS}_sum"] == sums
    assert seen.series[f"{TOKENS}_count"] == counts


def test_durations(seen: Stored, expected: list[Found]) -> None:
    """Prometheus has one duration for each call, with the error's type where it failed."""
    counts: Counter[Labels] = Counter()
    for attributes in expected:
        error = {"error_type": attributes["error.type"]} if "error.type" in attributes else {}
        counts[labels(attributes, **error)] += 1
    assert seen.series[f"{DURATION}_count"] == counts
    assert all(seconds > 0 for seconds in seen.series[f"{DURATION}_sum"].values())
    assert {"0.01", "81.92", "327.68", "+Inf"} <= {dict(s)["le"] for s in seen.series[f"{DURATION}_bucket"]}


def test_calls(seen: Stored, expected: list[Found]) -> None:
    """Prometheus has the number of calls by how they ended, model and provider."""
    counts: Counter[Labels] = Counter()
    for attributes in expected:
        told = {key: attributes[key] for key in ("gen_ai.provider.name", "gen_ai.request.model")}
        outcome = attributes.get("otel_genai.outcome", "completed")
        counts[labels(told, otel_genai_outcome=outcome)] += 1
    assert seen.series[CALLS] == counts


def test_times_to_first_chunk(seen: Stored, exchanges: list[Exchange], expected: list[Found]) -> None:
    """Prometheus has one time to the first chunk for each stream, the one that its span has too."""
    counts = Counter(labels(told) for exchange, told in zip(exchanges, expected, strict=True) if exchange.sse)
    sums: Counter[Labels] = Counter()
    for span in seen.calls:
        if FIRST_CHUNK in span["attributes"]:
            sums[labels(span["attributes"])] += span["attributes"][FIRST_CHUNK]
    assert seen.series[f"{TO_FIRST_CHUNK}_count"] == counts
    assert seen.series[f"{TO_FIRST_CHUNK}_sum"] == pytest.approx(dict(sums))
    assert all(seconds > 0 for seconds in sums.values())


@pytest.mark.parametrize("metric", [TOKENS, DURATION, TO_FIRST_CHUNK])
def test_exemplars_lead_to_their_spans(seen: Stored, metric: str) -> None:
    """Each metric has exemplars, and each names a span in Jaeger with the value measured."""
    found = [one for one in seen.exemplars if one["series"]["__name__"] == f"{metric}_bucket"]
    spans = {span["id"]: span["attributes"] for span in seen.calls}
    assert {frozenset(one["series"].items()) for one in found}
    for one in found:
        attributes = spans[one["labels"]["trace_id"], one["labels"]["span_id"]]
        if metric == TOKENS:
            kind = one["series"]["gen_ai_token_type"]
            assert float(one["value"]) == attributes[f"gen_ai.usage.{kind}_tokens"]
        if metric == TO_FIRST_CHUNK:
            assert float(one["value"]) == pytest.approx(attributes[FIRST_CHUNK])


# --- Content ---------------------------------------------------------------------------------------------


def test_nothing_said_is_stored_by_default(pipeline: Pipeline, exchanges: list[Exchange]) -> None:
    """With capture off no back end holds a word of the prompts, the answers and the errors' messages."""
    seen = pipeline.stored["off"]
    assert {place: leaks(text, exchanges) for place, text in seen.texts.items()} == {
        "Jaeger": [],
        "Prometheus": [],
        "events": [],
    }
    assert seen.events == []


@pytest.mark.parametrize("service", ["events-grpc", "events-http"])
def test_content_is_in_the_events_alone(pipeline: Pipeline, exchanges: list[Exchange], service: str) -> None:
    """With EVENT_ONLY each inference has an event with all that was said, and nothing else has any of it."""
    seen, port = pipeline.stored[service], pipeline.ports[service]
    told = [compared(told_by(exchange, port)) for exchange in inferences(exchanges)]
    assert sorted(compared(event["attributes"]) for event in seen.events) == sorted(told)
    assert {event["name"] for event in seen.events} == {"gen_ai.client.inference.operation.details"}
    assert {event["span"] for event in seen.events} <= {span["id"] for span in seen.calls}
    for exchange in inferences(exchanges):
        event = content_of(seen.events, exchange, port)
        said = asked(exchange) | (answered(exchange) if exchange.status == 200 else set())
        assert [word for word in said if word not in event] == []
    assert leaks(seen.texts["Jaeger"], exchanges) == []
    assert leaks(seen.texts["Prometheus"], exchanges) == []


def test_content_is_on_the_spans_alone(pipeline: Pipeline, exchanges: list[Exchange]) -> None:
    """With SPAN_ONLY each inference's span has all that was said, errors included, and nothing else has."""
    seen, port = pipeline.stored["spans"], pipeline.ports["spans"]
    for exchange in inferences(exchanges):
        span = content_of(seen.calls, exchange, port)
        assert [word for word in asked(exchange) | answered(exchange) if word not in span] == []
    assert leaks(seen.texts["Prometheus"], exchanges) == []
    assert seen.events == []


# --- Nothing lost ----------------------------------------------------------------------------------------


def test_sent_equals_stored(pipeline: Pipeline, exchanges: list[Exchange]) -> None:
    """Two spans for each exchange of each run, ours and the HTTP one, were accepted and are in Jaeger."""
    sent = 2 * len(exchanges) * len(RUNS)
    stored = {span["id"] for seen in pipeline.stored.values() for span in seen.spans}
    counts = pipeline.own["collector"]
    assert (sent, counts["receiver_accepted_spans"], counts["exporter_sent_spans"]) == (len(stored),) * 3
    events = sum(len(seen.events) for seen in pipeline.stored.values())
    assert counts["receiver_accepted_log_records"] == events == 2 * len(inferences(exchanges))


def test_nothing_is_refused_or_lost(pipeline: Pipeline) -> None:
    """Collector and Jaeger count nothing refused, failed or dropped, and the instrumentation no error."""
    lost = re.compile("refused|failed|dropped")
    counted = {
        (name, metric): value
        for name, counts in pipeline.own.items()
        for metric, value in counts.items()
        if lost.search(metric)
    }
    assert {("collector", f"receiver_refused_{kind}") for kind in KINDS} <= counted.keys()
    assert {key: value for key, value in counted.items() if value} == {}
    metrics = {name for seen in pipeline.stored.values() for name in seen.series}
    ours = {name for name in metrics if "otel_genai" in name}
    assert CALLS in ours
    assert not {name for name in ours if "errors" in name}


def test_a_restart_keeps_everything(pipeline: Pipeline) -> None:
    """After a stop and a start Jaeger, Prometheus and the file have what they had before."""
    restart(pipeline.backend)
    for service, before in pipeline.stored.items():
        after = read(pipeline.backend, service)
        assert {span["id"]: span for span in after.spans} == {span["id"]: span for span in before.spans}
        assert (after.series, after.exemplars, after.events) == (
            before.series,
            before.exemplars,
            before.events,
        )
