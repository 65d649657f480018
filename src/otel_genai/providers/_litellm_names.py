"""Whom LiteLLM turns to: its words for providers, and what the name of a model says."""

from __future__ import annotations

import sys
from typing import Any

from otel_genai import semconv as s
from otel_genai.providers import _ask, _hosts
from otel_genai.providers.surface import at
from otel_genai.spec import Body

NAMES = {
    "azure": s.AZURE_OPENAI,
    "azure_text": s.AZURE_OPENAI,
    "azure_ai": s.AZURE_INFERENCE,
    "bedrock": s.AWS_BEDROCK,
    "bedrock_converse": s.AWS_BEDROCK,
    "bedrock_mantle": s.AWS_BEDROCK,
    "anthropic_text": s.ANTHROPIC,
    "cohere_chat": s.COHERE,
    "gemini": s.GCP_GEMINI,
    "vertex_ai": s.GCP_VERTEX_AI,
    "vertex_ai_beta": s.GCP_VERTEX_AI,
    "watsonx": s.IBM_WATSONX_AI,
    "watsonx_text": s.IBM_WATSONX_AI,
    "mistral": s.MISTRAL_AI,
    "codestral": s.MISTRAL_AI,
    "text-completion-codestral": s.MISTRAL_AI,
    "moonshot": s.MOONSHOT_AI,
    "xai": s.X_AI,
    "fireworks_ai": "fireworks",
    "nvidia_nim": "nvidia",
    "ollama_chat": "ollama",
    "together_ai": "together",
    "vercel_ai_gateway": "vercel",
}
"""LiteLLM's word -> the name of the conventions or the field, where that is another one."""
OPENAI_LIKE = ("openai", "custom_openai", "aiohttp_openai", "openai_like", "text-completion-openai")
"""What it calls whoever speaks OpenAI's language."""
_ROUTES = ("converse/", "invoke/", "responses/")
"""What may stand between provider and model, to say which API is meant."""
UNKNOWN = "litellm"
"""Who answers as long as nothing says whom LiteLLM will turn to."""


def named(word: str, url: Any = None) -> str:
    """Give the name of a provider that LiteLLM has its own word for; by host if it may be many."""
    if word in OPENAI_LIKE:
        host = at(s.OPENAI, url).address if isinstance(url, str) else None
        return (_hosts.provider(host) if host else None) or s.OPENAI
    return NAMES.get(word) or NAMES.get(word.partition("-")[0], word)  # vertex_ai-language-models


def resolved(body: Body) -> tuple[str | None, str | None]:
    """Say which provider LiteLLM will turn to, in its word, and which model it will ask for there.

    https://docs.litellm.ai/docs/providers: `provider/model`, or a model that its table of models knows.
    """
    model, word = body.get("model"), body.get("custom_llm_provider")
    if not isinstance(model, str):
        return word, None
    litellm: Any = sys.modules.get("litellm")
    head, _, rest = model.partition("/")
    if rest and (head == word or (word is None and head in getattr(litellm, "provider_list", ()))):
        for route in _ROUTES:
            rest = rest.removeprefix(route)
        return head, rest
    return word or getattr(litellm, "model_cost", {}).get(model, {}).get("litellm_provider"), model


def ask_usage(body: Body) -> Body | None:
    """Ask for a chat's usage whoever speaks OpenAI's language; OpenAI itself, LiteLLM asks on its own.

    LiteLLM leaves it out again where it knows that a provider takes no such option.
    """
    word, _ = resolved(body)
    url = body.get("api_base") or body.get("base_url")
    if word in OPENAI_LIKE:
        is_asked = isinstance(url, str) and at(s.OPENAI, url).address != "api.openai.com"
    else:
        litellm: Any = sys.modules.get("litellm")
        is_asked = word == "azure" or word in getattr(litellm, "openai_compatible_providers", ())
    return _ask.usage(body) if is_asked else None
