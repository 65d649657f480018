"""Names that the conventions had before, or that libraries chose while there were none, and today's."""

from __future__ import annotations

from collections.abc import Mapping

from otel_genai import semconv as s

SYSTEM = "gen_ai.system"
RENAMED: Mapping[str, str] = {
    SYSTEM: s.PROVIDER_NAME,
    "gen_ai.usage.prompt_tokens": s.USAGE_INPUT_TOKENS,
    "gen_ai.usage.completion_tokens": s.USAGE_OUTPUT_TOKENS,
    "gen_ai.usage.cache_creation.input_tokens": s.USAGE_CACHE_WRITE_INPUT_TOKENS,
    "gen_ai.usage.cache_creation_input_tokens": s.USAGE_CACHE_WRITE_INPUT_TOKENS,
    "gen_ai.usage.cache_write_input_tokens": s.USAGE_CACHE_WRITE_INPUT_TOKENS,
    "gen_ai.usage.cache_read_input_tokens": s.USAGE_CACHE_READ_INPUT_TOKENS,
    "gen_ai.usage.reasoning_tokens": s.USAGE_REASONING_OUTPUT_TOKENS,
    "gen_ai.client.operation.time_to_first_chunk": s.RESPONSE_TIME_TO_FIRST_CHUNK,
    "gen_ai.openai.request.service_tier": s.OPENAI_REQUEST_SERVICE_TIER,
    "gen_ai.openai.response.service_tier": s.OPENAI_RESPONSE_SERVICE_TIER,
    "gen_ai.openai.response.system_fingerprint": s.OPENAI_RESPONSE_SYSTEM_FINGERPRINT,
}
CONTENT = (
    "gen_ai.prompt",
    "gen_ai.completion",
    *(f"gen_ai.tool.{digit}" for digit in range(10)),
    "error.message",
    "error.stack_trace",
    s.EXCEPTION_MESSAGE,
    s.EXCEPTION_STACKTRACE,
)
"""How attributes began that hold content, or what an error says."""
PROVIDERS: Mapping[str, str | None] = {
    "azure": s.AZURE_OPENAI,
    "az.ai.openai": s.AZURE_OPENAI,
    "az.ai.inference": s.AZURE_INFERENCE,
    "azure_ai": s.AZURE_INFERENCE,
    "bedrock": s.AWS_BEDROCK,
    "bedrock-mantle": s.AWS_BEDROCK,
    "bedrock_converse": s.AWS_BEDROCK,
    "cohere_chat": s.COHERE,
    "gemini": s.GCP_GEMINI,
    "google": s.GCP_GEMINI,
    "google-gla": s.GCP_GEMINI,
    "google-cloud": s.GCP_VERTEX_AI,
    "google-vertex": s.GCP_VERTEX_AI,
    "vertex_ai": s.GCP_VERTEX_AI,
    "vertex_ai_beta": s.GCP_VERTEX_AI,
    "mistral": s.MISTRAL_AI,
    "moonshotai": s.MOONSHOT_AI,
    "text-completion-openai": s.OPENAI,
    "watsonx": s.IBM_WATSONX_AI,
    "xai": s.X_AI,
    "gcp.vertex.agent": None,
    "microsoft.agent_framework": None,
    "strands-agents": None,
    "unknown": None,
    "Unknown": None,
}
"""What libraries call a provider -> the conventions' name; None where the library named itself, or nobody."""
