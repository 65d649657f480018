"""What a prompt was filled in with: content, on inferences alone, and of the prompt that is in use."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

import otel_genai
import toy
from otel_genai import semconv as s
from otel_genai import testing
from otel_genai._processor import ContextProcessor
from otel_genai.spec import Provider
from toy import Client

NAME = "gen_ai.prompt.variable."
FILLED = {
    "name": "Alice",
    "mail": "jo@example.org",
    "items": [{"id": 1}],
    "count": 0,
    "new": True,
    "ratio": 0.5,
}


def filled(attributes):
    """Give the variables among attributes, by their names."""
    found = {key: value for key, value in attributes.items() if key.startswith("gen_ai.prompt.variable")}
    return {key.removeprefix(NAME): value for key, value in found.items()}


def told(seen):
    """Give each span's variables."""
    return [filled(span["attributes"]) for span in seen.spans]


def call(**variables):
    """Make a call with a prompt that has these variables."""
    with otel_genai.context(prompt="support@4", prompt_variables=variables):
        Client().chat()


def test_variables_are_texts_on_the_span_of_an_inference():
    """As the conventions have them: one attribute each, whatever they were."""
    with testing.capture(toy.PROVIDER, capture="SPAN_ONLY") as seen:
        call(**FILLED)
    assert told(seen) == [
        {"name": "Alice", "mail": "jo@example.org", "items": '[{"id": 1}]', "count": "0", "new": "true",
         "ratio": "0.5"}
    ]  # fmt: skip
    assert seen.events == []


@pytest.mark.parametrize(
    "settings", [{}, {"emit_event": True}, {"capture": "SPAN_AND_EVENT", "capture_sample": 0}]
)
def test_variables_are_nowhere_without_content(settings):
    """On no span, event or metric; the prompt's name and version are."""
    with testing.capture(toy.PROVIDER, **settings) as seen:
        call(**FILLED)
    everything = json.dumps([seen.spans, seen.events, seen.metrics])
    assert "Alice" not in everything
    assert "prompt.variable" not in everything
    assert seen.spans[0]["attributes"]["gen_ai.prompt.version"] == "4"


def test_variables_are_on_events_where_content_is():
    """And on the span no more."""
    with testing.capture(toy.PROVIDER, capture="EVENT_ONLY") as seen:
        call(name="Alice")
    assert told(seen) == [{}]
    assert [filled(event["attributes"]) for event in seen.events] == [{"name": "Alice"}]


def test_variables_are_masked():
    """In texts, and in what is within."""
    with testing.capture(toy.PROVIDER, capture="SPAN_ONLY", mask="email") as seen:
        call(mail="to jo@example.org", more={"cc": ["al@example.org"]})
    assert told(seen) == [{"mail": "to [email]", "more": '{"cc": ["[email]"]}'}]


def test_variables_are_within_the_budget():
    """Together with the conversation; a short one stays whole beside a long one."""
    with testing.capture(toy.PROVIDER, capture="SPAN_ONLY", content_budget=2000) as seen:
        call(document="long " * 10_000, language="French")
    (variables,) = told(seen)
    assert variables["language"] == "French"
    assert 500 < len(variables["document"]) <= 2000


def test_no_more_than_32_are_told():
    """So many that the span's other attributes keep their room."""
    with testing.capture(toy.PROVIDER, capture="SPAN_ONLY") as seen:
        call(**{f"v{number}": "x" for number in range(200)})
    assert list(told(seen)[0]) == [f"v{number}" for number in range(32)]
    assert seen.spans[0]["attributes"]["gen_ai.request.model"]


def test_a_variable_that_is_changed_later_is_told_as_it_was():
    """At the call's begin."""
    items = ["before"]
    filled = otel_genai.context(prompt_variables={"items": items})
    with testing.capture(toy.PROVIDER, capture="SPAN_ONLY") as seen, filled:
        stream = Client().chat(stream=True)
        items[0] = "after"
        list(stream)
    assert told(seen) == [{"items": '["before"]'}]


def test_variables_are_of_the_prompt_around():
    """A context without a prompt leaves them, one with another has its own, and none are left behind."""
    with testing.capture(toy.PROVIDER, capture="SPAN_ONLY") as seen:
        with otel_genai.context(prompt="outer", prompt_variables={"a": 1}):
            with otel_genai.context(user="u-7"):
                Client().chat()
            with otel_genai.context(prompt="inner"):
                Client().chat()
            with otel_genai.context(prompt_variables={"b": 2}):
                Client().chat()
            Client().chat()
        Client().chat()
    assert told(seen) == [{"a": "1"}, {}, {"b": "2"}, {"a": "1"}, {}]


def test_variables_are_on_no_other_span():
    """Neither on tools, nor on what is not ours; an inference by hand has them, too."""
    with testing.capture(toy.PROVIDER, capture="SPAN_ONLY") as seen:
        seen.tracer_provider.add_span_processor(ContextProcessor())
        with otel_genai.context(prompt="support", prompt_variables={"a": 1}):
            with otel_genai.tool("search"), otel_genai.workflow("answer"):
                seen.tracer_provider.get_tracer("theirs").start_span("theirs").end()
            with otel_genai.inference("llama-3", provider="vllm"):
                pass
    spans = {span["name"]: filled(span["attributes"]) for span in seen.spans}
    assert spans.pop("chat llama-3") == {"a": "1"}
    assert list(spans.values()) == [{}, {}, {}]


def test_a_decorated_function_has_them_and_a_pool_where_it_is_asked_for():
    """As it has all the rest."""

    @otel_genai.context(prompt="support", prompt_variables={"a": 1})
    def work():
        Client().chat()
        with ThreadPoolExecutor() as pool:
            pool.submit(Client().chat).result()

    with testing.capture(toy.PROVIDER, capture="SPAN_ONLY", threads=True) as seen:
        work()
    assert told(seen) == [{"a": "1"}, {"a": "1"}]


def test_a_value_that_cannot_be_read_costs_nothing_but_itself(monkeypatch):
    """The call goes on, and our failure is counted."""
    monkeypatch.delenv("_OTEL_GENAI_STRICT", raising=False)

    class Odd:
        def __str__(self):
            raise OSError

    with testing.capture(toy.PROVIDER, capture="SPAN_ONLY") as seen:
        call(odd=Odd(), name="Alice")
    assert told(seen) == [{"name": "Alice"}]
    assert seen.metrics["otel_genai.instrumentation.errors"]


@pytest.mark.parametrize("given", [{"name": "Alice", "\ud83d": 0}, None, "Alice", {1: "Alice"}])
def test_a_request_may_say_itself_what_its_prompt_is_filled_in_with(given):
    """As a provider reads it; what are no variables is absent."""

    class Hook(toy.Hook):
        def request(self, client, args, kwargs):
            found = super().request(client, args, kwargs)
            found.operation = replace(toy.CHAT, contents={s.PROMPT_VARIABLE: lambda _: given})
            return found

    provider = Provider("toy", requires="toy-sdk", hooks=dict.fromkeys(toy.PROVIDER.hooks, Hook()))
    for capture in ("SPAN_ONLY", "NO_CONTENT"):
        with testing.capture(provider, capture=capture) as seen:
            Client().chat()
        known = isinstance(given, dict) and "name" in given and capture == "SPAN_ONLY"
        assert told(seen) == [{"name": "Alice", "?": "0"} if known else {}]


@pytest.mark.parametrize("wrong", ["name", ["name"], {1: "x"}, 7])
def test_what_are_no_variables_is_said_at_once(wrong):
    """As with every mistake in a call of ours."""
    with pytest.raises(TypeError, match=r"^context\(prompt_variables=\.\.\.\): give values by their names"):
        otel_genai.context(prompt_variables=wrong)
