"""Texts by InvokeModel: Titan, Llama, Mistral and what is like them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.providers import _chat
from otel_genai.providers._bedrock_errors import error
from otel_genai.providers._bedrock_stream import unpacked
from otel_genai.spec import Attributes, Body, Operation, Row, view

METRICS = "amazon-bedrock-invocationMetrics"
"""What Bedrock adds to the last event of a stream."""
OURS: Mapping[str, Row] = {
    "modelId": s.REQUEST_MODEL,
    "guardrailIdentifier": s.AWS_BEDROCK_GUARDRAIL_ID,
}


def counted(metrics: Any) -> Attributes:
    """Read Bedrock's own counts, which leave cached tokens out.

    https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html
    """
    read, written = metrics.cacheReadInputTokenCount, metrics.cacheWriteInputTokenCount
    given = metrics.inputTokenCount
    return {
        s.USAGE_INPUT_TOKENS: None if given is None else given + (read or 0) + (written or 0),
        s.USAGE_OUTPUT_TOKENS: metrics.outputTokenCount,
        s.USAGE_CACHE_READ_INPUT_TOKENS: read,
        s.USAGE_CACHE_WRITE_INPUT_TOKENS: written,
    }


_CHOICES = ("results", "outputs", "choices", "generations", "completions")
"""Where answers have their texts: Titan, Mistral, DeepSeek, Cohere, AI21; the others have one at the top."""
_TEXTS = ("text", "outputText", "generation", "completion")
_REASONS = ("stop_reason", "completionReason", "finish_reason")
_FINISH = {
    "end_turn": "stop",
    "FINISH": "stop",
    "FINISHED": "stop",
    "STOP_CRITERIA_MET": "stop",
    "COMPLETE": "stop",
    "stop_sequence": "stop",
    "LENGTH": "length",
    "MAX_TOKENS": "length",
    "max_tokens": "length",
    "CONTENT_FILTERED": "content_filter",
    "ERROR_TOXIC": "content_filter",
}


def _first(r: Any, names: tuple[str, ...]) -> Any:
    return next((value for name in names if (value := getattr(r, name)) is not None), None)


def generations(r: Any) -> list[Any]:
    """Find the generations."""
    given = _first(r, _CHOICES)
    return given if isinstance(given, list) else [r]


def text_finish(r: Any) -> Attributes:
    """Say why each generation ended."""
    return {s.RESPONSE_FINISH_REASONS: [_first(one, _REASONS) for one in generations(r)]}


def text_usage(r: Any) -> Attributes:
    """Count tokens, by the model's own counts: Titan's, Llama's."""
    metrics = getattr(r, METRICS)
    if metrics is not None:
        return counted(metrics)
    written = _first(r, ("generation_token_count", "totalOutputTextTokenCount"))
    if written is None and r.results:
        written = sum(one.tokenCount for one in r.results)
    return {
        s.USAGE_INPUT_TOKENS: _first(r, ("prompt_token_count", "inputTextTokenCount")),
        s.USAGE_OUTPUT_TOKENS: written,
    }


def prompts(body: Body) -> list[content.Message]:
    """Read the prompt."""
    given = next((body[key] for key in ("prompt", "inputText", "message") if key in body), None)
    return [content.message("user", [content.text(given)])] if isinstance(given, str) else []


def texts(r: Any) -> list[content.Message]:
    """Read the generations."""
    return [_said(one) for one in generations(r) if isinstance(_first(one, _TEXTS), str)]


def _said(one: Any) -> content.Message:
    why = _first(one, _REASONS)
    return content.message("assistant", [content.text(_first(one, _TEXTS))], None, _FINISH.get(why, why))


class TextFold:
    """Adds the events of one text up, whatever its format, to what reads like Llama's answer."""

    __slots__ = ("_content", "_found", "_text", "complete")

    def __init__(self, *, content: bool) -> None:
        """Start empty."""
        self._content = content
        self._text: list[str] = []
        self._found: dict[str, Any] = {}
        self.complete = False

    def add(self, event: Any) -> bool:
        """Take one event in."""
        chunk = unpacked(event)
        for key in (METRICS, "prompt_token_count", "generation_token_count", "inputTextTokenCount"):
            self._found[key] = chunk.get(key) or self._found.get(key)
        one = generations(view(chunk))[0]
        text, why = _first(one, _TEXTS), _first(one, _REASONS)
        if why is not None or METRICS in chunk:
            self._found["stop_reason"] = why or self._found.get("stop_reason")
            self.complete = True
        if self._content and text:
            self._text.append(text)
        return bool(text)

    @property
    def answer(self) -> Any:
        """Give what has been received, if anything has."""
        return view({**self._found, "generation": "".join(self._text)}) if self._found else None


TEXT = Operation(
    name=s.TEXT_COMPLETION,
    request={
        "max_gen_len": s.REQUEST_MAX_TOKENS,
        "maxTokenCount": s.REQUEST_MAX_TOKENS,
        "max_tokens": s.REQUEST_MAX_TOKENS,
        "max_tokens_to_sample": s.REQUEST_MAX_TOKENS,
        "temperature": (s.REQUEST_TEMPERATURE, float),
        "top_p": (s.REQUEST_TOP_P, float),
        "topP": (s.REQUEST_TOP_P, float),
        "top_k": s.REQUEST_TOP_K,
        "stop": (s.REQUEST_STOP_SEQUENCES, _chat.strings),
        "stop_sequences": s.REQUEST_STOP_SEQUENCES,
        "stopSequences": s.REQUEST_STOP_SEQUENCES,
        **OURS,
    },
    response=(text_finish, text_usage),
    inputs=prompts,
    outputs=texts,
    fold=TextFold,
    error=error,
)
