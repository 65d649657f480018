"""Every LLM call of a Python program, told truthfully in OpenTelemetry."""

__version__ = "0.1.0"

from otel_genai._context import context, suppress
from otel_genai._evaluation import evaluate, feedback, reference
from otel_genai._manual import agent, embeddings, inference, retrieval, tool, workflow
from otel_genai._outgoing import extract_context, inject_context
from otel_genai._processor import ContextProcessor
from otel_genai.instrumentor import configure, flush, instrument, providers, uninstrument
from otel_genai.settings import Capture, Settings
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
