"""An exception in any function that reads one more SDK: the caller gets what the bare SDK gives.

Every file in `sdks` joins, with all modules of the package that its provider is made of; but what those share
with OpenAI's and Anthropic's SDKs fails in `test_faults.py`.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import logging
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import garbage
import otel_genai
from faults import CARRIED, GUARD, MODULES, PACKAGE, Harm, Probe, Target, counted, forget, replaced, walk
from otel_genai import _guard, _passing, _telemetry, testing
from otel_genai.providers import REGISTRY, surface
from sdk_calls import SDKS, Lab, quick, turns
from sdks.kit import Reply, Sdk, Way

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # some SDKs do not close all they open
    pytest.mark.timeout(600),  # some are slow to fail, and a provider is one test
]
SHARED = [_passing, surface]
"""What no SDK of `test_faults.py` comes across."""
MODES: list[dict[str, Any]] = [{"capture": "SPAN_AND_EVENT", "semconv": "both"}, {}]
SAMPLE, LONG_SAMPLE = 2, 20
"""In how many ways of calling a fault is tried at most: in the normal run, and in a long one."""
KNOWN: dict[str, tuple[str, ...]] = {
    CARRIED: (
        "_passing._closing.closed", "_passing._closing.aclosed", "_passing._entered", "_passing._aentered",
        "_passing._next.__next__", "_passing._anext.__anext__", "_passing._iter.__iter__", "_passing._steps",
        "_passing._aiter.__aiter__", "_passing._asteps", "_passing._close.closed", "_passing._aclose.closed",
        "_passing._as_file.read", "_passing._as_awaited_file.read", "_passing._as_file.readinto",
        "providers.surface.Surface._give",
    ),
    GUARD: (
        "_passing.Passing.took", "_passing.Passing.finished", "_passing.Passing.failed", "_passing._stop",
        "_passing.File.took", "_passing.File.finished",
    ),
}  # fmt: skip
EXCUSED = {name: reason for reason, names in KNOWN.items() for name in names}
IMPORT = "it runs when the module is imported"
ASKED = "only where stream_usage is set: tests/test_stream_usage.py"
RARE = "a part of a request or of an answer that no way here has: tests/providers"
UNREACHED = {
    f"providers.{name}": reason
    for reason, names in {
        IMPORT: (
            "mistralai._completion", "mistralai._hooks", "bedrock._is", "_search.operation",
            "_audio.operations",
        ),
        "it does nothing": ("bedrock.Seam.ask", "bedrock.Seam.with_stream_class"),
        ASKED: ("_ask.addition", "_ask.usage", "_ask.is_usage"),
        RARE: (
            "_google_genai_content._result", "_google_genai_content._blob", "_google_genai_content._file",
            "_google_genai_content._uploaded", "_google_genai_content._code", "google_genai.thinking",
            "_google_genai_content._code_result", "_google_genai_content._server_call",
            "_google_genai_content._server_result", "_google_genai_content._modality",
            "_mistralai_content._image", "_mistralai_content._audio", "_mistralai_content.<lambda>",
            "_bedrock_converse.<lambda>", "_bedrock_converse._media", "_bedrock_converse._tool_result",
            "_bedrock_converse._told", "_bedrock_converse._search_result",
            "huggingface_hub._routed", "huggingface_hub._direct", "huggingface_hub.dimensions",
            "litellm.output_type", "litellm.effort", "litellm._beneath", "_litellm_answer._Counted.asked",
            "_litellm_answer.is_usage", "_litellm_names.ask_usage", "_litellm_answer._Text.__init__",
            "_litellm_answer.CompletionFold.__init__", "_litellm_answer.CompletionFold.add",
            "_litellm_answer.CompletionFold.choices",
        ),
    }.items()
    for name in names
}  # fmt: skip
"""Functions that no way of calling comes across, and why."""


@pytest.fixture(autouse=True, scope="module")
def _quick():
    with quick():
        yield


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect what Python could only print; behave as for users."""
    found: list[str] = []
    monkeypatch.delenv(_telemetry.STRICT)
    monkeypatch.setattr(sys, "unraisablehook", lambda args: found.append(repr(args.exc_value)))
    return found


# --- What a provider is made of --------------------------------------------------------------------------


def parts(name: str) -> list[Any]:
    """Give the modules of one provider, but for those of `test_faults.py`."""
    found: dict[str, Any] = {}
    wanted = [REGISTRY[name]]
    while wanted:
        module = importlib.import_module(wanted.pop())
        if module.__name__ not in found:
            found[module.__name__] = module
            wanted.extend(_imported(Path(str(module.__file__))))
    return [module for module in found.values() if module not in MODULES and module not in SHARED]


def _imported(path: Path) -> Iterator[str]:
    """Name the other modules of providers that one imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            yield from (f"{PACKAGE}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{PACKAGE}."):
            yield str(node.module)


@dataclasses.dataclass(frozen=True)
class Run:
    """One call: a way of calling, its colour, what is answered, and how many events are read."""

    name: str
    way: Way
    colour: str
    replies: tuple[Reply, ...]
    most: int | None = None


def runs(sdk: Sdk) -> list[Run]:
    """Give all calls in whose midst something is made to fail."""
    found = []
    streams = [way for way in sdk.ways if way.stream][:3]
    for at, way in enumerate(sdk.ways):
        for colour in way.colours:
            name, last = f"{sdk.name} {way.name} {colour}", way.replies[-1]
            found.append(Run(name, way, colour, tuple(way.replies)))
            if at == 0:
                found.append(Run(f"{name}, refused", way, colour, (sdk.refusal,)))
            if way in streams:
                cut = dataclasses.replace(last, pieces=last.pieces[:2], is_cut=True)
                found.append(Run(f"{name}, cut", way, colour, (*way.replies[:-1], cut)))
                found.append(Run(f"{name}, left", way, colour, tuple(way.replies), 1))
    return found


class Trial:
    """One SDK under test: its calls, what the bare SDK gives in each, and which code each comes across."""

    def __init__(self, lab: Lab) -> None:
        """Call in every way, twice."""
        self._lab = lab
        self.runs = runs(lab.sdk)
        self._bare = [self._outcome(run) for run in self.runs]
        self.reached: dict[types.CodeType, list[int]] = {}
        for at, run in enumerate(self.runs):
            for code in self._watched(run):
                self.reached.setdefault(code, []).append(at)

    def _outcome(self, run: Run) -> dict[str, Any]:
        return self._lab.call(run.way, run.colour, run.replies, run.most)

    def _watched(self, run: Run) -> set[types.CodeType]:
        codes: set[types.CodeType] = set()
        self._instrument(testing.Seen(), MODES[0])
        sys.setprofile(lambda frame, event, arg: codes.add(frame.f_code))
        try:
            self._outcome(run)
            self._lab.within(turns())
        finally:
            sys.setprofile(None)
            otel_genai.uninstrument()
        return codes

    def _instrument(self, seen: testing.Seen, mode: dict[str, Any]) -> None:
        forget()
        otel_genai.instrument(
            self._lab.sdk.name,
            tracer_provider=seen.tracer_provider,
            meter_provider=seen.meter_provider,
            logger_provider=seen.logger_provider,
            **mode,
        )

    def harm(
        self, at: int, mode: dict[str, Any], failures: Callable[[], int], caplog: Any, printed: list[str]
    ) -> Harm | None:
        """Call under a fault, and tell what is not as it was."""
        run, seen = self.runs[at], testing.Seen()
        self._instrument(seen, mode)
        caplog.clear()
        try:
            got = self._outcome(run)
        except BaseException as error:  # noqa: BLE001 (it is told)
            got = {"escaped": repr(error)}
        for record in caplog.records:
            record.exc_info = None  # holds what has to be collected
        self._lab.within(turns())
        garbage.collect()
        _guard.settle()
        otel_genai.uninstrument()
        said = [record.getMessage() for record in caplog.records if record.name in LISTENED]
        if got != self._bare[at]:
            return Harm(run.name, "the caller's result", got)
        if printed:
            return Harm(run.name, "printed", printed[:])
        if failures() and not counted(seen):
            return Harm(run.name, "not counted", failures())
        return Harm(run.name, "logged", said) if len(said) != bool(failures()) else None


LISTENED = ("otel_genai", "otel_genai._telemetry")


def spared(
    trial: Trial, target: Target, ways: int, modes: Any, *, caplog: Any, printed: list[str]
) -> Harm | None:
    """Make one function fail, call in ways that come across it, and give the first harm done."""
    found = trial.reached[target.code]
    chosen = found[:: -(-len(found) // ways) | 1]  # an odd step, for both colours
    for mode in modes:
        for at in chosen:
            probe = Probe()
            code = replaced(target.functions[0].__code__, target.code, probe)
            with pytest.MonkeyPatch.context() as patch:
                for function in target.functions:
                    patch.setattr(function, "__code__", code)
                harm = trial.harm(at, mode, lambda: probe.ran, caplog, printed)  # noqa: B023 (called within)
            printed.clear()
            if harm is not None:
                return harm
    return None


def check(name: str, ways: int, modes: Any, caplog: Any, printed: list[str]) -> int:
    """Make every function of a provider fail in turn, and give their number."""
    caplog.set_level(logging.WARNING)
    with Lab(SDKS[name]).open() as lab:
        trial = Trial(lab)
        own = walk(parts(name))
        missed = [one.name for one in own if one.code not in trial.reached and one.name not in UNREACHED]
        known = [one for one in [*own, *walk(SHARED)] if one.code in trial.reached]
        targets = [one for one in known if one.name not in EXCUSED]
        harms = {one.name: spared(trial, one, ways, modes, caplog=caplog, printed=printed) for one in targets}
    wrong = {what: harm for what, harm in harms.items() if harm is not None}
    assert (name, missed) == (name, [])  # each wants a way of calling in tests/sdks
    assert not wrong, "\n".join(f"{what}: {str(harm)[:400]}" for what, harm in wrong.items())
    return len(targets)


@pytest.mark.parametrize("name", SDKS)
def test_a_fault_is_not_the_caller_s(
    name: str, caplog: Any, printed: list[str], record_property: Any
) -> None:
    """Whatever fails, the call and its answer are untouched; the failure is counted, and logged once."""
    count = check(name, SAMPLE, MODES[:1], caplog, printed)
    record_property("counted", f"faults in {count} functions under calls of {name}")


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SDKS)
def test_a_fault_is_not_the_caller_s_in_many_ways_of_calling(
    name: str, caplog: Any, printed: list[str]
) -> None:
    """The same in many more ways of calling, with content on and off."""
    assert check(name, LONG_SAMPLE, MODES, caplog, printed)


def test_what_is_excused_is_there() -> None:
    """The list of what is known gets no longer than the truth."""
    own = {one.name for name in REGISTRY for one in walk(parts(name))}
    assert EXCUSED.keys() <= {one.name for one in walk(SHARED)}
    assert UNREACHED.keys() <= own
