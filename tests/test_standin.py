"""The stand-in for the OpenAI API, asked by the real SDK."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

from otel_genai.demo.model import RATE_LIMITED, REASONING_TOKENS
from otel_genai.demo.standin import DIMENSIONS, SECONDS_TO_THINK, StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator

ASK: Any = [{"role": "user", "content": "Where should I go?"}]
WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            "days": {"type": "integer"},
        },
    },
}
ARGUMENTS = {"city": "Lisbon", "unit": "celsius", "days": 2}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Give the address of a stand-in that answers at once."""
    with StandIn(pace=0) as stand_in:
        yield stand_in.url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    """Give a client of the stand-in."""
    with openai.OpenAI(base_url=url, api_key="none") as client:
        yield client


def test_chat_answers(client: openai.OpenAI) -> None:
    """A plain call gets a text, a finish reason, the snapshot's name and a usage that adds up."""
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=ASK, n=2)
    assert [choice.finish_reason for choice in answer.choices] == ["stop", "stop"]
    assert (answer.object, answer.model, answer.service_tier) == (
        "chat.completion",
        "gpt-4o-mini-2024-07-18",
        "default",
    )
    assert answer.choices[0].message.content
    usage = answer.usage
    assert usage is not None
    assert usage.prompt_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_the_same_request_gets_the_same_answer(client: openai.OpenAI) -> None:
    """Nothing in an answer depends on chance or time."""
    first, second = (client.chat.completions.create(model="gpt-4o", messages=ASK) for _ in range(2))
    assert first == second


def test_reasoning_models_report_their_reasoning(client: openai.OpenAI) -> None:
    """Reasoning tokens are a part of the output tokens, in both APIs."""
    chat = client.chat.completions.create(model="gpt-5-mini", messages=ASK).usage
    assert chat is not None
    assert chat.completion_tokens_details is not None
    assert chat.completion_tokens_details.reasoning_tokens == REASONING_TOKENS
    assert chat.completion_tokens > REASONING_TOKENS
    response = client.responses.create(model="gpt-5-mini", input="Where should I go?")
    assert response.usage is not None
    assert response.usage.output_tokens_details.reasoning_tokens == REASONING_TOKENS
    assert [item.type for item in response.output] == ["reasoning", "message"]


def test_chat_streams(client: openai.OpenAI) -> None:
    """The pieces of a stream add up to the plain answer, and the usage comes last when it is asked for."""
    plain = client.chat.completions.create(model="gpt-4o-mini", messages=ASK)
    with client.chat.completions.create(
        model="gpt-4o-mini", messages=ASK, stream=True, stream_options={"include_usage": True}
    ) as stream:
        *chunks, last = stream
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks[-2:]] == [None, "stop"]
    assert len("".join(chunk.choices[0].delta.content or "" for chunk in chunks)) > len(chunks)
    assert plain.usage is not None
    assert last.usage is not None
    assert (last.choices, last.usage.prompt_tokens) == ([], plain.usage.prompt_tokens)


def test_chat_streams_without_usage_unless_asked(client: openai.OpenAI) -> None:
    """Without `include_usage` no chunk has a usage or an empty list of choices."""
    with client.chat.completions.create(model="gpt-4o-mini", messages=ASK, stream=True, n=2) as stream:
        chunks = list(stream)
    assert {(chunk.usage, len(chunk.choices)) for chunk in chunks} == {(None, 1)}
    assert {chunk.choices[0].index for chunk in chunks} == {0, 1}


def test_chat_calls_a_tool_and_then_answers(client: openai.OpenAI) -> None:
    """With tools the model calls the first one; given the result it answers, the beginning from its cache."""
    tools: Any = [{"type": "function", "function": WEATHER}]
    first = client.chat.completions.create(model="gpt-4o-mini", messages=ASK, tools=tools).choices[0]
    assert (first.finish_reason, first.message.content) == ("tool_calls", None)
    assert first.message.tool_calls is not None
    call: Any = first.message.tool_calls[0]
    assert (call.type, len(first.message.tool_calls)) == ("function", 1)
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", ARGUMENTS)
    turns = [*ASK, first.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    second = client.chat.completions.create(model="gpt-4o-mini", messages=turns, tools=tools)
    assert second.choices[0].message.content == (
        "The answer was sunny. Pack for that, and keep the walks for the dry hours."
    )
    assert second.usage is not None
    assert second.usage.prompt_tokens_details is not None
    assert 0 < (second.usage.prompt_tokens_details.cached_tokens or 0) < second.usage.prompt_tokens


def test_chat_streams_a_tool_call(client: openai.OpenAI) -> None:
    """A streamed tool call comes as a head and pieces of its arguments."""
    tools: Any = [{"type": "function", "function": WEATHER}]
    with client.chat.completions.create(model="gpt-4o", messages=ASK, tools=tools, stream=True) as stream:
        choices = [chunk.choices[0] for chunk in stream]
    deltas = [call for choice in choices for call in choice.delta.tool_calls or ()]
    functions = [delta.function for delta in deltas if delta.function]
    assert (deltas[0].type, functions[0].name, functions[0].arguments) == ("function", "get_weather", "")
    assert json.loads("".join(function.arguments or "" for function in functions)) == ARGUMENTS
    assert choices[-1].finish_reason == "tool_calls"


def test_responses_answer(client: openai.OpenAI) -> None:
    """A plain response is completed, has a text, and gives back what was asked for."""
    response = client.responses.create(
        model="gpt-4o", input="Where to?", instructions="Be brief.", temperature=0.2
    )
    assert (response.status, response.model, response.instructions) == (
        "completed",
        "gpt-4o-2024-08-06",
        "Be brief.",
    )
    assert response.temperature == 0.2
    assert response.output_text
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_responses_call_a_tool_and_then_answer(client: openai.OpenAI) -> None:
    """The round trip of a tool works with items, as it does with messages."""
    tools: Any = [{"type": "function", "strict": False, **WEATHER}]
    first = client.responses.create(model="gpt-4o", input=ASK, tools=tools)
    (call,) = first.output
    assert call.type == "function_call"
    assert json.loads(call.arguments) == ARGUMENTS
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    second = client.responses.create(model="gpt-4o", input=[*ASK, call, result], tools=tools)  # type: ignore[list-item]
    assert second.output_text.startswith("The answer was rain.")
    assert second.usage is not None
    # openai 1.66 has no type for these details.
    assert second.usage.model_dump()["input_tokens_details"]["cached_tokens"] > 0


@pytest.mark.parametrize(
    ("model", "tools", "items"),
    [
        (
            "gpt-5-mini",
            [],
            [
                "response.output_item.added",
                "response.output_item.done",
                "response.output_item.added",
                "response.content_part.added",
                "response.output_text.delta",
                "response.output_text.done",
                "response.content_part.done",
                "response.output_item.done",
            ],
        ),
        (
            "gpt-4o",
            [{"type": "function", "strict": False, **WEATHER}],
            [
                "response.output_item.added",
                "response.function_call_arguments.delta",
                "response.function_call_arguments.done",
                "response.output_item.done",
            ],
        ),
    ],
    ids=["text", "tool call"],
)
def test_responses_stream(client: openai.OpenAI, model: str, tools: Any, items: list[str]) -> None:
    """A streamed response has the provider's events, numbered, and ends with the whole response."""
    with client.responses.create(model=model, input="Where to?", tools=tools, stream=True) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    types = [event.type for event in events]
    once = [kind for i, kind in enumerate(types) if not kind.endswith(".delta") or types[i - 1] != kind]
    assert once == ["response.created", "response.in_progress", *items, "response.completed"]
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.usage is not None
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert deltas == last.response.output_text


def test_the_streaming_helper_accepts_the_events(client: openai.OpenAI) -> None:
    """The SDK's own accumulation of a streamed response arrives at the completed one."""
    with client.responses.stream(model="gpt-5-mini", input="Where to?") as stream:
        response = stream.get_final_response()
    assert response.status == "completed"
    assert response.output_text


def test_embeddings_come_in_both_encodings(client: openai.OpenAI) -> None:
    """The same text has the same vector of length one, packed or in plain numbers."""
    packed = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    plain = client.embeddings.create(model="text-embedding-3-small", input="a", encoding_format="float")
    assert [len(each.embedding) for each in packed.data] == [DIMENSIONS["text-embedding-3-small"]] * 2
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    assert sum(number**2 for number in plain.data[0].embedding) == pytest.approx(1)
    assert packed.data[0].embedding != packed.data[1].embedding
    assert (packed.usage.prompt_tokens, packed.usage.total_tokens) == (2, 2)


def test_embeddings_take_tokens_and_dimensions(client: openai.OpenAI) -> None:
    """Token lists are one input each, and the size of the vectors can be chosen."""
    answer = client.embeddings.create(model="text-embedding-3-large", input=[[1, 2], [3]], dimensions=8)
    assert [len(each.embedding) for each in answer.data] == [8, 8]
    assert client.embeddings.create(model="text-embedding-3-large", input=[1, 2, 3]).usage.prompt_tokens == 3


def test_unknown_models_do_not_exist(client: openai.OpenAI) -> None:
    """A model that is not there is a 404 with the provider's body, in each API."""
    for call in (
        lambda: client.chat.completions.create(model="gpt-nope", messages=ASK, stream=True),
        lambda: client.responses.create(model="gpt-nope", input="?"),
        lambda: client.embeddings.create(model="gpt-nope", input="?"),
    ):
        with pytest.raises(openai.NotFoundError) as refused:
            call()
        assert (refused.value.code, refused.value.type) == ("model_not_found", "invalid_request_error")


def test_a_model_can_be_rate_limited(client: openai.OpenAI) -> None:
    """The model named for it is refused with 429, after the SDK's retries."""
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model=RATE_LIMITED, messages=ASK)
    assert (refused.value.code, refused.value.response.headers["retry-after-ms"]) == (
        "rate_limit_exceeded",
        "1",
    )


@pytest.mark.parametrize(("path", "body", "status"), [("/nope", b"{}", 404), ("/responses", b"[", 400)])
def test_what_is_not_the_api_is_refused(url: str, path: str, body: bytes, status: int) -> None:
    """Unknown paths and bodies that are not JSON get the provider's error body."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url + path, body)
    with refused.value as answer:
        assert (answer.status, json.load(answer)["error"]["type"]) == (status, "invalid_request_error")


def test_async_clients_and_abandoned_streams(url: str) -> None:
    """Many calls at a time work, and so does a client that leaves in the middle of a stream."""

    async def ask() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
            stream = await client.chat.completions.create(model="gpt-4o", messages=ASK, stream=True)
            async for _ in stream:
                break
            await stream.close()
            return await asyncio.gather(
                *(client.chat.completions.create(model="gpt-4o", messages=ASK) for _ in range(20))
            )

    answers = asyncio.run(ask())
    assert [answer.choices[0].finish_reason for answer in answers] == ["stop"] * 20


def test_a_lifelike_answer_takes_its_time() -> None:
    """With the usual pace the first chunk keeps one waiting."""
    with StandIn() as stand_in, openai.OpenAI(base_url=stand_in.url, api_key="none") as client:
        began = time.monotonic()
        with client.chat.completions.create(model="gpt-4o", messages=ASK, stream=True) as stream:
            assert next(stream).choices[0].delta.role == "assistant"
        assert time.monotonic() - began >= SECONDS_TO_THINK


@pytest.fixture
def claude(url: str) -> Iterator[anthropic.Anthropic]:
    """Give a client of the other API."""
    with anthropic.Anthropic(base_url=url.removesuffix("/v1"), api_key="none", max_retries=0) as client:
        yield client


def test_messages_answer(claude: anthropic.Anthropic) -> None:
    """Whole or streamed, the text and the tokens are the same."""
    turns: Any = [{"role": "user", "content": "<document>Trams run.</document> Do they?"}]
    asked: Any = {"model": "claude-haiku-4-5", "max_tokens": 99, "messages": turns}
    whole = claude.messages.create(**asked)
    with claude.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    assert whole.content[0].text == streamed.content[0].text
    assert (whole.model, whole.stop_reason) == ("claude-haiku-4-5-20251001", "end_turn")
    assert whole.usage.output_tokens == streamed.usage.output_tokens > 1
    assert whole.usage.input_tokens == streamed.usage.input_tokens > 1


def test_messages_call_tools(claude: anthropic.Anthropic) -> None:
    """A tool is called with arguments that its schema allows, and its result is talked about."""
    tool: Any = {"name": "get_weather", "input_schema": WEATHER["parameters"]}
    asked: Any = {"model": "claude-haiku-4-5", "max_tokens": 99, "tools": [tool]}
    with claude.messages.stream(**asked, messages=ASK) as stream:
        [call] = stream.get_final_message().content
    assert (call.name, call.input) == ("get_weather", ARGUMENTS)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    turns: Any = [*ASK, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    assert "sunny" in claude.messages.create(**asked, messages=turns).content[0].text


def test_messages_refuse_in_their_own_shape(claude: anthropic.Anthropic) -> None:
    """There is no such model; the SDK reads why."""
    with pytest.raises(anthropic.NotFoundError, match="does not exist") as refused:
        claude.messages.create(model="claude-0", max_tokens=1, messages=ASK)
    assert refused.value.body["error"]["type"] == "not_found_error"


def test_documents_are_answered_from(client: openai.OpenAI) -> None:
    """A model that is given documents says what the first says; texts with words in common are near."""
    turns: Any = [{"role": "user", "content": "<document>Trams run.</document>\nDo they?"}]
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=turns)
    assert answer.choices[0].message.content == "As it is written: Trams run."
    texts = ["Do trams run?", "Trams run.", "Fish swim."]
    found = client.embeddings.create(model="text-embedding-3-small", input=texts).data
    asked, near, far = (each.embedding for each in found)
    assert sum(map(float.__mul__, asked, near)) > 0.5 > sum(map(float.__mul__, asked, far))
