"""Writes providers.md: which SDKs are seen, where, and what is told of their calls.

`python docs/providers.py` after a provider has changed; a test compares. What is missing stands here, as no
program can know it; the rest is read out of the providers.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from otel_genai import semconv, semconv_mcp
from otel_genai.providers import REGISTRY
from otel_genai.spec import Operation, Provider

PAGE = Path(__file__).with_suffix(".md")
MISSING: dict[str, str] = {
    "anthropic": "message batches and `count_tokens` infer nothing when they are called, and have no span",
    "bedrock": "batches, asynchronous invocations and streams in both directions",
    "chromadb": "what is added, changed and fetched by its id; Chroma's own spans of its methods, where "
    "those are on, stay",
    "cohere": "`embed_stream`, `parse`, `generate`, `classify`, `summarize` and raw responses; the "
    "chats of a client that was made before `instrument()`, as the SDK binds them to it then",
    "google_genai": "the Live API, images, videos and batches; what was answered where the raw HTTP response "
    "was asked for by `should_return_http_response`",
    "groq": "batches; the tools that compound models run by themselves are not in what was said",
    "huggingface_hub": "the other tasks, such as speech, images and classification; the tokens of a chat's "
    "stream, unless `stream_options` or the setting `stream_usage` ask for them",
    "langchain": "embeddings, which no callback tells of: the SDK beneath does; agents that are made "
    "in other ways are workflows",
    "litellm": "images, speech, transcription, reranking and moderation; usage of a stream that the provider "
    "did not tell, or told without details of the prompt: it might be LiteLLM's guess. `stream_usage` asks "
    "for that of chats alone",
    "mcp": "methods that the protocol does not have; notifications of progress and log messages, as one "
    "request may bring any number; a cancellation, on the side that gets it, as the request itself says so; "
    "sessions of a stateless server and of the newest protocol, which have none; what a prompt gives, for "
    "which the conventions have no name; over SSE and WebSockets, how a client's requests travel; a call "
    "within a tool of the same name, as LangChain tells it, is that tool, and no span of its own",
    "mistralai": "beta conversations, OCR, moderation, classification, speech and transcription; the "
    "SDK's own spans of them, where those are on, stay",
    "ollama": "the web search and the management of models, which call no model",
    "openai": "realtime, assistants and compacting; conversations, which ask no model",
    "pinecone": "what is written, listed and fetched; the name of an index whose host is not one of "
    "Pinecone's; an index object that was made before `instrument()`, as it keeps to the functions that it "
    "found then; the SDK before version 9",
    "qdrant": "what is written, scrolled and fetched; models in the process that make vectors of texts",
    "together": "batches, videos, realtime, fine-tuning, and the old SDK before version 2",
}
"""What is not seen, and why."""
HEAD = """# Providers

Written by `python docs/providers.py`. One call of a model is one span, sync or async, streamed or not;
helpers of an SDK that call it are seen where it passes. Attributes are those that a call may have: what a
request or an answer does not say is absent.

An SDK whose version is older than what is given, or that no longer has one of these functions, is left alone
with one warning that says so; `otel-genai doctor` and `otel_genai.providers()` show it.

These operations have names of our own, as the conventions have none: `rerank`, `transcription`, `speech`,
`image_generation`, `moderation`.
"""


def page() -> str:
    """Give the page."""
    parts = [HEAD, "| SDK | versions | operations |\n|---|---|---|"]
    found = {name: importlib.import_module(module) for name, module in REGISTRY.items()}
    rows = [
        f"| [`{name}`](#{name}) | `{module.PROVIDER.requires}` | {', '.join(operations(module))} |"
        for name, module in found.items()
    ]
    parts[-1] += "\n" + "\n".join(rows) + "\n"
    parts += [section(name, module) for name, module in found.items()]
    return "\n".join(parts)


def section(name: str, module: ModuleType) -> str:
    """Say of one provider where its calls pass and what is told of them."""
    provider: Provider = module.PROVIDER
    newer = dict.fromkeys(provider.optional, " (not in every version)")
    hooks = "\n".join(f"- `{target}`{newer.get(target, '')}" for target in provider.hooks)
    hooks = hooks or "\n".join(f"- the callbacks of `{module}`" for module in provider.attach)
    hooks += "".join(f"\n- `{module}`, beside the SDK's own spans" for module in provider.beside)
    told = ", ".join(f"`{attribute}`" for attribute in attributes(module))
    missing = f"\nNot seen: {MISSING[name]}.\n" if MISSING.get(name) else ""
    return f"## {name}\n\n{inspect.getdoc(module)}\n\n{hooks}\n\nAttributes: {told}.\n{missing}"


def operations(module: ModuleType) -> list[str]:
    """Name the operations of a provider, of all files that it is made of."""
    values = [value for file in files(module) for value in vars(file).values()]
    values += [one for value in values if isinstance(value, dict) for one in value.values()]
    return list(dict.fromkeys(value.name for value in values if isinstance(value, Operation)))


def attributes(module: ModuleType) -> list[str]:
    """Name the attributes that the files of a provider speak of."""
    spoken = {value for file in files(module) for value in spoken_of(file)}
    told = {value for value in spoken if value.partition(".")[0] in ROOTS}
    asks = set(operations(module)) & semconv.OPERATIONS - {semconv.RETRIEVAL}
    content = {semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES} if asks else set()
    return sorted(value for value in told | content if "." in value and value != semconv.AWS_BEDROCK)


ROOTS = {"gen_ai", "openai", "aws", "http", "error", "otel_genai", "mcp", "rpc", "jsonrpc", "network"}
TABLES = {"s": semconv, "m": semconv_mcp}
"""What the conventions' names are called in providers."""


def spoken_of(file: ModuleType) -> Iterator[str]:
    """Name what a file uses of the conventions."""
    for node in ast.walk(ast.parse(inspect.getsource(file))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            value = getattr(TABLES.get(node.value.id), node.attr, None)
            yield from (
                [value] if isinstance(value, str) else value.values() if value is semconv_mcp.TARGETS else ()
            )


def files(module: ModuleType) -> list[ModuleType]:
    """Give a provider's file, and those beside it that it is made of."""
    found, new = [], [module]
    while new:
        file = new.pop()
        found.append(file)
        others = {getattr(value, "__module__", None) for value in vars(file).values() if callable(value)}
        others |= {value.__name__ for value in vars(file).values() if isinstance(value, ModuleType)}
        ours = {name for name in others if name and name.startswith("otel_genai.providers._")}
        new += [sys.modules[name] for name in sorted(ours) if sys.modules[name] not in [*found, *new]]
    return found


if __name__ == "__main__":
    PAGE.write_text(page())
