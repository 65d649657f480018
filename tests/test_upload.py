"""Content elsewhere: the official completion hook gets what the gate lets through, and delays nobody."""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
import time
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from opentelemetry.util.genai import types

import otel_genai
import toy
from child import program
from otel_genai import _telemetry, _upload, content, testing
from registry import Line, ask, every, named
from ways import now

HOOK = "OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK"
BASE_PATH = "OTEL_INSTRUMENTATION_GENAI_UPLOAD_BASE_PATH"
REFERENCES = {f"gen_ai.{what}_ref" for what in ("input.messages", "output.messages")}
LOST = "otel_genai.uploads.lost"


class Store(MemoryFileSystem):
    """A store that a test can have fail, or keep waiting."""

    protocol = "moody"
    mood: BaseException | threading.Event | None = None

    def _open(self, *args, **kwargs):
        if isinstance(Store.mood, threading.Event):
            Store.mood.wait(30)
        elif Store.mood is not None:
            raise Store.mood
        return super()._open(*args, **kwargs)


fsspec.register_implementation("moody", Store, clobber=True)


class Hook:
    """A hook of the user's own."""

    def __init__(self, *, error=None):
        """Fail with an error, if one is given."""
        self.given = []
        self._error = error

    def on_completion(self, **given):
        """Keep what is handed over."""
        self.given.append(given)
        if self._error is not None:
            raise self._error
        given["span"].set_attribute("kept.under", len(self.given))
        if given["log_record"] is not None:
            given["log_record"].attributes = {**given["log_record"].attributes, "kept.under": len(self.given)}


@pytest.fixture(autouse=True)
def _anew(monkeypatch):
    """No hook is left of the test before, and the store is well."""
    monkeypatch.setattr(Store, "mood", None)
    _upload._made.cache_clear()
    _upload._LISTENER._said.clear()
    yield
    if isinstance(Store.mood, threading.Event):
        Store.mood.set()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Upload to a folder."""
    monkeypatch.setenv(BASE_PATH, str(tmp_path))
    return tmp_path


@pytest.fixture
def lenient(monkeypatch):
    """Behave as for users: failures of ours do not raise."""
    monkeypatch.delenv(_telemetry.STRICT)


def until(condition, within=20.0):
    """Wait for what another thread does."""
    end = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come to be"
        threading.Event().wait(0.005)
    return found


def stored(reference):
    """Read what a reference leads to, once it is there."""
    path = Path(reference.removeprefix("file://"))
    text = until(lambda: path.exists() and path.read_text())
    return json.loads(text)


def bare(value):
    """Leave out what is unknown: the hook's types name every key."""
    if isinstance(value, dict):
        return {key: bare(item) for key, item in value.items() if item is not None}
    return [bare(item) for item in value] if isinstance(value, list) else value


def lost(seen):
    """Say how much was lost, by reason."""
    points = seen.metrics.get(LOST, [])
    return {point["attributes"]["error.type"]: point["value"] for point in points}


# --- What is handed over ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kit", "endpoint", "colour"),
    every(lambda endpoint: endpoint.turns != "input" or endpoint.streamed),
    ids=[named(case) for case in every(lambda endpoint: endpoint.turns != "input" or endpoint.streamed)],
)
async def test_the_store_has_what_the_span_would(kit, endpoint, colour, folder):
    """The same messages are inline with capture on, and by reference alone with capture off."""
    said = {}
    for capture in ("SPAN_ONLY", "NO_CONTENT"):
        with testing.capture(kit.name, capture=capture, emit_event=True, completion_hook="upload") as seen:
            client = kit.client(Line([lambda: kit.response(endpoint.bodies[0])]).handle, colour)
            await now(ask(client, endpoint))
        said[capture] = seen.spans[0]["attributes"]
        references = {key for key in said[capture] if key.endswith("_ref")}
        assert references >= REFERENCES
        assert references <= set(seen.events[0]["attributes"])
    assert not {key.removesuffix("_ref") for key in references} & set(said["NO_CONTENT"])
    for key in references:
        inline = bare(json.loads(said["SPAN_ONLY"][key.removesuffix("_ref")]))
        assert bare(stored(said["NO_CONTENT"][key])) == inline
        assert bare(stored(said["SPAN_ONLY"][key])) == inline


def test_parts_are_of_the_official_types():
    """Each that has one; the others say the same as a generic part."""
    given = [
        content.text("a"),
        content.reasoning("b"),
        content.tool_call("c1", "t", {"x": 1}),
        content.tool_result("c1", "done"),
        content.server_tool_call("c2", "search", {"q": 1}),
        content.media("image", "https://example.com/a.png"),
        content.file("document", "f1"),
        content.media("image", data=b"png", mime_type="image/png"),
        {"type": "odd", "not an identifier": 1},
        "bare",
    ]
    made = [_upload._part(part) for part in given]
    assert [type(part) for part in made[:7]] == [
        types.TextPart,
        types.ReasoningPart,
        types.ToolCallRequestPart,
        types.ToolCallResponsePart,
        types.ServerToolCallPart,
        types.UriPart,
        types.FilePart,
    ]
    assert isinstance(made[7], types.GenericPart)
    assert [bare(dataclasses.asdict(part)) for part in made[:8]] == [bare(part) for part in given[:8]]
    assert json.loads(made[8].content) == given[8]
    assert made[9] == types.TextPart(content="bare")


def test_a_hook_of_ones_own_gets_all_there_is():
    """Messages, instructions and tools, the span, and the event before it goes out."""
    hook = Hook()
    tools = [{"type": "function", "name": "t", "parameters": {}}, {"type": "search", "name": "web"}]
    with (
        testing.capture(toy.PROVIDER, completion_hook=hook, emit_event=True) as seen,
        otel_genai.inference("m", provider="p", instructions="Be brief.", input="hi", tools=tools) as call,
    ):
        call.answer("hello", finish_reasons=["stop"])
    [given] = hook.given
    assert given["system_instruction"] == [types.TextPart(content="Be brief.")]
    assert given["inputs"] == [types.InputMessage(role="user", parts=[types.TextPart(content="hi")])]
    assert given["outputs"] == [
        types.OutputMessage(role="assistant", parts=[types.TextPart(content="hello")])
    ]
    assert given["tool_definitions"] == [
        types.FunctionToolDefinition(name="t", description=None, parameters={}),
        types.GenericToolDefinition(name="web", type="search"),
    ]
    assert seen.spans[0]["attributes"]["kept.under"] == seen.events[0]["attributes"]["kept.under"] == 1
    assert "gen_ai.input.messages" not in {**seen.spans[0]["attributes"], **seen.events[0]["attributes"]}


def test_streams_and_failures_are_handed_over_too():
    """What was received before a stream was left, and what was asked of a call that failed."""
    hook = Hook()

    def refuse(_):
        raise ConnectionError

    with testing.capture(toy.PROVIDER, completion_hook=hook):
        stream = toy.Client().chat(stream=True)
        next(stream), next(stream)
        stream.close()
        with pytest.raises(ConnectionError):
            toy.Client(refuse).chat()
    assert [[len(given["inputs"]), len(given["outputs"])] for given in hook.given] == [[1, 1], [1, 0]]


# --- What is not -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "around"),
    [
        ({}, {"capture": "NO_CONTENT"}),
        ({"capture_operations": {"chat": "NO_CONTENT"}}, {}),
        ({"capture_sample": 0}, {}),
        ({"capture_on_error": True}, {}),
    ],
)
def test_the_gate_is_before_the_hook(settings, around):
    """What narrows content narrows it here."""
    hook = Hook()
    with testing.capture(toy.PROVIDER, completion_hook=hook, **settings), otel_genai.context(**around):
        toy.Client().chat()
    assert hook.given == []


def test_tools_and_searches_are_not_handed_over():
    """The hook is for inferences: its interface has no place for anything else."""
    hook = Hook()
    with (
        testing.capture(toy.PROVIDER, completion_hook=hook) as seen,
        otel_genai.tool("t", arguments={"a": 1}),
        otel_genai.retrieval("docs", query="sky"),
    ):
        pass
    assert hook.given == []
    assert not {"gen_ai.tool.call.arguments", "gen_ai.retrieval.query.text"} & {
        key for span in seen.spans for key in span["attributes"]
    }


def test_maskers_are_before_the_hook_and_the_budget_is_not():
    """All of a long conversation, without what is masked."""
    hook = Hook()
    long = "jo@example.com " + "wind " * 10_000
    with (
        testing.capture(completion_hook=hook, mask="email", capture="SPAN_ONLY") as seen,
        otel_genai.inference("m", provider="p", input=long),
    ):
        pass
    [part] = hook.given[0]["inputs"][0].parts
    assert "example.com" not in part.content
    assert part.content.count("wind") == 10_000
    assert len(seen.spans[0]["attributes"]["gen_ai.input.messages"]) <= 8192


def test_what_cannot_be_masked_is_not_handed_over(lenient):
    """A masker that fails lets nothing through."""

    def broken(text):
        raise RuntimeError(text)

    hook = Hook()
    with testing.capture(toy.PROVIDER, completion_hook=hook, mask=[broken]) as seen:
        assert toy.Client().chat()
    assert hook.given == [] or not hook.given[0]["inputs"] + hook.given[0]["outputs"]
    assert seen.metrics["otel_genai.instrumentation.errors"][0]["value"] == 2


# --- When it goes wrong ----------------------------------------------------------------------------------


def test_a_hook_that_fails_is_counted(lenient):
    """And the call is as it was, and its span, and its event."""
    with testing.capture(toy.PROVIDER, completion_hook=Hook(error=OSError("down")), emit_event=True) as seen:
        for _ in range(20):
            assert toy.Client().chat().text == "hello there"
    assert len(seen.spans) == len(seen.events) == 20  # it does not switch anything off
    assert seen.metrics["otel_genai.instrumentation.errors"][0]["value"] == 20


def test_a_store_that_is_down_is_tried_again(monkeypatch, caplog):
    """It is counted, warned about, and costs the calls nothing; when it is back, content goes there."""
    monkeypatch.setenv(BASE_PATH, "moody://prompts")
    Store.mood = OSError("no such host")
    with testing.capture(toy.PROVIDER, completion_hook="upload") as seen:
        assert toy.Client().chat()
        assert lost(seen) == {"failed": 1, "loading": 1}
        assert "the completion hook cannot be made" in caplog.text
        assert "no such host" in caplog.text
        Store.mood = None
        monkeypatch.setattr(_upload, "_RETRY", 0.0)
        uploads = _telemetry.active().uploads
        uploads._again = 0.0
        assert toy.Client().chat()  # asks for another try
        until(lambda: uploads._hook is not None)
        assert toy.Client().chat()
    assert [set(span["attributes"]) >= REFERENCES for span in seen.spans] == [False, False, True]
    reference = seen.spans[-1]["attributes"]["gen_ai.input.messages_ref"].removeprefix("moody://")
    until(lambda: any(path.endswith(reference.lstrip("/")) for path in Store.store))


def test_a_store_that_does_not_answer_is_not_waited_for(monkeypatch):
    """A moment when switching on, and never in a call."""
    monkeypatch.setenv(BASE_PATH, "moody://prompts")
    monkeypatch.setattr(_upload, "_PATIENCE", 0.05)
    Store.mood = gate = threading.Event()
    with testing.capture(toy.PROVIDER, completion_hook="upload") as seen:
        for _ in range(3):
            toy.Client().chat()
        assert lost(seen) == {"loading": 3}
        gate.set()
        until(lambda: _telemetry.active().uploads._hook is not None)
        toy.Client().chat()
    assert [set(span["attributes"]) >= REFERENCES for span in seen.spans] == [False, False, False, True]


def test_what_a_store_does_not_take_is_counted_and_said_once(monkeypatch, caplog):
    """A store that breaks later, and then hangs: the queue is full, and memory stays bounded."""
    monkeypatch.setenv(BASE_PATH, "moody://prompts")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_UPLOAD_MAX_QUEUE_SIZE", "2")
    caplog.set_level(logging.WARNING)
    with testing.capture(toy.PROVIDER, completion_hook="upload") as seen:
        Store.mood = OSError("disk full")
        for count in (2, 4):
            toy.Client().chat()
            until(lambda count=count: lost(seen).get("failed") == count)
        Store.mood = gate = threading.Event()
        for _ in range(10):
            toy.Client().chat()
        assert lost(seen)["dropped"] == 18  # two of twenty wait for the store
        gate.set()
    messages = [record.message for record in caplog.records]
    assert [message.partition(",")[0] for message in messages] == ["uploader failed", "upload queue is full"]


def test_a_forked_worker_uploads_too(tmp_path):
    """The hook's threads are the parent's: a worker has its own."""
    done = program(
        """
        import os, sys
        import otel_genai, toy
        from otel_genai import testing
        with testing.capture(toy.PROVIDER, completion_hook="upload") as seen:
            toy.Client().chat()
            child = os.fork()
            if child:
                assert os.waitpid(child, 0)[1] == 0
                assert "gen_ai.input.messages_ref" in seen.spans[0]["attributes"]
            else:
                from otel_genai import _telemetry
                toy.Client().chat()  # loads the hook
                uploads = _telemetry.active().uploads
                assert uploads._loaded.wait(20)
                toy.Client().chat()
                assert "gen_ai.input.messages_ref" in seen.spans[-1]["attributes"]
        """,
        PYTHONWARNINGS="ignore",
        **{BASE_PATH: str(tmp_path)},
    )
    assert done.stderr == ""
    assert len(list(tmp_path.glob("*_inputs.json"))) == 2


# --- Settings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "missing", "said"),
    [
        ("nobody", None, "'nobody' is no completion hook; installed are upload"),
        ("upload", None, f"'upload' needs {BASE_PATH}"),
        ("upload", "opentelemetry.util.genai", "pip install 'otel-genai[upload]'"),
        ("upload", "fsspec", "pip install 'otel-genai[upload]'"),
        (7, None, "neither the name of a completion hook nor an object"),
    ],
)
def test_what_is_wrong_is_said(chosen, missing, said, monkeypatch):
    """Under our own API as an error; from the environment as a warning, and nothing is uploaded."""
    find = _upload.importlib.util.find_spec
    monkeypatch.setattr(
        _upload.importlib.util, "find_spec", lambda name: None if name == missing else find(name)
    )
    if missing is not None:
        monkeypatch.setenv(BASE_PATH, "memory://prompts")
    with pytest.raises(ValueError, match=f"completion_hook=.*{said.replace('[', '.').replace(']', '.')}"):
        otel_genai.Settings(completion_hook=chosen)


def test_a_bad_variable_is_warned_about(monkeypatch, caplog):
    """Once, with what to do."""
    monkeypatch.setenv(HOOK, "upload")
    with testing.capture(toy.PROVIDER) as seen:
        assert toy.Client().chat()
    assert f"{HOOK}: 'upload' needs {BASE_PATH}" in caplog.text
    assert len(seen.spans) == 1


def test_nothing_is_imported_for_those_who_do_not_ask():
    """Neither the package nor the store's."""
    program(
        """
        import sys, otel_genai, toy
        otel_genai.instrument(toy.PROVIDER)
        toy.Client().chat()
        assert not {"fsspec", "opentelemetry.util.genai", "otel_genai._upload"} & set(sys.modules)
        """,
        PYTHONWARNINGS="ignore",
    )
