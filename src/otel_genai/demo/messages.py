"""Anthropic's Messages API, as the stand-in serves it: https://platform.claude.com/docs/en/api/messages."""

from __future__ import annotations

import json
from collections.abc import Iterator

from otel_genai.demo.model import Answer, Json, RefusedError, answer_to, pieces

KINDS = {404: "not_found_error", 429: "rate_limit_error"}


def messages(body: Json) -> Json | Iterator[str]:
    """Answer one call, whole or as events."""
    turns = [_turn(turn) for turn in body.get("messages") or []]
    tools = [{"name": tool["name"], "parameters": tool["input_schema"]} for tool in body.get("tools") or ()]
    try:
        answer = answer_to(body, turns, tools)
    except RefusedError as refused:
        error = {"type": KINDS[refused.status], "message": str(refused)}
        refused.body = {"type": "error", "error": error}
        raise
    whole: Json = {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": _blocks(answer),
        "stop_reason": "tool_use" if answer.tool else "end_turn",
        "stop_sequence": None,
        "usage": _usage(answer),
    }
    return _events(whole, answer) if body.get("stream") else whole


def _turn(turn: Json) -> Json:
    """Bring a turn into the form of the model, which knows results of tools as turns of their own."""
    blocks = turn.get("content")
    if isinstance(blocks, list):
        results = [block for block in blocks if block.get("type") == "tool_result"]
        if results:
            return {"role": "tool", "content": results[-1].get("content")}
        return {**turn, "content": "".join(block.get("text", "") for block in blocks)}
    return turn


def _blocks(answer: Answer) -> list[Json]:
    if answer.tool:
        call = {"type": "tool_use", "id": f"toolu_{answer.id}", "name": answer.tool}
        return [{**call, "input": json.loads(answer.arguments)}]
    return [{"type": "text", "text": answer.text}]


def _usage(answer: Answer) -> Json:
    """Count as Anthropic does: what was read from the cache is no part of the input."""
    return {
        "input_tokens": answer.prompt - answer.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.cached,
        "output_tokens": answer.completion,
        "service_tier": "standard",
    }


def _events(whole: Json, answer: Answer) -> Iterator[str]:
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    yield _event({"type": "message_start", "message": begun})
    [block] = whole["content"]
    empty = {**block, "input": {}} if answer.tool else {**block, "text": ""}
    yield _event({"type": "content_block_start", "index": 0, "content_block": empty})
    for piece in pieces(answer.arguments or answer.text):
        said = {"type": "input_json_delta", "partial_json": piece} if answer.tool else {}
        delta = said or {"type": "text_delta", "text": piece}
        yield _event({"type": "content_block_delta", "index": 0, "delta": delta})
    yield _event({"type": "content_block_stop", "index": 0})
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    usage = {"output_tokens": answer.completion}
    yield _event({"type": "message_delta", "delta": ended, "usage": usage})
    yield _event({"type": "message_stop"})


def _event(event: Json) -> str:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
