"""Every LLM call of a Python program, told truthfully in OpenTelemetry."""

__version__ = "0.1.0"

from importlib import import_module as _import
from typing import TYPE_CHECKING

from otel_genai._context import context, suppress
from otel_genai._processor import ContextProcessor
from otel_genai.instrumentor import configure, flush, instrument, providers, uninstrument
from otel_genai.settings import Capture, Settings

if TYPE_CHECKING:
    from otel_genai._evaluation import evaluate, feedback, reference
    from otel_genai._manual import agent, embeddings, inference, retrieval, tool, workflow
    from otel_genai._outgoing import extract_context, inject_context
    from otel_genai.spec import Operation, Provider

__all__ = [
    "Capture",
    "ContextProcessor",
    "Operation",
    "Provider",
    "Settings",
    "agent",
    "configure",
    "context",
    "embeddings",
    "evaluate",
    "extract_context",
    "feedback",
    "flush",
    "inference",
    "inject_context",
    "instrument",
    "providers",
    "reference",
    "retrieval",
    "suppress",
    "tool",
    "uninstrument",
    "workflow",
]

_LATER = {
    **dict.fromkeys(("agent", "embeddings", "inference", "retrieval", "tool", "workflow"), "_manual"),
    **dict.fromkeys(("evaluate", "feedback", "reference"), "_evaluation"),
    **dict.fromkeys(("extract_context", "inject_context"), "_outgoing"),
    **dict.fromkeys(("Operation", "Provider"), "spec"),
}
"""Name -> its module, imported when a program asks for it: one that is only instrumented starts sooner."""

if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _LATER and name not in _LATER.values():
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        module = _import(f"{__name__}.{_LATER.get(name, name)}")
        globals()[name] = found = getattr(module, name) if name in _LATER else module
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_LATER})
