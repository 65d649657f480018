"""Whose call it was: on every span from its start, ours and others', wherever the work is done."""

from __future__ import annotations

import enum
import inspect
import uuid

import pytest
from opentelemetry import context as otel
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult

import otel_genai
import toy
from otel_genai import Capture, _context, testing
from otel_genai import semconv as s
from otel_genai._processor import ContextProcessor
from toy import Client

WHOSE = {
    "gen_ai.conversation.id": "c-1",
    "user.id": "u-7",
    "session.id": "s-3",
    "otel_genai.team": "search",
    "gen_ai.prompt.name": "support",
    "gen_ai.prompt.version": "4",
    "otel_genai.experiment": "b",
    "app.tenant": 12,
}


def whose():
    """Say all there is to say."""
    return otel_genai.context(
        conversation_id="c-1",
        user="u-7",
        session="s-3",
        team="search",
        prompt="support@4",
        experiment="b",
        **{"app.tenant": 12},
    )


@pytest.fixture
def seen():
    """Instrument the toy, with the processor for the spans of others."""
    with testing.capture(toy.PROVIDER) as seen:
        seen.tracer_provider.add_span_processor(ContextProcessor())
        yield seen


def call(name="call"):
    """Make a patched call and one by hand."""
    Client().chat(model=name)
    with otel_genai.tool(name):
        pass


def theirs(seen, name="theirs"):
    """Make a span that is not ours."""
    seen.tracer_provider.get_tracer("theirs").start_span(name).end()


def found(seen, *keys):
    """Give of each span its name and what it says of these attributes, or of all we speak of here."""
    keys = keys or tuple(WHOSE)
    return [
        (ended["name"].split()[-1], {k: v for k, v in ended["attributes"].items() if k in keys})
        for ended in seen.spans
    ]


def users(seen):
    """Give the user of each span, by its name."""
    return [(name, said.get("user.id")) for name, said in found(seen, "user.id")]


# --- What is said ----------------------------------------------------------------------------------------


def test_all_of_it_is_on_every_span_within(seen):
    """Under the conventions' names where they have one, on our spans and on others'."""
    with whose():
        call("within")
        theirs(seen, "within")
    call("after")
    theirs(seen, "after")
    assert found(seen) == [("within", WHOSE)] * 3 + [("after", {})] * 3


def test_samplers_see_it():
    """It is there when the span is made, so that one can sample by tenant."""
    asked = []

    class ByTeam(Sampler):
        def should_sample(self, parent_context, trace_id, name, kind=None, attributes=None, *_, **__):
            asked.append(dict(attributes or {}))
            wanted = (attributes or {}).get("otel_genai.team") == "search"
            return SamplingResult(Decision.RECORD_AND_SAMPLE if wanted else Decision.DROP)

        def get_description(self):
            return "by team"

    with testing.capture(toy.PROVIDER, sampler=ByTeam()) as seen:
        with whose():
            call("ours")
        with otel_genai.context(team="ads"):
            call("others")
    assert [name for name, _ in found(seen)] == ["ours", "ours"]
    assert [attributes.items() >= WHOSE.items() for attributes in asked] == [True, True, False, False]


@pytest.mark.parametrize(
    ("prompt", "name", "version"),
    [
        ("support", "support", None),
        ("support@4", "support", "4"),
        ("a@b@4", "a@b", "4"),
        ("@scope", "@scope", None),
        ("open@", "open@", None),
        (("support", 4), "support", "4"),
        (("support@x", None), "support@x", None),
        (["support", "v4"], "support", "v4"),
    ],
)
def test_a_prompt_has_a_name_and_perhaps_a_version(seen, prompt, name, version):
    """In one string, or as a pair."""
    with otel_genai.context(prompt=prompt):
        theirs(seen)
    attributes = seen.spans[0]["attributes"]
    assert (attributes[s.PROMPT_NAME], attributes.get(s.PROMPT_VERSION)) == (name, version)


class Team(str, enum.Enum):
    """A string, and more."""

    SEARCH = "search"


def test_values_are_what_every_exporter_can_send(seen):
    """An enum's value, half an emoji replaced, a number that is too long as text; None is left out."""
    with otel_genai.context(
        user=2**70, team=Team.SEARCH, session="a\ud83d", experiment=None, share=0.5, on=True
    ):
        theirs(seen)
    attributes = seen.spans[0]["attributes"]
    assert attributes == {
        "user.id": str(2**70),
        "otel_genai.team": "search",
        "session.id": "a?",
        "share": 0.5,
        "on": True,
    }
    assert type(attributes["otel_genai.team"]) is str


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"user": uuid.uuid4()}, r"context\(\): user.id is a UUID; give a string, a number, True or False"),
        ({"tags": ["a"]}, r"context\(\): tags is a list"),
        ({"prompt": ("a", "b", "c")}, r'context\(prompt=\(.*give "name", "name@version" or'),
    ],
)
def test_what_cannot_be_said_is_an_error_that_says_what_can(given, message):
    """At once, where it is written."""
    with pytest.raises(TypeError, match=message):
        otel_genai.context(**given)


# --- Content, narrowed -----------------------------------------------------------------------------------


BOTH, SPAN, EVENT, NONE = "SPAN_AND_EVENT", "SPAN_ONLY", "EVENT_ONLY", "NO_CONTENT"


@pytest.mark.parametrize(
    ("outer", "inner", "left"),
    [
        (None, None, None),
        (None, SPAN, SPAN),
        (SPAN, None, SPAN),
        (NONE, BOTH, NONE),
        (SPAN, BOTH, SPAN),
        (BOTH, EVENT, EVENT),
        (SPAN, EVENT, NONE),
        (Capture.EVENT_ONLY, "event_only", EVENT),
    ],
)
def test_contexts_only_take_capture_away(outer, inner, left):
    """Content is recorded where all contexts around a call let it be."""
    with otel_genai.context(capture=outer), otel_genai.context(capture=inner), otel_genai.context(user="u"):
        scope = _context.current(otel.get_current())
        assert scope.capture == (None if left is None else Capture(left))


def test_a_mode_that_is_none_is_an_error():
    """It says which there are."""
    with pytest.raises(ValueError, match="'NOTHING' is not one of NO_CONTENT, SPAN_ONLY"):
        otel_genai.context(capture="NOTHING")


# --- Spans of others -------------------------------------------------------------------------------------


def test_what_a_span_says_of_itself_is_left(seen):
    """The processor adds, and never overwrites."""
    tracer = seen.tracer_provider.get_tracer("theirs")
    with otel_genai.context(user="u-7", team="search"):
        tracer.start_span("theirs", attributes={"user.id": "their own", "more": 1}).end()
    assert seen.spans[0]["attributes"] == {"user.id": "their own", "more": 1, "otel_genai.team": "search"}


def test_spans_of_others_are_where_their_parent_is(seen):
    """The context they are started with counts, not the one that happens to be current."""
    tracer = seen.tracer_provider.get_tracer("theirs")
    with otel_genai.context(user="u-7"):
        here = otel.get_current()
        with otel_genai.context(user="u-8"):
            tracer.start_span("first", here).end()
            tracer.start_span("second", otel.Context()).end()
            tracer.start_span("third").end()
    assert users(seen) == [("first", "u-7"), ("second", None), ("third", "u-8")]


def test_spans_of_others_within_ours_have_it(seen):
    """The HTTP client's span under a call says whose call it was."""
    with otel_genai.context(user="u-7"):
        Client(serve=lambda _: theirs(seen, "http") or toy.ANSWER).chat()
    assert users(seen) == [("http", "u-7"), ("toy-1", "u-7")]


def test_a_generator_s_context_is_not_on_its_caller_s_spans(seen):
    """Between two items the body's context is current, but holds for nobody."""

    def items():
        with otel_genai.context(user="u-7"):
            theirs(seen, "body")
            yield 1
            theirs(seen, "body")

    for _ in items():
        theirs(seen, "caller")
    assert users(seen) == [("body", "u-7"), ("caller", None), ("body", "u-7")]


def test_the_processor_asks_nothing_without_a_context(seen, monkeypatch):
    """One look at the OpenTelemetry context, and no more."""
    monkeypatch.setattr(_context, "current", None)
    theirs(seen)
    assert seen.spans[0]["attributes"] == {}


def test_spans_that_are_not_recorded_are_left_alone():
    """No sampler's decision is turned."""
    with testing.capture(sampler=ALWAYS_OFF) as seen, otel_genai.context(user="u-7"):
        seen.tracer_provider.add_span_processor(ContextProcessor())
        theirs(seen)
        assert seen.tracer_provider.force_flush()
        seen.tracer_provider.shutdown()
    assert seen.spans == []


def test_the_processor_s_failure_is_not_the_program_s(seen, monkeypatch):
    """Their span starts, come what may; we count what went wrong."""
    from otel_genai import _processor  # noqa: PLC0415 (the test breaks it)

    told = []
    monkeypatch.setattr(_processor, "_is_ours", lambda _: 1 / 0)
    monkeypatch.setattr(_processor, "_hurt", told.append)
    with otel_genai.context(user="u-7"):
        theirs(seen)
    assert users(seen) == [("theirs", None)]
    assert [type(error) for error in told] == [ZeroDivisionError]


def test_the_processor_has_all_that_the_sdk_asks_for():
    """It is no subclass: importing us would import the SDK, which is slow."""
    theirs = {name for name, value in vars(SpanProcessor).items() if inspect.isfunction(value)}
    assert theirs <= set(dir(ContextProcessor))
