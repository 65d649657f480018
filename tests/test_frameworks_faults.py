"""An exception in any function that tells of a framework's runs, or judges answers: the program is untouched.

With nothing broken, too: results, exceptions, items of streams, and what the program's own handlers are told.
"""

from __future__ import annotations

import _thread
import functools
import gc
import importlib
import logging
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langgraph", reason="needs LangGraph: pip install 'otel-genai[frameworks]'")
pytest.importorskip(
    "langchain_openai", reason="tests/chains.py needs it: pip install 'otel-genai[frameworks]'"
)

from langchain_core.callbacks import CallbackManager
from langchain_core.tracers import context as tracing

import garbage
import otel_genai
import toy
from faults import ASKED_FOR, GUARD, PACKAGE, Harm, Probe, Target, counted, forget, replaced, walk
from framework_scenes import SCENES, outcome
from otel_genai import _guard, _judging, _patching, _run, _runs, _shared, _telemetry, judges, testing
from otel_genai import semconv as s
from otel_genai.providers import langchain

pytestmark = pytest.mark.filterwarnings("ignore")  # of old functions, and of streams that are left

# --- What is made to fail --------------------------------------------------------------------------------

BESIDE = sorted(Path(str(langchain.__file__)).parent.glob("_langchain_*.py"))
MODULES = [
    _run, _runs, _shared, langchain, *(importlib.import_module(f"{PACKAGE}.{path.stem}") for path in BESIDE),
    _judging, judges,
]  # fmt: skip
TARGETS = walk(MODULES)
LEAVES = "it is what leaves a run's context"
KNOWN: dict[str, tuple[str, ...]] = {
    GUARD: ("_runs.Runs.safely", "providers.langchain._callback.tell", "_judging.Judging._work"),
    "what it was to await never is, and Python says so": ("_judging._awaited",),
    LEAVES: ("_run.Open.leave", "_shared.Shared.end"),
    ASKED_FOR: (
        "_runs.Runs.close", "providers.langchain.attach.detach",
        "_judging.Judging.__init__", "_judging.Judging.forget", "_judging.settle",
        "judges.chosen", "judges._judge", "judges.name_of", "judges._named", "judges.length",
        "judges.refusal", "judges.valid_json", "judges.context_utilisation", "judges.llm",
    ),
}  # fmt: skip
EXCUSED = {name: reason for reason, names in KNOWN.items() for name in names}
UNREACHED = {
    name: reason
    for reason, names in {
        "it tells of a fault, and is come across where one is made": (
            "_runs.Runs._hurt", "_judging.Judging._complain", "_judging.Judging._failed",
        ),
        "a forked process calls it: tests/test_runs.py": ("_run.Open.forget", "_runs.Runs.forget"),
        "it runs when the program ends: tests/test_runs.py": ("_run.Open.stop",),
        "tests ask for it": ("_runs.Runs.__len__",),
        "of what MCP tells: tests/providers/test_mcp.py": ("_runs.Runs.measure",),
    }.items()
    for name in names
}  # fmt: skip
"""Functions that no scene comes across, and why."""

# --- One fault at a time ---------------------------------------------------------------------------------


def ask(prompt: str) -> str:
    """Judge, as a model does."""
    known = "artichokes" in prompt
    return 'So: {"score": 0.5, "label": "fair", "explanation": "short"}' if known else "0.5"


async def ask_later(prompt: str) -> str:
    """Judge, as a model does that is awaited."""
    return ask(prompt)


def instrument(seen: testing.Seen, *, judged: bool) -> None:
    """Instrument, as at the start of a program."""
    forget()
    _judging._prepare.cache_clear()
    _judging._live.clear()  # some before may have been broken
    mode: dict[str, Any] = {}
    if judged:
        made = [judges.length(), judges.refusal(), judges.valid_json(always=True)]
        made += [judges.context_utilisation(), judges.llm(ask), judges.llm(ask_later, name="later")]
        mode = {"judges": made, "capture": "SPAN_ONLY", "judge_budget": 2}
    otel_genai.instrument(
        "langchain",
        toy.PROVIDER,
        tracer_provider=seen.tracer_provider,
        meter_provider=seen.meter_provider,
        logger_provider=seen.logger_provider,
        **mode,
    )


@functools.cache
def bare(name: str) -> dict[str, Any]:
    """Give what a scene comes to without us."""
    return outcome(name)


@functools.cache
def reached() -> dict[types.CodeType, list[str]]:
    """Find which scenes come across which code, in whichever thread, by watching each once."""
    found: dict[types.CodeType, list[str]] = {}
    for name in SCENES:
        for code in _watched(name):
            found.setdefault(code, []).append(name)
    return found


def _watched(name: str) -> set[types.CodeType]:
    codes: set[types.CodeType] = set()

    def watch(frame: Any, *_: Any) -> None:
        codes.add(frame.f_code)

    def start(function: Callable[..., Any], args: Any) -> int:
        def run(*args: Any) -> None:
            sys.setprofile(watch)
            function(*args)

        return _thread.start_new_thread(run, args)

    seen = testing.Seen()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_judging, "start_new_thread", start)
        threading.setprofile(watch)
        sys.setprofile(watch)
        try:
            instrument(seen, judged=True)
            outcome(name)
            assert seen.metrics is not None  # judges are at work until they are asked for
            otel_genai.uninstrument()
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]  # as its documentation says
    return codes


@pytest.fixture(scope="module", autouse=True)
def _light() -> Iterator[None]:
    """Make collecting garbage cheap, as it is done after each scene; find versions once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_patching, "version", functools.cache(_patching.version))
        patch.delenv(_telemetry.STRICT)  # what is made from here on behaves as for users
        for name in SCENES:
            bare(name)
        reached()
        garbage.collect()
        gc.freeze()
        yield
        gc.unfreeze()


def _forget_error(record: logging.LogRecord) -> bool:
    """Have a record hold no frames: streams that are left would live on."""
    record.exc_info = None
    return True


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> list[str]:
    """Collect what Python could only print, and what is logged."""
    caplog.set_level(logging.WARNING)
    caplog.handler.addFilter(_forget_error)
    found: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: found.append(repr(args.exc_value)))
    return found


def harm(name: str, probe: Probe, *, judged: bool, caplog: Any, printed: list[str]) -> Harm | None:
    """Play a scene under a fault, and tell what is not as it was."""
    seen = testing.Seen()
    caplog.clear()
    try:
        instrument(seen, judged=judged)
        got = outcome(name)
        known = _counted(seen)
        otel_genai.uninstrument()
    except BaseException as error:  # noqa: BLE001 (it is told)
        return Harm(name, "escaped", repr(error))
    garbage.collect()
    _guard.settle()
    said = [record.getMessage() for record in caplog.records if record.name.startswith("otel_genai")]
    if got != bare(name):
        return Harm(name, "the program's result", got)
    if printed:
        return Harm(name, "printed", printed[:])
    if probe.ran and not known:
        return Harm(name, "not counted", probe.ran)
    return Harm(name, "logged", said) if len(said) != len(set(said)) else None


def _counted(seen: testing.Seen) -> int:
    """Give how many failures were counted, those of judges included."""
    verdicts = seen.metrics.get(s.EVALUATIONS.name, [])
    return counted(seen) + sum(one["value"] for one in verdicts if s.ERROR_TYPE in one["attributes"])


def spared(target: Target, ways: int, modes: tuple[bool, ...], *, caplog: Any, printed: list[str]) -> Any:
    """Make one function fail, play scenes that come across it, and give the first harm done."""
    found = reached()[target.code]
    hooks = tracing._configure_hooks[:]
    for judged in modes:
        for name in found[:: -(-len(found) // ways) | 1]:  # an odd step, for both colours
            probe = Probe()
            code = replaced(target.functions[0].__code__, target.code, probe)
            with pytest.MonkeyPatch.context() as patch:
                for function in target.functions:
                    patch.setattr(function, "__code__", code)
                done = harm(name, probe, judged=judged, caplog=caplog, printed=printed)
            otel_genai.uninstrument()
            tracing._configure_hooks[:] = hooks
            printed.clear()
            if done is not None:
                return done
    return None


SAMPLE, LONG_SAMPLE = 2, 20
"""In how many scenes a fault is tried at most: in the normal run, and in a long one."""
EACH = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])


LEFT_OUT = {"_judging.Judging._work", "_judging._awaited"}
"""What is waited for would never come; what is printed is printed some time."""


def targets(module: Any) -> list[Target]:
    """Give the functions of a module that a scene comes across, but for those that are excused."""
    name = module.__name__.removeprefix("otel_genai.")
    own = [one for one in TARGETS if one.name.startswith(f"{name}.")]
    return [one for one in own if one.code in reached() and one.name not in EXCUSED]


@EACH
def test_a_fault_is_not_the_program_s(module, caplog, printed, record_property):
    """Results, exceptions and what handlers are told are LangChain's own; the failure is counted."""
    check(module, SAMPLE, (True,), caplog=caplog, printed=printed)
    record_property("counted", f"faults in {len(targets(module))} functions of {module.__name__}")


@pytest.mark.soak
@pytest.mark.timeout(1200)
@EACH
def test_a_fault_is_not_the_program_s_in_many_scenes(module, caplog, printed):
    """The same in many more scenes, with content and judges, and without."""
    check(module, LONG_SAMPLE, (True, False), caplog=caplog, printed=printed)


def check(module: Any, ways: int, modes: tuple[bool, ...], *, caplog: Any, printed: list[str]) -> None:
    """Make every function of a module fail in turn."""
    found = targets(module)
    harms = {one.name: spared(one, ways, modes, caplog=caplog, printed=printed) for one in found}
    wrong = "\n".join(f"{name}: {str(done)[:400]}" for name, done in harms.items() if done is not None)
    assert found
    assert not wrong, wrong


def test_every_function_is_come_across():
    """What no scene comes across cannot be made to fail: new code wants a scene, and these have reasons."""
    missed = {one.name for one in TARGETS if one.code not in reached()}
    assert missed == UNREACHED.keys()


@pytest.mark.parametrize("name", sorted(EXCUSED.keys() - LEFT_OUT))
def test_what_is_excused_has_to_be(name, caplog, printed):
    """The list of what is known gets no longer than the truth."""
    [target] = [one for one in TARGETS if one.name == name]
    assert spared(target, LONG_SAMPLE, (True,), caplog=caplog, printed=printed) is not None


# --- Nothing broken --------------------------------------------------------------------------------------


@pytest.mark.parametrize("judged", [False, True], ids=["plain", "judged"])
def test_every_scene_is_the_same(judged, printed, caplog):
    """With us and without; after that, no callback of ours is left."""
    hooks = tracing._configure_hooks[:]
    wrong = [harm(name, Probe(), judged=judged, caplog=caplog, printed=printed) for name in SCENES]
    assert [done for done in wrong if done is not None] == []
    assert tracing._configure_hooks == hooks
    manager = CallbackManager.configure()
    assert [type(one).__module__ for one in manager.handlers if "otel" in type(one).__module__] == []
