"""Anthropic: the Messages API, stable and beta, whichever client sends it."""

from __future__ import annotations

from typing import Any

from otel_genai import semconv as s
from otel_genai.providers import _messages, _stainless
from otel_genai.providers._messages_stream import Fold
from otel_genai.spec import Operation, Provider

CLIENTS = {
    "AnthropicBedrock": s.AWS_BEDROCK,
    "AnthropicBedrockMantle": s.AWS_BEDROCK,
    "AnthropicVertex": s.GCP_VERTEX_AI,
    "AnthropicFoundry": s.AZURE_INFERENCE,
}


def provider(client: Any, host: str) -> str:  # noqa: ARG001 (the class says it)
    """Name the platform that answers, by the client's class."""
    for cls in type(client).__mro__:
        if (name := CLIENTS.get(cls.__name__.removeprefix("Async"))) is not None:
            return name
    return s.ANTHROPIC


MESSAGES = Operation(
    name=s.CHAT,
    request=_messages.REQUEST,
    derived=_messages.output_type,
    response=(_messages.response, _messages.finish, _messages.usage),
    instructions=_messages.instructions,
    inputs=_messages.inputs,
    tools=_messages.tools,
    outputs=_messages.outputs,
    fold=Fold,
    fault=_messages.fault,
    error=_stainless.error(_messages.CODES),
)
SEAM = _stainless.Seam(
    "anthropic",
    {"/v1/messages": MESSAGES, "/v1/messages?beta=true": MESSAGES},
    provider,
    iterables=("messages", "tools", "system"),
)
_CLASSES = ("Anthropic", "AnthropicBedrock", "AnthropicVertex", "AnthropicBedrockMantle")
PROVIDER = Provider(
    "anthropic",
    requires="anthropic >= 0.51",
    hooks={f"anthropic:{colour}{cls}.request": SEAM for cls in _CLASSES for colour in ("", "Async")},
    optional=frozenset(f"anthropic:{colour}AnthropicBedrockMantle.request" for colour in ("", "Async")),
)
