"""An exception in any function of ours, one at a time: the caller gets what the bare SDK gives.

Here are the engine's, and those of OpenAI's and Anthropic's SDKs; the readers of all others fail in
`test_sdks_faults.py`.
"""

from __future__ import annotations

import functools
import gc
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.metrics import Histogram
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

import garbage
import otel_genai
from faults import (
    ASKED_FOR,
    CARRIED,
    GUARD,
    MODULES,
    Harm,
    Probe,
    Target,
    counted,
    forget,
    replaced,
    walk,
)  # fmt: skip
from otel_genai import _guard, _patching, _telemetry, testing
from scenes import RUNS, bare, outcome, raised

# --- The functions ---------------------------------------------------------------------------------------

TARGETS = walk(MODULES)


# --- One fault at a time ---------------------------------------------------------------------------------

MODES: list[dict[str, Any]] = [
    {},
    {
        "capture": "SPAN_AND_EVENT",
        "semconv": "both",
        "mask": ["email", "card"],
        "content_budget": 256,
        "completion_hook": types.SimpleNamespace(on_completion=lambda **_: None),
    },
]


def instrument(seen: testing.Seen, mode: dict[str, Any]) -> None:
    """Instrument, as at the start of a program."""
    forget()
    otel_genai.instrument(
        tracer_provider=seen.tracer_provider,
        meter_provider=seen.meter_provider,
        logger_provider=seen.logger_provider,
        **mode,
    )


@functools.cache
def reached() -> dict[types.CodeType, list[int]]:
    """Find which runs reach which code, by watching each once."""
    found: dict[types.CodeType, list[int]] = {}
    seen = testing.Seen()
    for index, (scene, cls) in enumerate(RUNS):
        codes: set[types.CodeType] = set()
        instrument(seen, MODES[-1])
        sys.setprofile(lambda frame, event, arg: codes.add(frame.f_code))  # noqa: B023
        try:
            outcome(scene, cls)
        finally:
            sys.setprofile(None)
        for code in codes:
            found.setdefault(code, []).append(index)
    otel_genai.uninstrument()
    return found


SAMPLE, LONG_SAMPLE = 3, 20
"""In how many ways of calling a fault is tried at most: in the normal run, and in a long one."""


@pytest.fixture(scope="module", autouse=True)
def _light():
    """Make collecting garbage cheap, as it is done after each call; find the SDK's version once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_patching, "version", functools.cache(_patching.version))
        reached()
        for scene, cls in RUNS:
            bare(scene, cls)
        garbage.collect()
        gc.freeze()
        yield
        gc.unfreeze()


@pytest.fixture
def lenient(monkeypatch):
    """Behave as for users: failures of ours do not raise."""
    monkeypatch.delenv(_telemetry.STRICT)


@pytest.fixture
def printed(monkeypatch):
    """Collect what Python could only print."""
    found: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: found.append(repr(args.exc_value)))
    return found


def harms(runs: Any, failures: Callable[[], int], seen: Any, mode: Any, *, caplog: Any, printed: Any) -> Any:
    """Call in each way under a fault, and tell what is not as it was."""
    for scene, cls in runs:
        name = f"{scene.name} {cls.__name__} {mode or ''}"
        instrument(seen, mode)
        before, failed = counted(seen), failures()
        try:
            got = outcome(scene, cls)
        except BaseException as error:  # noqa: BLE001 (compared as a whole)
            got = raised(error)
        for record in caplog.records:
            record.exc_info = None  # holds what has to be collected
        garbage.collect()
        _guard.settle()
        said = [(record.name, record.getMessage()) for record in caplog.records]
        caplog.clear()
        if got != bare(scene, cls):
            yield Harm(name, "the caller's result", got[0])
        if printed:
            yield Harm(name, "printed", printed[:])
            printed.clear()
        if failures() > failed and counted(seen) == before:
            yield Harm(name, "not counted", failures() - failed)
        if len(said) != len(set(said)) or any(who != _telemetry.__name__ for who, _ in said):
            yield Harm(name, "logged", said)


KNOWN = {
    CARRIED: (
        "_engine.Seam._call", "_engine.Seam._acall", "_engine.Seam._await", "_streams.Reading.read",
        "_streams.Reading.aread", "_streams.Reading._keep", "_streams.Reading._akeep",
        "_streams.reading.__init__", "_streams.reading.__stream__", "_streams.reading.__copy__",
        "_bodies._watched.close",
        "_bodies._watched.aclose", "_bodies._watched.iter_raw", "_bodies._watched.aiter_raw",
        "_bodies.Tee._read", "_bodies.Tee._aread", "providers._stainless._Keep.__call__",
    ),
    GUARD: (
        "_guard.guarded", "_guard._do", "_call.Call.safely", "_engine.Seam._begin",
        "_engine.Seam._expect", "_engine.Seam._deliver", "_bodies._closed", "_bodies._teed",
        "_streams.Reading.__del__", "_bodies.Tee.__del__", "_context.Block._safely",
        "_telemetry.Telemetry.counter",
    ),
    "Python calls it, and nobody else": ("_guard._collects",),
    ASKED_FOR: (
        "_telemetry.active", "_context.Block.__enter__", "_context.Block.__exit__",
        "_context._ScopeBlock.__init__", "_context.context", "_context.suppress",
        "masking.maskers", "_whose.attributes", "_whose._prompt", "_whose._value", "_whose.variables",
        "content.sendable",
    ),
}  # fmt: skip
EXCUSED = {name: reason for reason, names in KNOWN.items() for name in names}


def cases() -> list[Any]:
    """Give each function, and mark those whose failure is not kept away from the caller."""
    marks = {name: [pytest.mark.xfail(reason=reason, strict=True)] for name, reason in EXCUSED.items()}
    return [pytest.param(target, id=target.name, marks=marks.get(target.name, ())) for target in TARGETS]


def spared(target: Target, monkeypatch: Any, caplog: Any, printed: Any, *, ways: int, modes: Any) -> None:
    """Make one function fail, call in ways that come across it, and stop at the first harm done."""
    runs = [RUNS[index] for index in reached().get(target.code, ())]
    if not runs:
        pytest.skip("no scene comes across it with these versions of the SDKs: it wants one in scenes.py")
    if target.name not in EXCUSED:
        runs = runs[:: -(-len(runs) // ways) | 1]  # an odd step, for both colours
    probe = Probe()
    code = replaced(target.functions[0].__code__, target.code, probe)
    for mode in modes:
        seen = testing.Seen()
        with monkeypatch.context() as patch:
            for function in target.functions:
                patch.setattr(function, "__code__", code)
            harm = next(harms(runs, lambda: probe.ran, seen, mode, caplog=caplog, printed=printed), None)
        if harm is not None:
            pytest.fail(str(harm), pytrace=False)
    assert probe.ran


@pytest.mark.parametrize("target", cases())
def test_a_fault_in_a_function_of_ours_is_not_the_caller_s(target, monkeypatch, lenient, caplog, printed):
    """Results, exceptions and requests are the bare SDK's; the failure is counted, and told once."""
    modes = MODES if target.name in EXCUSED else MODES[-1:]
    spared(target, monkeypatch, caplog, printed, ways=SAMPLE, modes=modes)


@pytest.mark.soak
@pytest.mark.parametrize("target", cases())
def test_a_fault_is_not_the_caller_s_in_many_ways_of_calling(target, monkeypatch, lenient, caplog, printed):
    """The same in many more ways of calling, with content on and off."""
    spared(target, monkeypatch, caplog, printed, ways=LONG_SAMPLE, modes=MODES)


def test_most_functions_are_come_across():
    """What no scene reaches cannot be made to fail: new code on the path wants a scene."""
    files = ("_call", "_streams", "_bodies", "_engine", "providers")
    path = [target for target in TARGETS if target.name.startswith(files)]
    missed = [target.name for target in path if target.code not in reached()]
    assert len(missed) < len(path) / 6, missed  # with an old SDK, some cannot be


def test_every_function_that_is_excused_is_there():
    """The list of what is known gets no longer than the truth."""
    assert EXCUSED.keys() <= {target.name for target in TARGETS}


# --- OpenTelemetry's own parts ---------------------------------------------------------------------------


def bug(*args: Any, **kwargs: Any) -> Any:
    """Be broken."""
    raise RuntimeError("injected")


def with_processor(seen: testing.Seen, monkeypatch: Any, method: str) -> None:
    """Add a span processor that fails at one thing."""
    processor = type("Broken", (SpanProcessor,), {method: bug})()
    seen.tracer_provider.add_span_processor(processor)


def with_exporter(seen: testing.Seen, monkeypatch: Any, method: str) -> None:
    """Add an exporter that fails."""
    exporter = type("Broken", (SpanExporter,), {method: bug})()
    seen.tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))


def with_sampler(seen: testing.Seen, monkeypatch: Any, method: str) -> None:
    """Have a sampler that fails."""
    sampler = type("Broken", (Sampler,), {method: bug, "get_description": lambda self: "broken"})()
    seen.tracer_provider.sampler = sampler


def with_logs(seen: testing.Seen, monkeypatch: Any, method: str) -> None:
    """Add a log processor that fails."""
    methods = {method: bug, "force_flush": bug, "shutdown": lambda self: None}
    seen.logger_provider.add_log_record_processor(type("Broken", (LogRecordProcessor,), methods)())


def with_histograms(seen: testing.Seen, monkeypatch: Any, method: str) -> None:
    """Have histograms that fail."""
    monkeypatch.setattr(f"{Histogram.__module__}._Histogram.{method}", bug)


PARTS_OF_THE_SDK = {
    "a processor at the start": (with_processor, "on_start", True),
    "a processor at the end": (with_processor, "on_end", True),
    "an exporter": (with_exporter, "export", False),  # caught by the SDK's own processor, and told there
    "a sampler": (with_sampler, "should_sample", True),
    "a log processor": (with_logs, "on_emit", True),
    "a histogram": (with_histograms, "record", True),
}


@pytest.mark.parametrize("mode", MODES, ids=["content off", "content on"])
@pytest.mark.parametrize("part", PARTS_OF_THE_SDK)
def test_a_fault_in_opentelemetry_is_not_the_caller_s(part, mode, *, monkeypatch, lenient, caplog, printed):
    """Whatever stands behind us may fail: the call is untouched, and what was ours to catch is counted."""
    break_, method, ours = PARTS_OF_THE_SDK[part]
    seen = testing.Seen()
    break_(seen, monkeypatch, method)
    found = list(harms(RUNS[::3], lambda: 0, seen, mode, caplog=caplog, printed=printed))
    if not ours:
        found = [harm for harm in found if harm.what != "logged"]
    assert not found, found[0]
    wanted = ours and (part != "a log processor" or "capture" in mode)
    assert (counted(seen) > 0) is wanted
