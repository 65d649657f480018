"""Plan a trip: an ordinary program that searches by meaning, calls a function, and streams its answer."""

# ruff: noqa: T201 (a program that prints)

import json
from typing import Any

import openai
from genai_prices.data_snapshot import get_snapshot

import otel_genai

get_snapshot()  # prices that are read before the first call are on its span, too

PLACES = {
    "Ghent": "old canals, small museums and a slow river",
    "Innsbruck": "a small town between high mountains, for walking and skiing",
    "Lisbon": "a hilly harbour city with trams, fish and long evenings",
}
WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city in the coming days.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def nearest_place(client: openai.OpenAI, wish: str) -> str:
    """Find the place whose description is closest in meaning to the wish."""
    answer = client.embeddings.create(model="text-embedding-3-small", input=[wish, *PLACES.values()])
    wanted, *offered = (each.embedding for each in answer.data)
    close = [sum(a * b for a, b in zip(wanted, vector, strict=True)) for vector in offered]
    return list(PLACES)[close.index(max(close))]


def get_weather(city: str) -> str:
    """Look up the weather; this one is always the same."""
    return f"sunny in {city}, 24 degrees, rain on the second evening"


def advice(client: openai.OpenAI, place: str) -> str:
    """Ask what to pack, letting the model look up the weather."""
    tools: Any = [{"type": "function", "function": WEATHER}]
    messages: Any = [{"role": "user", "content": f"What should I pack for two days in {place}?"}]
    asked = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=tools)
    messages.append(asked.choices[0].message)
    for call in asked.choices[0].message.tool_calls or []:
        if call.type == "function":
            with otel_genai.tool(call.function.name, call_id=call.id):
                weather = get_weather(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": weather})
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=tools)
    return answer.choices[0].message.content or ""


def reason(client: openai.OpenAI, place: str) -> str:
    """Ask a model that may not be there, and do with a usual one when it is not."""
    messages: Any = [{"role": "user", "content": f"Why {place}? One sentence, please."}]
    try:
        answer = client.chat.completions.create(model="gpt-4o-nano", messages=messages)
    except openai.NotFoundError:
        answer = client.chat.completions.create(model="gpt-5-mini", messages=messages)
    return answer.choices[0].message.content or ""


def plan(client: openai.OpenAI, place: str) -> None:
    """Print the plan while it is being made."""
    messages: Any = [{"role": "user", "content": f"Plan two days in {place}."}]
    with client.chat.completions.create(
        model="gpt-4o-mini", messages=messages, stream=True, stream_options={"include_usage": True}
    ) as stream:
        for chunk in stream:
            print("".join(choice.delta.content or "" for choice in chunk.choices), end="", flush=True)
    print()


def main() -> None:
    """Plan one trip for one user and print it; two teams share the bill."""
    client = openai.OpenAI()
    with otel_genai.workflow("trip-planner"), otel_genai.context(user="ada"):
        with otel_genai.context(team="search"):
            place = nearest_place(client, "somewhere with fish and trams")
            print(f"{place}! {reason(client, place)}\n")
        with otel_genai.context(team="travel"):
            print(f"{advice(client, place)}\n")
            plan(client, place)


if __name__ == "__main__":
    main()
