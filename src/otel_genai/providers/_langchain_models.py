"""Models that LangChain asks, as LangChain itself tells of them: for those whose own SDK is not seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_genai import content
from otel_genai import semconv as s
from otel_genai.content import Message
from otel_genai.providers import _langchain_content as said
from otel_genai.spec import Attributes, Body, Operation, Row, Run, Server

PROVIDERS = {
    "amazon_bedrock": s.AWS_BEDROCK,
    "azure": s.AZURE_OPENAI,
    "google_genai": s.GCP_GEMINI,
    "google_vertexai": s.GCP_VERTEX_AI,
    "ibm": s.IBM_WATSONX_AI,
    "mistral": s.MISTRAL_AI,
    "mistralai": s.MISTRAL_AI,
    "moonshot": s.MOONSHOT_AI,
    "watsonx": s.IBM_WATSONX_AI,
    "xai": s.X_AI,
}
"""LangChain's word -> the name of the conventions, where that is another one."""
UNKNOWN = "langchain"
SDKS = {
    "amazon_bedrock": "bedrock",
    "azure": "openai",
    "google_vertexai": "google_genai",
    "huggingface": "huggingface_hub",
    "mistral": "mistralai",
}
"""LangChain's word -> the provider of ours whose SDK is asked, where that is another one."""

# --- What is asked ---------------------------------------------------------------------------------------


def asked(operation: Operation, serialized: Any, given: Any, told: Mapping[str, Any]) -> Run:
    """Say what a model is asked: LangChain tells the parameters in the words of the model's provider."""
    known = told.get("metadata") or {}
    parameters = {**(told.get("invocation_params") or {})}
    for key, value in known.items():
        if key.startswith("ls_") and value is not None:
            parameters.setdefault(key, value)
    body = {
        **parameters,
        "model": known.get("ls_model_name") or _first(parameters, "model", "model_name", "model_id"),
        "temperature": _first(parameters, "temperature", "ls_temperature"),
        "max_tokens": _first(
            parameters, "max_tokens", "max_completion_tokens", "max_output_tokens", "ls_max_tokens"
        ),
        "stop": _first(parameters, "stop", "stop_sequences", "ls_stop"),
        "given": list(given[0]) if given and isinstance(given[0], list) else given,
    }
    name = known.get("ls_provider") or ((serialized or {}).get("id") or [UNKNOWN])[-1].lower()
    size = told.get("batch_size")
    return Run(
        operation=operation,
        body=body,
        server=Server(PROVIDERS.get(name, name)),
        size=size if isinstance(size, int) else 1,
        sdk=SDKS.get(name, name),
    )


def _first(given: Mapping[str, Any], *keys: str) -> Any:
    return next((given[key] for key in keys if given.get(key) is not None), None)


def strings(given: Any) -> list[str]:
    """Give what stops a model as a list."""
    return [given] if isinstance(given, str) else list(given)


def several(given: Any) -> Any:
    """Give how many choices were asked for, where it is not one."""
    return given if given != 1 else None


REQUEST: Mapping[str, Row] = {
    "model": s.REQUEST_MODEL,
    "temperature": (s.REQUEST_TEMPERATURE, float),
    "max_tokens": s.REQUEST_MAX_TOKENS,
    "stop": (s.REQUEST_STOP_SEQUENCES, strings),
    "top_p": (s.REQUEST_TOP_P, float),
    "top_k": s.REQUEST_TOP_K,
    "frequency_penalty": (s.REQUEST_FREQUENCY_PENALTY, float),
    "presence_penalty": (s.REQUEST_PRESENCE_PENALTY, float),
    "seed": s.REQUEST_SEED,
    "n": (s.REQUEST_CHOICE_COUNT, several),
}


def messages(body: Body) -> list[Message]:
    """Read the messages that a chat model is asked with."""
    return said.messages(body["given"])


def prompts(body: Body) -> list[Message]:
    """Read the text that is to be completed."""
    return [content.message("user", [content.text(one)]) for one in body["given"]]


def tools(body: Body) -> list[dict[str, Any]]:
    """Read the tools that the model may call, as the provider is told of them."""
    found = [one.get("function", one) for one in body.get("tools") or () if isinstance(one, Mapping)]
    return [
        {
            "type": "function",
            "name": one.get("name"),
            "description": one.get("description"),
            "parameters": one.get("parameters") or one.get("input_schema"),
        }
        for one in found
    ]


# --- What came back --------------------------------------------------------------------------------------


def response(answer: Any) -> Attributes:
    """Say what the answer is called, and which model it is of."""
    told = {**(answer.llm_output or {}), **_metadata(next(said.generations(answer)))}
    own = getattr(getattr(next(said.generations(answer)), "message", None), "id", None)
    is_own = isinstance(own, str) and not own.startswith(said.OWN_NAMES)
    return {
        s.RESPONSE_ID: told.get("id") or (own if is_own else None),
        s.RESPONSE_MODEL: _first(told, "model_name", "model"),
    }


def finish(answer: Any) -> Attributes:
    """Say why each choice ended, where that is told."""
    found = [
        _first(_metadata(one), "finish_reason", "stop_reason", "done_reason")
        for one in said.generations(answer)
    ]
    return {s.RESPONSE_FINISH_REASONS: found if any(found) else None}


def usage(answer: Any) -> Attributes:
    """Count tokens; all choices of an answer carry the same counts, and totals include their parts."""
    for one in said.generations(answer):
        counts = getattr(getattr(one, "message", None), "usage_metadata", None)
        if counts:
            read, written = counts.get("input_token_details"), counts.get("output_token_details")
            return {
                # No model is asked with nothing: LangChain has 0 where a stream did not tell.
                s.USAGE_INPUT_TOKENS: counts.get("input_tokens") or None,
                s.USAGE_OUTPUT_TOKENS: counts.get("output_tokens"),
                **_details(read or {}, written or {}),
            }
    counts = (answer.llm_output or {}).get("token_usage") or {}
    return {
        s.USAGE_INPUT_TOKENS: counts.get("prompt_tokens"),
        s.USAGE_OUTPUT_TOKENS: counts.get("completion_tokens"),
    }


def _details(read: Mapping[str, Any], written: Mapping[str, Any]) -> Attributes:
    return {
        s.USAGE_CACHE_READ_INPUT_TOKENS: read.get("cache_read"),
        s.USAGE_CACHE_WRITE_INPUT_TOKENS: read.get("cache_creation"),
        s.USAGE_AUDIO_INPUT_TOKENS: read.get("audio"),
        s.USAGE_AUDIO_OUTPUT_TOKENS: written.get("audio"),
        s.USAGE_REASONING_OUTPUT_TOKENS: written.get("reasoning"),
    }


def _metadata(one: Any) -> Mapping[str, Any]:
    """Give what is told of a choice besides what it says."""
    told = getattr(getattr(one, "message", None), "response_metadata", None)
    return {**(getattr(one, "generation_info", None) or {}), **(told or {})}


def outputs(answer: Any) -> list[Message]:
    """Read the choices."""
    return [
        said.message(one.message)
        if hasattr(one, "message")
        else content.message("assistant", [content.text(one.text)])
        for one in said.generations(answer)
    ]


CHAT = Operation(
    name=s.CHAT,
    request=REQUEST,
    response=(response, finish, usage),
    inputs=messages,
    tools=tools,
    outputs=outputs,
)
COMPLETION = Operation(
    name=s.TEXT_COMPLETION,
    request=REQUEST,
    response=(response, finish, usage),
    inputs=prompts,
    outputs=outputs,
)
