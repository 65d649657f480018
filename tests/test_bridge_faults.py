"""An exception in any function that reads spans of libraries, one at a time: it hurts neither call nor span.

What a library said stays on its span, a call is counted once at most, and what is masked does not leave.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace

import otel_genai
import ways
from faults import GUARD, Probe, Target, counted, replaced, walk
from otel_genai import _bridge, _emitters, _others, _telemetry, _veil, testing
from otel_genai import semconv as s
from test_bridge import CASES, PRICES, SECRET, SPOKEN, USAGE, Case, clean, emit, happen

MODULES = [_bridge, _emitters, _veil, _others]
TARGETS = walk(MODULES)
MODEL = CASES["strands model"]
SPEAKER = CASES["pydantic-ai chat"]
MASKED = Case(SPEAKER.scope, SPEAKER.name, {**SPEAKER.said, **SPOKEN}, SPEAKER.called)
NATIVE = ("anthropic", "mcp client, tool", "mcp server", "agent-framework agent", "litellm")


# --- The program -----------------------------------------------------------------------------------------


def ask(**more: Any) -> Any:
    """Ask OpenAI's SDK over a fake wire; give what a program sees."""
    answer = ways.client(ways.Wire(["chat"])).chat.completions.create(**{**ways.CHAT, **more})
    return "".join(str(event.to_dict()) for event in answer) if more.get("stream") else answer.to_dict()


def native(seen: testing.Seen) -> Any:
    """A span that no call of ours is within, one of MCP's, and one of an agent."""
    for name in NATIVE:
        emit(seen, CASES[name])


def lent(seen: testing.Seen) -> Any:
    """A call of ours within a library's span of the same inference."""
    got: list[Any] = []
    emit(seen, MODEL, lambda: got.append(ask()), attributes=MODEL.said)
    return got


def streamed(seen: testing.Seen) -> Any:
    """A stream within one."""
    got: list[Any] = []
    usage = {"include_usage": True}
    emit(seen, MODEL, lambda: got.append(ask(stream=True, stream_options=usage)), attributes=MODEL.said)
    return got


def failed(seen: testing.Seen) -> Any:
    """A span that ends in an exception, which says what it must not, with events that do, too."""

    def fail() -> None:
        happen(trace.get_current_span())
        raise LookupError(SECRET)

    with pytest.raises(LookupError, match=SECRET):
        emit(seen, MASKED, fail)


def twice(seen: testing.Seen) -> Any:
    """Two libraries' spans of the same thing."""
    emit(seen, MODEL, lambda: emit(seen, CASES["the official package"]))


def refused(seen: testing.Seen) -> Any:
    """A call of ours that fails within a library's span."""
    client = ways.client(ways.Wire(["error_500"]))

    def fail() -> None:
        with pytest.raises(ways.openai.InternalServerError):
            client.chat.completions.create(**ways.CHAT)

    emit(seen, MODEL, fail, attributes=MODEL.said)


def beside(seen: testing.Seen, kind: str = "OpenTelemetry") -> Any:
    """Calls of an SDK that was told to make its spans itself, within a span and without one."""
    callback = type(kind, (), {})()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_others, "OWN", {"openai"})
        patch.setitem(sys.modules, "litellm", types.SimpleNamespace(callbacks=[callback]))
        got = [ask()]
        with seen.tracer_provider.get_tracer("app").start_as_current_span("GET /"):
            return [*got, ask()]


SCENES: list[Callable[[testing.Seen], Any]] = [
    native, lent, streamed, failed, twice, refused, beside,
    functools.wraps(beside)(functools.partial(beside, kind="OpenTelemetryV2")),
]  # fmt: skip


def run(scene: Callable[[testing.Seen], Any]) -> tuple[Any, list[Any], dict[str, int], int]:
    """Run a scene; give what the program got, the libraries' spans, what was counted, and our failures."""
    _bridge._without.cache_clear()
    _bridge._meters.cache_clear()
    _emitters.by_scope.clear()
    with testing.capture("openai", prices=PRICES, cost=True, mask=["email"]) as seen:
        seen.tracer_provider.add_span_processor(otel_genai.ContextProcessor())
        got = scene(seen)
        _telemetry.settle()
        return got, seen.finished, totals(seen), counted(seen)


def totals(seen: testing.Seen) -> dict[str, int]:
    """Add up calls and tokens."""
    metrics = seen.metrics
    return {
        "calls": sum(point["value"] for point in metrics.get(s.CALLS.name, ())),
        "tokens": sum(point["sum"] for point in metrics.get(s.TOKEN_USAGE.name, ())),
    }


@functools.cache
def bare(scene: Callable[[testing.Seen], Any]) -> Any:
    """Run a scene as it is."""
    return run(scene)


@functools.cache
def reached() -> dict[types.CodeType, list[Any]]:
    """Find which scenes reach which code, by watching each once."""
    found: dict[types.CodeType, list[Any]] = {}
    for scene in SCENES:
        codes: set[types.CodeType] = set()
        sys.setprofile(lambda frame, event, arg: codes.add(frame.f_code))  # noqa: B023 (used at once)
        try:
            run(scene)
        finally:
            sys.setprofile(None)
        for code in codes:
            found.setdefault(code, []).append(scene)
    return found


def of_libraries(spans: list[Any]) -> list[Any]:
    """Give those that libraries made."""
    return [span for span in spans if span.instrumentation_scope.name != "otel_genai"]


# --- One fault at a time ---------------------------------------------------------------------------------

EXCUSED = {"_bridge.Adopted.part": GUARD, "_veil.mask": GUARD}


def cases() -> list[Any]:
    """Give each function, and mark those whose failure is not kept away from the caller."""
    marks = {name: [pytest.mark.xfail(reason=reason, strict=True)] for name, reason in EXCUSED.items()}
    return [pytest.param(target, id=target.name, marks=marks.get(target.name, ())) for target in TARGETS]


@pytest.fixture(autouse=True)
def _lenient(monkeypatch: Any) -> None:
    """Behave as for users: failures of ours do not raise."""
    monkeypatch.delenv(_telemetry.STRICT)


@pytest.mark.parametrize("target", cases())
def test_a_fault_hurts_neither_call_nor_span(target: Target, monkeypatch: Any) -> None:
    """The program gets the same, each span ends once with what its library said, nothing is counted twice."""
    scenes = reached().get(target.code, ())
    if not scenes:
        pytest.skip("no scene comes across it: it wants one")
    for scene in scenes:
        expected, were, counts, _ = bare(scene)
        probe = Probe()
        code = replaced(target.functions[0].__code__, target.code, probe)
        with monkeypatch.context() as patch:
            for function in target.functions:
                patch.setattr(function, "__code__", code)
            got, spans, now, failures = run(scene)
        assert probe.ran
        assert failures
        assert got == expected
        assert [span.instrumentation_scope.name for span in of_libraries(spans)] == [
            span.instrumentation_scope.name for span in of_libraries(were)
        ]
        for span, was in zip(of_libraries(spans), of_libraries(were), strict=True):
            intact(span, was, may_lack=target.name.startswith(("_veil", "_emitters.is_content")))
        if target.name not in UNKNOWN:
            assert not [span for span in spans if "ada@" in told(span)]
        assert now["calls"] <= counts["calls"]
        assert now["tokens"] <= counts["calls"] * sum(USAGE.values())


UNKNOWN = {"_bridge.meet", "_bridge.Adopted.__init__", "_emitters.known", "_emitters._fits"}
"""Without these, a span is nobody's that is known: it is left as it is."""


def told(span: Any) -> str:
    """Give all that a span says, but for what is no content by its name."""
    said = {key: value for key, value in span.attributes.items() if key != "model_name"}
    return str([said, span.status.description, *(dict(event.attributes) for event in span.events)])


def is_of(span: Any, case: Case) -> bool:
    """Whether a span is what has become of one of the table's."""
    return (case.scope, case.called) == (span.instrumentation_scope.name, span.name) and (
        case.kind is span.kind or case is MASKED
    )


def intact(span: Any, was: Any, *, may_lack: bool) -> None:
    """See that a span is what its library made of it, but for what could not be masked."""
    said = {key for case in (*CASES.values(), MASKED) if is_of(was, case) for key in case.said}
    assert span.status.status_code is was.status.status_code
    assert [event.name for event in span.events] == [event.name for event in was.events]
    for key in said & span.attributes.keys():
        assert clean(span.attributes[key]) == clean(was.attributes[key])
    assert may_lack or said <= span.attributes.keys()


def test_most_functions_are_come_across() -> None:
    """What no scene reaches cannot be made to fail."""
    missed = {target.name for target in TARGETS if target.code not in reached()}
    assert len(missed) < len(TARGETS) / 6, missed


def test_every_function_that_is_excused_is_there() -> None:
    """The list of what is known gets no longer than the truth."""
    assert EXCUSED.keys() <= {target.name for target in TARGETS}
