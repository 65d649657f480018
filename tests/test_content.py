"""The one gate for content: whether, where and how much is recorded, without what, and of which calls."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from typing import Any

import pytest
from opentelemetry.sdk.trace import SpanLimits

import otel_genai
import toy
from otel_genai import _telemetry, content, testing
from registry import KITS, Line, ask, every, named
from ways import now

SECRETS = {
    "keys": "sk-ant-api03-abcdefghijklmnopqrstuvwx",
    "email": "jo.doe+x@example.co.uk",
    "phone": "+49 30 901820",
    "card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "ip": "2001:db8::8a2e:370:7334",
}
CONTENT = {"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions",
           "gen_ai.tool.definitions", "gen_ai.tool.call.arguments", "gen_ai.tool.call.result",
           "gen_ai.retrieval.query.text", "gen_ai.retrieval.documents"}  # fmt: skip


@pytest.fixture
def lenient(monkeypatch):
    """Behave as for users: failures of ours do not raise."""
    monkeypatch.delenv(_telemetry.STRICT)


def recorded(span):
    """Give the content of a span."""
    return {key: value for key, value in span["attributes"].items() if key in CONTENT}


def said(text, **settings):
    """Have one call say something, and give the span's attributes."""
    with testing.capture(toy.PROVIDER, **{"capture": "SPAN_AND_EVENT", **settings}) as seen:
        toy.Client(lambda _: {**toy.ANSWER, "text": text}).chat(prompt=text)
    [span], [event] = seen.spans, seen.events
    return span["attributes"], event["attributes"]


# --- Whether and where -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", otel_genai.Capture)
def test_content_goes_where_it_is_wanted(mode):
    """On the span, on the event, on both, or nowhere."""
    with testing.capture(toy.PROVIDER, capture=mode, emit_event=True) as seen:
        toy.Client().chat()
    wanted = {"gen_ai.input.messages", "gen_ai.output.messages"}
    assert set(recorded(seen.spans[0])) == (wanted if mode.on_span else set())
    assert set(recorded(seen.events[0])) == (wanted if mode.on_event else set())


def test_single_operations_may_be_captured_otherwise():
    """Less or more than the rest."""
    with testing.capture(toy.PROVIDER, capture_operations={"execute_tool": "SPAN_ONLY"}) as seen:
        toy.Client().chat()
        with otel_genai.tool("t", arguments={"a": 1}):
            pass
    assert [set(recorded(span)) for span in seen.spans] == [set(), {"gen_ai.tool.call.arguments"}]


@pytest.mark.parametrize("inner", otel_genai.Capture)
@pytest.mark.parametrize("outer", otel_genai.Capture)
def test_a_call_can_only_have_less_than_the_settings_allow(outer, inner):
    """`context(capture=...)` narrows, for what is within, by hand and patched."""
    with testing.capture(toy.PROVIDER, capture=outer, emit_event=True) as seen:
        with otel_genai.context(capture=inner), otel_genai.tool("t", arguments={"a": 1}):
            toy.Client().chat()
        toy.Client().chat()
    chat, tool, after = seen.spans
    assert bool(recorded(chat)) is bool(recorded(tool)) is (outer.on_span and inner.on_span)
    assert bool(recorded(seen.events[0])) is (outer.on_event and inner.on_event)
    assert bool(recorded(after)) is outer.on_span


@pytest.mark.parametrize("inner", otel_genai.Capture)
@pytest.mark.parametrize("outer", otel_genai.Capture)
def test_a_call_within_another_for_the_same_can_have_less_too(outer, inner):
    """Its content is taken over to the places of the outer one, or to none."""
    with (
        testing.capture(toy.PROVIDER, capture=outer, emit_event=True) as seen,
        otel_genai.inference("m", provider="toy"),
        otel_genai.context(capture=inner),
    ):
        toy.Client().chat()
    [span], [event] = seen.spans, seen.events
    allowed = (not outer.on_span or inner.on_span) and (not outer.on_event or inner.on_event)
    assert bool(recorded(span)) is (allowed and outer.on_span)
    assert bool(recorded(event)) is (allowed and outer.on_event)


class Group(Exception):  # noqa: N818 (as Python's own, which 3.10 lacks)
    """Exceptions of several tasks."""

    def __init__(self, *exceptions):
        """Keep them."""
        super().__init__("CANARY")
        self.exceptions = exceptions


@otel_genai.workflow("w")
@otel_genai.agent("a")
def answered(around, narrow):
    """Ask a model that refuses, and tell it in one way or another."""

    def refuse(_body):
        raise ConnectionError("CANARY")

    try:
        with otel_genai.context(**narrow):
            toy.Client(refuse).chat()
    except ConnectionError as error:
        if around == "raised from it":
            raise ValueError("it said CANARY") from error
        found = error
    raise Group(found) if around == "in a group" else found


@pytest.mark.parametrize("around", ["as it is", "raised from it", "in a group"])
@pytest.mark.parametrize(
    ("modes", "narrow"),
    [({"capture_operations": {"chat": "NO_CONTENT"}}, {}), ({}, {"capture": "NO_CONTENT"})],
    ids=["operation", "context"],
)
def test_an_error_of_a_call_without_content_is_without_it_on_the_spans_around(modes, narrow, around):
    """It passes through them, and may echo the prompt there, too."""
    with testing.capture(toy.PROVIDER, capture="SPAN_ONLY", **modes) as seen:
        with pytest.raises(Exception, match="CANARY"):
            answered(around, narrow)
        with pytest.raises(ValueError, match="OTHER"), otel_genai.workflow("w"):
            raise ValueError("OTHER")
    assert "CANARY" not in json.dumps(seen.spans[:3])
    assert {span["status"] for span in seen.spans} == {"ERROR"}
    assert "OTHER" in json.dumps(seen.spans[3])


def test_a_share_of_the_traces_is_captured_whole():
    """One in two of a thousand, give or take; every span of a trace or none."""
    with testing.capture(toy.PROVIDER, capture="SPAN_ONLY", capture_sample=0.5) as seen:
        for _ in range(1000):
            with otel_genai.tool("t", arguments={"a": 1}):
                toy.Client().chat()
    captured: dict[int, set[bool]] = {}
    for span in seen.finished:
        captured.setdefault(span.context.trace_id, set()).add(bool(CONTENT & set(span.attributes)))
    assert all(len(found) == 1 for found in captured.values())
    assert 400 < sum(found == {True} for found in captured.values()) < 600


@pytest.mark.parametrize(("share", "all_of_them"), [(0, False), (1, True)])
def test_a_share_of_none_and_of_all(share, all_of_them):
    """The ends of the scale are exact."""
    with testing.capture(toy.PROVIDER, capture="SPAN_ONLY", capture_sample=share) as seen:
        for _ in range(50):
            toy.Client().chat()
    assert {bool(recorded(span)) for span in seen.spans} == {all_of_them}


def test_content_of_failed_calls_alone():
    """What was asked is kept until the end is known."""

    def refuse(_body):
        raise ConnectionError

    with testing.capture(toy.PROVIDER, capture="SPAN_ONLY", capture_on_error=True) as seen:
        toy.Client().chat()
        with pytest.raises(ConnectionError):
            toy.Client(refuse).chat()
        toy.Client().chat(stream=True).close()
    assert [set(recorded(span)) for span in seen.spans] == [set(), {"gen_ai.input.messages"}, set()]


# --- Without what ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SECRETS)
def test_what_is_masked_is_masked_on_the_span_and_on_the_event(kind):
    """By name, each kind for itself; the others stay."""
    text = " and ".join(SECRETS.values())
    for attributes in said(text, mask=[kind]):
        told = json.dumps([attributes[key] for key in CONTENT & set(attributes)], ensure_ascii=False)
        assert SECRETS[kind] not in told
        assert [name for name, secret in SECRETS.items() if secret not in told] == [kind]
        assert f"[{kind.removesuffix('s')}]" in told


def test_masks_of_ones_own_come_first():
    """A regular expression, a function, the variable's pattern; in JSON within JSON, in keys, in numbers."""
    own = [re.compile("ACME-[0-9]+"), lambda text: text.replace("Jo", "[name]")]
    value = {
        "ACME-12": ['{"who": "Jo", "card": 4111111111111111}', 4111111111111111, 7, None, True],
        "ACME-13": "a SECRET",
    }
    mask = [*own, "card"]
    with (
        testing.capture(capture="SPAN_ONLY", mask=mask, mask_pattern="(?i)secret") as seen,
        otel_genai.tool("t") as run,
    ):
        run.result(value)
    told = json.loads(seen.spans[0]["attributes"]["gen_ai.tool.call.result"])
    inner = '{"who": "[name]", "card": "[card]"}'
    assert told == {"[masked]": [inner, "[card]", 7, None, True], "[masked] 2": "a [masked]"}


def picky(text):
    """Mask nothing but what says so, and fail with it."""
    if "CANARY" in text:
        raise UnicodeError("cannot mask " + text)
    return text


@pytest.mark.parametrize(
    "bad", [lambda _: 1 / 0, lambda _: None, picky], ids=["raises", "gives no text", "repeats it"]
)
def test_a_masker_that_fails_leaks_nothing(lenient, caplog, bad):
    """The content is left out, the failure counted and told without it; the rest is recorded each time."""
    with testing.capture(toy.PROVIDER, capture="SPAN_AND_EVENT", mask=[bad]) as seen:
        for _ in range(12):
            toy.Client().chat(prompt="CANARY")
    assert len(seen.spans) == 12
    assert "CANARY" not in json.dumps([seen.spans, seen.events]) + caplog.text
    assert {span["attributes"]["gen_ai.usage.input_tokens"] for span in seen.spans} == {5}
    [point] = seen.metrics["otel_genai.instrumentation.errors"]
    assert point["value"] >= 12


def test_an_exception_s_message_and_trace_are_content():
    """Masked and cut like the rest, on the event and in the status; with content off there is neither."""

    def refuse(_body):
        raise ConnectionError("no route for jo@example.org " + "x" * 100_000)

    for mode, there in (("SPAN_ONLY", True), ("NO_CONTENT", False)):
        with (
            testing.capture(toy.PROVIDER, capture=mode, mask=["email"]) as seen,
            pytest.raises(ConnectionError),
        ):
            toy.Client(refuse).chat()
        [span] = seen.spans
        assert "jo@example.org" not in json.dumps(span)
        assert (
            ("[email]" in json.dumps(span["events"])) is ("[email]" in (span["description"] or "")) is there
        )
        assert len(json.dumps(span)) < 12_000


# --- How much --------------------------------------------------------------------------------------------

PICTURE = b"\x89PNG" + b"lighthouse" * 5000


@pytest.mark.parametrize(("kit", "endpoint", "colour"), every(), ids=[named(case) for case in every()])
async def test_media_never_goes_in(kit, endpoint, colour):
    """Whatever a message carries it in: type, size and SHA-256 do."""
    url = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
    with testing.capture(kit.name, capture="SPAN_AND_EVENT", content_budget=10**6) as seen:
        client = kit.client(Line([lambda: kit.response(endpoint.bodies[0])]).handle, colour)
        turns = endpoint.body[endpoint.turns]
        given = f"look {url}" if isinstance(turns, str) else [{"role": "user", "content": f"look {url}"}]
        await now(ask(client, endpoint, **{endpoint.turns: given}))
    told = json.dumps([seen.spans, seen.events])
    assert url not in told
    if "gen_ai.input.messages" in seen.spans[0]["attributes"]:
        assert f"{len(PICTURE)} bytes, sha256 {hashlib.sha256(PICTURE).hexdigest()}" in told


BASE64 = base64.b64encode(b"\x89PNG\r\n\x1a\n" + PICTURE).decode()


@pytest.mark.parametrize(
    "given",
    [PICTURE, bytearray(PICTURE), {"file": memoryview(PICTURE)}, BASE64, {"type": "image", "data": BASE64},
     {"blob": [f"here: {BASE64}, look"]}, base64.encodebytes(base64.b64decode(BASE64)).decode(),
     {1.5: PICTURE, "nan": float("nan")}],
    ids=["bytes", "bytearray", "memoryview", "base64", "a part", "in a text", "in lines", "odd JSON"],
)  # fmt: skip
def test_files_that_tools_are_given_do_not_go_in(given):
    """Nobody says that it is one: bytes are, and what begins as one does."""
    with testing.capture(capture="SPAN_ONLY", content_budget=10**6) as seen, otel_genai.tool("t") as run:
        run.result(given)
    told = seen.spans[0]["attributes"]["gen_ai.tool.call.result"]
    assert "sha256" in told
    assert "bytes" in told
    assert len(told) < 300


def test_media_is_described_by_what_it_is():
    """Bytes or base64 in either alphabet: the same size and digest; what is neither has none."""
    known = {"size": len(PICTURE), "sha256": hashlib.sha256(PICTURE).hexdigest()}
    for data in (PICTURE, base64.b64encode(PICTURE).decode(), base64.urlsafe_b64encode(PICTURE).decode()):
        part = content.media("image", data=data, mime_type="image/png")
        assert part == {"type": "inline_media", "modality": "image", "mime_type": "image/png", **known}
    assert content.media("image", data="?" * 5)["size"] in (None, 0)


CONVERSATION = [
    {"role": "system", "parts": [content.text("You keep a lighthouse.")]},
    *(
        {"role": ("user", "assistant")[turn % 2], "parts": [content.text("wind " * 400)]}
        for turn in range(400)
    ),
    {"role": "assistant", "parts": [content.tool_call("c1", "tide", {"harbour": "Skerry"})]},
    {"role": "tool", "parts": [content.tool_result("c1", "at six")]},
    {"role": "user", "parts": [content.text("When does it open?")]},
]


def conversed(**settings: Any) -> Any:
    """Have a long conversation, and give what was recorded."""
    with (
        testing.capture(capture="SPAN_ONLY", **settings) as seen,
        otel_genai.inference("m", provider="p", input=CONVERSATION) as call,
    ):
        call.answer("At six.")
    return recorded(seen.spans[0])


def test_of_a_long_conversation_the_ends_stay():
    """Instructions, tool calls and the last turns whole, the middle not, and what is gone is said."""
    found = conversed()
    assert sum(len(value) for value in found.values()) <= 8192
    turns = json.loads(found["gen_ai.input.messages"])
    assert (turns[0], turns[-1]) == (CONVERSATION[0], CONVERSATION[-1])
    assert CONVERSATION[-3] in turns
    assert CONVERSATION[-2] in turns
    [gone] = [part for turn in turns if turn["role"] == "cut" for part in turn["parts"]]
    assert gone["type"] == "cut"
    assert gone["items"] == len(CONVERSATION) - len(turns) + 1
    assert json.loads(found["gen_ai.output.messages"])[0]["parts"] == [content.text("At six.")]


@pytest.mark.parametrize("length", [300, 1000, 5000])
def test_content_is_json_under_the_sdk_s_own_limit(length, monkeypatch):
    """Nothing is left for the SDK to cut in the middle."""
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", str(length))
    assert SpanLimits().max_span_attribute_length == length
    for value in conversed().values():
        assert len(value) <= length
        assert json.loads(value)


def test_a_long_text_keeps_head_and_tail():
    """With the number of bytes that it had between them."""
    text = "The lamp was lit. " + "é" * 50_000 + " It was dusk."
    told = said(text)[0]
    [turn] = json.loads(told["gen_ai.output.messages"])
    [part] = turn["parts"]
    assert part["content"].startswith("The lamp was lit.")
    assert part["content"].endswith(" It was dusk.")
    assert f"[... {len(text.encode())} bytes, cut ...]" in part["content"]


@pytest.mark.parametrize("kit", KITS.values(), ids=KITS)
async def test_a_budget_is_kept_on_events_too(kit):
    """The event carries what the span does."""
    endpoint = next(iter(kit.endpoints.values()))
    with testing.capture(kit.name, capture="SPAN_AND_EVENT", content_budget=1000) as seen:
        client = kit.client(Line([lambda: kit.response(endpoint.bodies[0])]).handle, "sync")
        turns = [{"role": "user", "content": "wind " * 5000}] * 20
        ask(client, endpoint, **{endpoint.turns: turns})
    for found in (recorded(seen.spans[0]), recorded(seen.events[0])):
        assert len(json.dumps(found)) < 1500
        assert found


# --- Whose -----------------------------------------------------------------------------------------------


def test_a_user_s_id_can_be_replaced_by_its_keyed_hash():
    """On our spans, on others', on counters; the same for the same user, and another with another key."""
    told = []
    for key in ("first", "first", "second"):
        with testing.capture(toy.PROVIDER, user_key=key, metric_dimensions="user") as seen:
            seen.tracer_provider.add_span_processor(otel_genai.ContextProcessor())
            with otel_genai.context(user="jo@example.org"):
                seen.tracer_provider.get_tracer("theirs").start_span("theirs").end()
                toy.Client().chat()
        assert "jo@example.org" not in json.dumps([seen.spans, seen.metrics])
        [point] = seen.metrics["otel_genai.calls"]
        [user] = {span["attributes"]["user.id"] for span in seen.spans} | {point["attributes"]["user.id"]}
        told.append(user)
    assert told[0] == told[1] != told[2]
    assert told[0] == hmac.new(b"first", b"jo@example.org", hashlib.sha256).hexdigest()


def test_a_user_s_id_that_was_sent_is_hashed_unless_it_is_one():
    """The sender may have no key; what has been hashed there is the same here."""
    digest = hmac.new(b"key", b"jo@example.org", hashlib.sha256).hexdigest()
    with testing.capture(toy.PROVIDER, user_key="key", baggage="user") as seen:
        for sent in ("jo%40example.org", digest):
            with otel_genai.extract_context({"baggage": f"user.id={sent}"}):
                toy.Client().chat()
    assert [span["attributes"]["user.id"] for span in seen.spans] == [digest, digest]
