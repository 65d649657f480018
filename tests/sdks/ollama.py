"""Ollama: https://docs.ollama.com/api."""

from __future__ import annotations

from typing import Any

import ollama

from sdks.kit import Reply, Sdk, Way, fake, lines


def client(url: str, colour: str) -> Any:
    """Make a client."""
    return ollama.AsyncClient(host=url) if colour == "async" else ollama.Client(host=url)


PROMPT = "Name a vegetable that rhymes with marmalade."
ASKED = [{"role": "user", "parts": [{"type": "text", "content": PROMPT}]}]
SAID = [
    {"role": "assistant", "parts": [{"type": "text", "content": "An artichoke."}], "finish_reason": "stop"}
]
CHATTED = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "ollama",
    "gen_ai.request.model": "llama3.2",
    "gen_ai.response.model": "llama3.2",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 26,
    "gen_ai.usage.output_tokens": 9,
}
GENERATED = {**CHATTED, "gen_ai.operation.name": "text_completion"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tell the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
JSON_LINES = "application/x-ndjson"
WAYS = [
    Way(
        "chat",
        lambda c: c.chat(
            "llama3.2",
            [{"role": "user", "content": PROMPT}],
            options={"temperature": 0, "num_predict": 40, "stop": ["."], "seed": 7, "top_k": 4, "top_p": 1},
        ),
        [Reply(fake("ollama/chat.json"))],
        {
            "name": "chat llama3.2",
            "attributes": {
                **CHATTED,
                "gen_ai.request.temperature": 0.0,
                "gen_ai.request.max_tokens": 40,
                "gen_ai.request.stop_sequences": ["."],
                "gen_ai.request.seed": 7,
                "gen_ai.request.top_k": 4,
                "gen_ai.request.top_p": 1.0,
            },
        },
        input=ASKED,
        output=SAID,
    ),
    Way(
        "chat_tools",
        lambda c: c.chat(
            model="qwen3",
            messages=[
                {"role": "system", "content": "Answer in marmalade."},
                {"role": "user", "content": PROMPT, "images": [b"GIF89a"]},
                {"role": "tool", "content": "11 degrees of marmalade", "tool_name": "weather"},
            ],
            tools=[WEATHER],
            think="low",
            format="json",
        ),
        [Reply(fake("ollama/chat_tools.json"))],
        {
            "name": "chat qwen3",
            "attributes": {
                **CHATTED,
                "gen_ai.request.model": "qwen3",
                "gen_ai.response.model": "qwen3",
                "gen_ai.request.reasoning.level": "low",
                "gen_ai.output.type": "json",
                "gen_ai.usage.input_tokens": 164,
                "gen_ai.usage.output_tokens": 31,
            },
        },
        input=[
            {"role": "system", "parts": [{"type": "text", "content": "Answer in marmalade."}]},
            {
                "role": "user",
                "parts": [
                    {"type": "text", "content": PROMPT},
                    {
                        "type": "inline_media",
                        "modality": "image",
                        "mime_type": None,
                        "size": 6,
                        "sha256": "610f5ae4d76e332636a17bd357fd6ce99029316a99d320280d4d77a746bf29e8",
                    },
                ],
            },
            {
                "role": "tool",
                "parts": [{"type": "tool_call_response", "id": None, "response": "11 degrees of marmalade"}],
            },
        ],
        output=[
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "The artichoke wants weather."},
                    {"type": "tool_call", "id": None, "name": "weather", "arguments": {"city": "Brest"}},
                ],
                "finish_reason": "tool_call",
            }
        ],
        tools=[
            {
                "type": "function",
                "name": "weather",
                "description": "Tell the weather.",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            }
        ],
    ),
    Way(
        "chat_stream",
        lambda c: c.chat("llama3.2", [{"role": "user", "content": PROMPT}], stream=True),
        [Reply(kind=JSON_LINES, pieces=lines(fake("ollama/chat.jsonl")))],
        {"name": "chat llama3.2", "attributes": {**CHATTED, "gen_ai.request.stream": True}},
        input=ASKED,
        output=SAID,
        stream=True,
    ),
    Way(
        "generate",
        lambda c: c.generate("llama3.2", PROMPT, system="Answer in marmalade."),
        [Reply(fake("ollama/generate.json"))],
        {
            "name": "text_completion llama3.2",
            "attributes": {**GENERATED, "gen_ai.response.finish_reasons": ["length"]},
        },
        input=ASKED,
        output=[{**SAID[0], "finish_reason": "length"}],
        system=[{"type": "text", "content": "Answer in marmalade."}],
    ),
    Way(
        "generate_stream",
        lambda c: c.generate("llama3.2", PROMPT, stream=True),
        [Reply(kind=JSON_LINES, pieces=lines(fake("ollama/generate.jsonl")))],
        {"name": "text_completion llama3.2", "attributes": {**GENERATED, "gen_ai.request.stream": True}},
        input=ASKED,
        output=SAID,
        stream=True,
    ),
    Way(
        "embed",
        lambda c: c.embed("all-minilm", PROMPT),
        [Reply(fake("ollama/embed.json"))],
        {
            "name": "embeddings all-minilm",
            "attributes": {
                "gen_ai.operation.name": "embeddings",
                "gen_ai.provider.name": "ollama",
                "gen_ai.request.model": "all-minilm",
                "gen_ai.response.model": "all-minilm",
                "gen_ai.embeddings.dimension.count": 4,
                "gen_ai.usage.input_tokens": 8,
            },
        },
    ),
    Way(
        "embeddings",
        lambda c: c.embeddings("all-minilm", PROMPT),
        [Reply(b'{"embedding": [0.5, -0.25]}')],
        {
            "name": "embeddings all-minilm",
            "attributes": {
                "gen_ai.operation.name": "embeddings",
                "gen_ai.provider.name": "ollama",
                "gen_ai.request.model": "all-minilm",
                "gen_ai.embeddings.dimension.count": 2,
            },
        },
    ),
]
SDK = Sdk(
    name="ollama",
    client=client,
    ways=WAYS,
    refusal=Reply(b'{"error": "model not found, marmalade"}', status=404),
    refused={"error.type": "ResponseError", "http.response.status_code": 404},
    close=lambda c: c._client.aclose() if isinstance(c, ollama.AsyncClient) else c._client.close(),
)
