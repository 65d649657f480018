"""Runs that a framework tells of by ids: their spans, what is within them, and the context of who calls."""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import types
from typing import Any

import pytest
from opentelemetry import context as otel
from opentelemetry import trace

import otel_genai
import toy
from child import program
from otel_genai import _patching
from otel_genai import semconv as s
from otel_genai._shared import Shared, actual, leave
from otel_genai.spec import Operation, Provider, Run, Server
from otel_genai.testing import capture

frame: Any = types.ModuleType("frame")
AGENT = Operation(name=s.INVOKE_AGENT, request={"name": s.AGENT_NAME})
TOOL = Operation(name=s.EXECUTE_TOOL, request={"name": s.TOOL_NAME})
CHAT = Operation(name=s.CHAT, request={"model": s.REQUEST_MODEL}, outputs=lambda answer: [answer])


def _attach(module: Any, runs: Any) -> Any:
    module.runs = runs
    return lambda: setattr(module, "runs", None)


PROVIDER = Provider("frame", requires="frame", attach={"frame": _attach})


@pytest.fixture
def seen(monkeypatch):
    """Have the framework and a toy SDK told."""
    monkeypatch.setitem(sys.modules, "frame", frame)
    with capture(PROVIDER, toy.PROVIDER) as found:
        yield found


def run(operation: Operation, name: str, **more: Any) -> Run:
    """Say what begins."""
    return Run(operation=operation, body={"name": name}, **more)


def ask(**more: Any) -> Run:
    """Say that a model is asked."""
    return Run(operation=CHAT, body={"model": "m"}, server=Server("p"), **more)


def tree(found: Any) -> list[tuple[str, str | None]]:
    """Give the names of spans with their parents'."""
    return [(span["name"], span["parent"]) for span in found.spans]


def test_parents_are_the_framework_s(seen):
    """Whatever the order of begin and end, and over steps without a span."""
    before = dict(otel.get_current())
    frame.runs.begin(1, None, run(AGENT, "a", shared={s.CONVERSATION_ID: "c"}))
    frame.runs.begin(2, 1, Run(note="step"))
    frame.runs.begin(3, 2, run(TOOL, "left"))
    frame.runs.begin(4, 2, run(TOOL, "right"))
    assert (frame.runs.note(2), frame.runs.note(9)) == ("step", None)
    frame.runs.done(1)
    for number in (2, 3, 4, 4, 9):
        frame.runs.done(number)
    agent = "invoke_agent a"
    assert tree(seen) == [(agent, None), ("execute_tool left", agent), ("execute_tool right", agent)]
    assert {span["attributes"][s.CONVERSATION_ID] for span in seen.spans} == {"c"}
    assert dict(otel.get_current()) == before
    assert len(frame.runs) == 0


def test_outermost_runs_side_by_side(seen):
    """Several that the same code begins are not within one another."""
    for number in (1, 2, 3):
        frame.runs.begin(number, None, run(AGENT, str(number)))
    frame.runs.begin(4, 1, run(TOOL, "t"))
    for number in (4, 1, 2, 3):
        frame.runs.done(number)
    assert tree(seen)[0] == ("execute_tool t", "invoke_agent 1")
    assert {parent for _, parent in tree(seen)[1:]} == {None}


def test_a_call_that_is_seen_is_the_model_s(seen):
    """It has what the framework knows; where none is seen, the framework's word is told."""
    frame.runs.begin(1, None, run(AGENT, "a", shared={s.AGENT_NAME: "a"}))
    frame.runs.begin(2, 1, ask())
    toy.Client().chat()
    frame.runs.done(2)
    frame.runs.begin(3, 1, ask())
    frame.runs.heard(3)
    frame.runs.done(3)
    frame.runs.begin(4, 1, ask())
    frame.runs.done(4, is_known=True)
    frame.runs.done(1)
    first, second, agent = seen.spans
    assert {first["parent"], second["parent"]} == {agent["name"]}
    assert first["attributes"][s.AGENT_NAME] == second["attributes"][s.AGENT_NAME] == "a"
    assert second["attributes"][s.PROVIDER_NAME] == "p"
    assert second["attributes"][s.RESPONSE_TIME_TO_FIRST_CHUNK] >= 0


def test_models_that_are_asked_together(seen):
    """Each call answers one of them; what no call answers is told."""
    for number in (1, 2):
        frame.runs.begin(number, None, ask(size=2))
    toy.Client().chat()
    frame.runs.failed(2, ValueError())
    frame.runs.done(1)
    assert [span["status"] for span in seen.spans] == ["UNSET", "ERROR"]


def test_a_generator_s_caller_is_not_within(seen):
    """Between two items, the context is as it was; what runs within has its parent all the same."""

    def body() -> Any:
        frame.runs.begin(1, None, run(AGENT, "a"))
        yield 1
        frame.runs.begin(2, 1, ask())
        toy.Client().chat()
        frame.runs.heard(2)
        yield 2
        frame.runs.done(2)
        frame.runs.stopped(1)

    before = dict(otel.get_current())
    assert [dict(otel.get_current()) == before for _ in body()] == [True, True]
    assert [parent for _, parent in tree(seen)] == ["invoke_agent a", None]
    assert seen.spans[-1]["attributes"][s.OUTCOME] == "stopped"


async def test_an_end_in_another_task_is_an_end_here(seen):
    """The task that began it finds itself where it was, and so does a block around it."""

    async def end() -> None:
        frame.runs.done(1)

    with otel_genai.context(user="u"):
        before = dict(otel.get_current())
        frame.runs.begin(1, None, run(AGENT, "a"))
        assert trace.get_current_span().is_recording()
        await asyncio.create_task(end())
        assert dict(otel.get_current()) == before
    frame.runs.begin(2, None, run(AGENT, "b"))
    frame.runs.done(2)
    assert [span["attributes"].get(s.USER_ID) for span in seen.spans] == ["u", None]


def test_a_context_that_is_over_follows_the_one_around():
    """However deep, and whoever ends first."""
    base = otel.get_current()
    outer = Shared(base, {**base, "a": 1})
    token = otel.attach(outer)
    inner = Shared(outer, {**outer, "b": 2})
    inner.enter()
    elsewhere = contextvars.copy_context()
    elsewhere.run(inner.end)
    assert (dict(otel.get_current()), actual(inner)) == ({**base, "a": 1}, outer)
    elsewhere.run(outer.end)
    elsewhere.run(outer.end)
    assert (dict(otel.get_current()), actual(inner)) == (dict(base), base)
    leave(outer, token)  # it is over: there is nothing to leave
    otel.detach(token)
    assert otel.get_current() is base


def test_what_is_open_goes_with_the_framework(seen):
    """It was stopped, and what comes later is not told."""
    runs = frame.runs
    runs.begin(1, None, run(AGENT, "a"))
    runs.begin(2, 1, ask())
    otel_genai.uninstrument(PROVIDER)
    runs.begin(3, None, run(AGENT, "b"))
    runs.done(1)
    assert frame.runs is None
    assert [(span["name"], span["attributes"][s.OUTCOME]) for span in seen.spans] == [
        ("invoke_agent a", "stopped")
    ]


def test_what_is_suppressed_stays_so(seen):
    """Within a run that is not told, nothing is."""
    with otel_genai.suppress():
        frame.runs.begin(1, None, run(AGENT, "a"))
    frame.runs.begin(2, 1, run(TOOL, "t"))
    frame.runs.begin(3, 2, ask())
    for number in (3, 2, 1):
        frame.runs.done(number)
    assert seen.spans == []


def test_a_failure_of_ours_is_counted(seen, monkeypatch):
    """It goes no further; ten in a row switch it off."""
    monkeypatch.delenv("_OTEL_GENAI_STRICT")
    with capture(PROVIDER) as found:
        for _ in range(12):
            frame.runs.safely(lambda: 1 / 0)
        frame.runs.begin(1, None, run(AGENT, "a"))
        assert found.spans == []
        assert found.metrics[s.INTERNAL_ERRORS.name][0]["value"] == 12
        [status] = [one for one in _patching.statuses() if one.name == "frame"]
        assert status.targets == ["frame"]


def test_after_a_fork_what_is_open_is_the_parent_s(seen):
    """The child knows nothing of it."""
    contextvars.copy_context().run(frame.runs.begin, 1, None, run(AGENT, "a"))
    frame.runs.forget()
    frame.runs.done(1)
    assert seen.spans == []


ENDS = """
import os, sys
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
import otel_genai, test_runs
sys.modules["frame"] = test_runs.frame
told = ConsoleSpanExporter(formatter=lambda span: f"{span.name} {span.attributes['otel_genai.outcome']}\\n")
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(told))
otel_genai.instrument(test_runs.PROVIDER, tracer_provider=provider)
test_runs.frame.runs.begin(1, None, test_runs.run(test_runs.AGENT, "a"))
if child := os.fork():
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs an operating system that forks")
def test_what_is_open_when_the_program_ends_was_stopped():
    """It is told once: by the process that began it, not by one that was forked."""
    assert program(ENDS).stdout == "invoke_agent a stopped\n"


def test_what_has_no_span_is_measured(seen):
    """By the keys that are asked for, and its error; not where it is quiet, nor when nobody listens."""
    metric = s.Metric("toy.duration", "s", "How long it took.", (1, 2))
    found = {s.TOOL_NAME: "t", s.SERVER_PORT: None, s.AGENT_NAME: "a", s.ERROR_TYPE: "LookupError"}
    runs = frame.runs
    runs.measure(metric, (s.TOOL_NAME, s.SERVER_PORT), 1.5, found)
    with otel_genai.suppress():
        runs.measure(metric, (s.TOOL_NAME,), 1.5, found)
    runs.close()
    runs.measure(metric, (s.TOOL_NAME,), 1.5, found)
    [point] = seen.metrics["toy.duration"]
    assert (point["count"], point["sum"]) == (1, 1.5)
    assert point["attributes"] == {s.TOOL_NAME: "t", s.ERROR_TYPE: "LookupError"}
    assert seen.spans == []
