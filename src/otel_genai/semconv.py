"""Every name that otel-genai emits: attributes, metrics, buckets, events and enum values.

The names are those of the OpenTelemetry GenAI semantic conventions. Two generations are in use: the
published one, which current back ends and dashboards know, and the newest, in which inference has metrics
of its own. Attributes are the same in both; `metrics()` is where they part.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Generation = Literal["published", "latest", "both"]

SCHEMA_URLS = {
    "published": "https://opentelemetry.io/schemas/1.37.0",
    "both": "https://opentelemetry.io/schemas/1.37.0",
    "latest": "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev",
}

# --- Attributes: what was called -------------------------------------------------------------------------

OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
OUTPUT_TYPE = "gen_ai.output.type"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_CHOICE_COUNT = "gen_ai.request.choice.count"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_TOP_P = "gen_ai.request.top_p"
REQUEST_TOP_K = "gen_ai.request.top_k"
REQUEST_STOP_SEQUENCES = "gen_ai.request.stop_sequences"
REQUEST_FREQUENCY_PENALTY = "gen_ai.request.frequency_penalty"
REQUEST_PRESENCE_PENALTY = "gen_ai.request.presence_penalty"
REQUEST_SEED = "gen_ai.request.seed"
REQUEST_STREAM = "gen_ai.request.stream"
REQUEST_REASONING_LEVEL = "gen_ai.request.reasoning.level"
REQUEST_PREVIOUS_RESPONSE_ID = "gen_ai.request.previous_response.id"
REQUEST_STREAM_CURSOR = "gen_ai.request.stream_cursor"
REQUEST_ENCODING_FORMATS = "gen_ai.request.encoding_formats"
CONVERSATION_ID = "gen_ai.conversation.id"
CONVERSATION_COMPACTED = "gen_ai.conversation.compacted"
PROMPT_NAME = "gen_ai.prompt.name"
PROMPT_VERSION = "gen_ai.prompt.version"
PROMPT_VARIABLE = "gen_ai.prompt.variable"
"""What stands before the name of a variable of the prompt."""
USER_ID = "user.id"
SESSION_ID = "session.id"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"

# --- Attributes: what came back --------------------------------------------------------------------------

RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
RESPONSE_STATUS = "gen_ai.response.status"
RESPONSE_TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
EMBEDDINGS_DIMENSION_COUNT = "gen_ai.embeddings.dimension.count"

USAGE_INPUT_TOKENS = "gen_ai.usage.input_tokens"
USAGE_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ_INPUT_TOKENS = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_WRITE_INPUT_TOKENS = "gen_ai.usage.cache_write.input_tokens"
USAGE_REASONING_OUTPUT_TOKENS = "gen_ai.usage.reasoning.output_tokens"
USAGE_TEXT_INPUT_TOKENS = "gen_ai.usage.text.input_tokens"
USAGE_IMAGE_INPUT_TOKENS = "gen_ai.usage.image.input_tokens"
USAGE_AUDIO_INPUT_TOKENS = "gen_ai.usage.audio.input_tokens"
USAGE_TEXT_OUTPUT_TOKENS = "gen_ai.usage.text.output_tokens"
USAGE_IMAGE_OUTPUT_TOKENS = "gen_ai.usage.image.output_tokens"
USAGE_AUDIO_OUTPUT_TOKENS = "gen_ai.usage.audio.output_tokens"
USAGE_TEXT_CACHE_READ_INPUT_TOKENS = "gen_ai.usage.text.cache_read.input_tokens"
USAGE_IMAGE_CACHE_READ_INPUT_TOKENS = "gen_ai.usage.image.cache_read.input_tokens"
USAGE_AUDIO_CACHE_READ_INPUT_TOKENS = "gen_ai.usage.audio.cache_read.input_tokens"

USAGE = frozenset(
    {
        USAGE_INPUT_TOKENS,
        USAGE_OUTPUT_TOKENS,
        USAGE_CACHE_READ_INPUT_TOKENS,
        USAGE_CACHE_WRITE_INPUT_TOKENS,
        USAGE_REASONING_OUTPUT_TOKENS,
        USAGE_TEXT_INPUT_TOKENS,
        USAGE_IMAGE_INPUT_TOKENS,
        USAGE_AUDIO_INPUT_TOKENS,
        USAGE_TEXT_OUTPUT_TOKENS,
        USAGE_IMAGE_OUTPUT_TOKENS,
        USAGE_AUDIO_OUTPUT_TOKENS,
        USAGE_TEXT_CACHE_READ_INPUT_TOKENS,
        USAGE_IMAGE_CACHE_READ_INPUT_TOKENS,
        USAGE_AUDIO_CACHE_READ_INPUT_TOKENS,
    }
)
"""Token counts: the only attributes that add up when several calls are one inference."""

USAGE_COST_AMOUNT = "gen_ai.usage.cost.amount"
USAGE_COST_CURRENCY = "gen_ai.usage.cost.currency"
USAGE_COST_SOURCE = "gen_ai.usage.cost.source"
COST_PROVIDER = "provider"
"""The answer itself said what it cost."""
COST_LOCAL = "local"
"""It was computed here, from tokens and prices."""
USD = "USD"
PRICES = "otel_genai.prices"
"""Which prices an amount was computed from: the table's name and version, or `own`."""
PRICES_OWN = "own"
PRICES_VERSION = "otel_genai.prices.version"
PRICES_DATE = "otel_genai.prices.date"

# --- Attributes: agents, workflows, tools, retrieval -----------------------------------------------------

AGENT_ID = "gen_ai.agent.id"
AGENT_NAME = "gen_ai.agent.name"
AGENT_DESCRIPTION = "gen_ai.agent.description"
AGENT_VERSION = "gen_ai.agent.version"
WORKFLOW_NAME = "gen_ai.workflow.name"
TOOL_NAME = "gen_ai.tool.name"
TOOL_TYPE = "gen_ai.tool.type"
TOOL_CALL_ID = "gen_ai.tool.call.id"
TOOL_DESCRIPTION = "gen_ai.tool.description"
DATA_SOURCE_ID = "gen_ai.data_source.id"
RETRIEVAL_TOP_K = "gen_ai.retrieval.top_k"

# --- Attributes: evaluation ------------------------------------------------------------------------------

EVALUATION_NAME = "gen_ai.evaluation.name"
EVALUATION_SCORE_VALUE = "gen_ai.evaluation.score.value"
EVALUATION_SCORE_LABEL = "gen_ai.evaluation.score.label"

# --- Attributes: content, recorded only when capture is on -----------------------------------------------

SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"
TOOL_CALL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_CALL_RESULT = "gen_ai.tool.call.result"
RETRIEVAL_QUERY_TEXT = "gen_ai.retrieval.query.text"
RETRIEVAL_DOCUMENTS = "gen_ai.retrieval.documents"
EVALUATION_EXPLANATION = "gen_ai.evaluation.explanation"
CONTENT = (
    SYSTEM_INSTRUCTIONS,
    INPUT_MESSAGES,
    OUTPUT_MESSAGES,
    TOOL_DEFINITIONS,
    TOOL_CALL_ARGUMENTS,
    TOOL_CALL_RESULT,
    RETRIEVAL_QUERY_TEXT,
    RETRIEVAL_DOCUMENTS,
    f"{PROMPT_VARIABLE}.",
    EVALUATION_EXPLANATION,
)
"""How every attribute that holds content begins."""
EXCEPTION_TYPE = "exception.type"
EXCEPTION_MESSAGE = "exception.message"
EXCEPTION_STACKTRACE = "exception.stacktrace"

# --- Attributes: one provider's, and our own -------------------------------------------------------------

OPENAI_API_TYPE = "openai.api.type"
OPENAI_REQUEST_SERVICE_TIER = "openai.request.service_tier"
OPENAI_RESPONSE_SERVICE_TIER = "openai.response.service_tier"
OPENAI_RESPONSE_SYSTEM_FINGERPRINT = "openai.response.system_fingerprint"
AWS_BEDROCK_GUARDRAIL_ID = "aws.bedrock.guardrail.id"
AWS_BEDROCK_KNOWLEDGE_BASE_ID = "aws.bedrock.knowledge_base.id"
SERVICE_TIER = "otel_genai.service_tier"
"""What makes an answer cost other than usual (`batch`, `priority`, `flex`, `us`), in the provider's words."""
LONGEST_GAP = "otel_genai.longest_gap"
"""Seconds: the longest wait between two output chunks of a stream."""
OUTCOME = "otel_genai.outcome"
"""How a call ended; absent from the span when it was completed."""
TEAM = "otel_genai.team"
EXPERIMENT = "otel_genai.experiment"
"""Whose call it was, where the conventions have no word: the team that pays, the variant under test."""
JUDGE = "otel_genai.judge"
"""The judge whose own call of a model it is: no part of what the program itself asks and spends."""
HTTP_STATUS_CODE = "http.response.status_code"
HTTP_RESEND_COUNT = "http.request.resend_count"

CONTEXT = {
    "conversation_id": CONVERSATION_ID,
    "user": USER_ID,
    "session": SESSION_ID,
    "team": TEAM,
    "prompt": PROMPT_NAME,
    "experiment": EXPERIMENT,
}
"""What `context()` calls an attribute -> the attribute; settings know it by both."""

# --- Enum values -----------------------------------------------------------------------------------------

CHAT = "chat"
GENERATE_CONTENT = "generate_content"
TEXT_COMPLETION = "text_completion"
EMBEDDINGS = "embeddings"
RERANK = "rerank"
TRANSCRIPTION = "transcription"
SPEECH = "speech"
IMAGE_GENERATION = "image_generation"
MODERATION = "moderation"
RETRIEVAL = "retrieval"
FETCH_RESPONSE = "fetch_response"
INVOKE_AGENT = "invoke_agent"
EXECUTE_TOOL = "execute_tool"
INVOKE_WORKFLOW = "invoke_workflow"
EVALUATE = "evaluate"
"""No operation of a provider: what our spans of evaluations are called."""
INFERENCE = frozenset({CHAT, GENERATE_CONTENT, TEXT_COMPLETION})
OTHER_MODELS = frozenset({RERANK, TRANSCRIPTION, SPEECH, IMAGE_GENERATION, MODERATION})
"""Calls of models that the conventions have no name for: whether they tell tokens is up to the API."""
MODEL_CALLS = INFERENCE | {EMBEDDINGS} | OTHER_MODELS
PROVIDER_CALLS = MODEL_CALLS | {FETCH_RESPONSE}
"""What goes to a provider of models; to fetch a response that is there is no call of its model."""
OPERATIONS = PROVIDER_CALLS | {RETRIEVAL, INVOKE_AGENT, EXECUTE_TOOL, INVOKE_WORKFLOW}

OPENAI = "openai"
AZURE_OPENAI = "azure.ai.openai"
AZURE_INFERENCE = "azure.ai.inference"
AWS_BEDROCK = "aws.bedrock"
ANTHROPIC = "anthropic"
COHERE = "cohere"
DEEPSEEK = "deepseek"
GCP_GEMINI = "gcp.gemini"
GCP_VERTEX_AI = "gcp.vertex_ai"
GROQ = "groq"
IBM_WATSONX_AI = "ibm.watsonx.ai"
MISTRAL_AI = "mistral_ai"
MOONSHOT_AI = "moonshot_ai"
PERPLEXITY = "perplexity"
X_AI = "x_ai"

OUTPUT_JSON = "json"
OUTPUT_TEXT = "text"
OUTPUT_IMAGE = "image"
OUTPUT_SPEECH = "speech"
FINISH_ERROR = "error"
ERROR_OTHER = "_OTHER"

COMPLETED = "completed"
STOPPED = "stopped"
CANCELLED = "cancelled"
TRUNCATED = "truncated"
FAILED = "failed"
ERROR_TRUNCATED = "stream_truncated"
ERROR_TOOL = "tool_error"

# --- Events ----------------------------------------------------------------------------------------------

EVENT_INFERENCE_DETAILS = "gen_ai.client.inference.operation.details"
EVENT_EVALUATION = "gen_ai.evaluation.result"
EVENT_EXCEPTION = "exception"

# --- Metrics ---------------------------------------------------------------------------------------------

TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 (a name, not a password)
TOKEN_MODALITY = "gen_ai.token.modality"  # noqa: S105 (a name, not a password)
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_LONG_SECONDS = (*_SECONDS, 163.84, 327.68)  # reasoning models think for minutes
_TOKENS = tuple(4**n for n in range(14))
_AGENT_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
_WORKFLOW_SECONDS = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)


class Metric(NamedTuple):
    """An instrument as the conventions define it; without buckets it is a counter."""

    name: str
    unit: str
    description: str
    buckets: tuple[float, ...] | None = None


OPERATION_DURATION = Metric(
    "gen_ai.client.operation.duration", "s", "Duration of a GenAI client operation.", _LONG_SECONDS
)
TIME_TO_FIRST_CHUNK = Metric(
    "gen_ai.client.operation.time_to_first_chunk",
    "s",
    "Time from issuing the request to the first chunk of output.",
    _SECONDS,
)
TIME_PER_OUTPUT_CHUNK = Metric(
    "gen_ai.client.operation.time_per_output_chunk",
    "s",
    "Time from one chunk of output to the next.",
    _SECONDS,
)
TOKEN_USAGE = Metric("gen_ai.client.token.usage", "{token}", "Tokens per operation, by type.", _TOKENS)

INFERENCE_DURATION = Metric(
    "gen_ai.client.inference.duration", "s", "Duration of a GenAI inference.", _LONG_SECONDS
)
INFERENCE_TIME_TO_FIRST_CHUNK = Metric(
    "gen_ai.client.inference.time_to_first_chunk", "s", TIME_TO_FIRST_CHUNK.description, _SECONDS
)
INFERENCE_TIME_PER_OUTPUT_CHUNK = Metric(
    "gen_ai.client.inference.time_per_output_chunk", "s", TIME_PER_OUTPUT_CHUNK.description, _SECONDS
)
INFERENCE_INPUT_TOKENS = Metric(
    "gen_ai.client.inference.operation.input_tokens", "{token}", "Input tokens per inference.", _TOKENS
)
INFERENCE_OUTPUT_TOKENS = Metric(
    "gen_ai.client.inference.operation.output_tokens", "{token}", "Output tokens per inference.", _TOKENS
)
USAGE_COUNTERS = {
    attribute: Metric(f"gen_ai.client.inference.usage.{kind}", "{token}", f"Tokens used: {kind}.")
    for attribute, kind in {
        USAGE_INPUT_TOKENS: "input_tokens",
        USAGE_OUTPUT_TOKENS: "output_tokens",
        USAGE_CACHE_READ_INPUT_TOKENS: "cache_read.input_tokens",
        USAGE_CACHE_WRITE_INPUT_TOKENS: "cache_write.input_tokens",
        USAGE_REASONING_OUTPUT_TOKENS: "reasoning.output_tokens",
    }.items()
}
MODALITIES = {
    USAGE_INPUT_TOKENS: {
        "text": USAGE_TEXT_INPUT_TOKENS,
        "image": USAGE_IMAGE_INPUT_TOKENS,
        "audio": USAGE_AUDIO_INPUT_TOKENS,
    },
    USAGE_OUTPUT_TOKENS: {
        "text": USAGE_TEXT_OUTPUT_TOKENS,
        "image": USAGE_IMAGE_OUTPUT_TOKENS,
        "audio": USAGE_AUDIO_OUTPUT_TOKENS,
    },
}
MODALITY_UNKNOWN = "unknown"

AGENT_DURATION = Metric(
    "gen_ai.invoke_agent.duration", "s", "Duration of an agent's run in this process.", _AGENT_SECONDS
)
TOOL_DURATION = Metric("gen_ai.execute_tool.duration", "s", "Duration of a tool's execution.", _SECONDS)
WORKFLOW_DURATION = Metric(
    "gen_ai.invoke_workflow.duration", "s", "Duration of a workflow's run.", _WORKFLOW_SECONDS
)

CALLS = Metric("otel_genai.calls", "{call}", "Calls of models, by how they ended.")
INTERNAL_ERRORS = Metric(
    "otel_genai.instrumentation.errors",
    "{error}",
    "Failures of the instrumentation itself, kept from callers.",
)

COST = Metric("gen_ai.client.cost.usd", "{USD}", "What calls of models cost, as far as it is known.")
OPERATION_COST = Metric(
    "gen_ai.client.operation.cost",
    "{USD}",
    "Cost of a GenAI client operation.",
    tuple(tokens / 1e6 for tokens in _TOKENS),  # from a millionth of a dollar to 67
)
UNPRICED = Metric(
    "otel_genai.unpriced", "{call}", "Calls of models whose cost is unknown, as they have no price."
)
UPLOADS_LOST = Metric(
    "otel_genai.uploads.lost", "{upload}", "Content that did not reach the store it was meant for."
)
USAGE_MISSING = Metric(
    "otel_genai.usage.missing", "{call}", "Calls of models that did not report their usage."
)
EVALUATION_SCORES = Metric(
    "otel_genai.evaluation.score", "1", "Scores of evaluations.", tuple(n / 10 for n in range(11))
)
EVALUATIONS = Metric("otel_genai.evaluations", "{evaluation}", "Evaluations, by their labels.")
JUDGEMENTS_DROPPED = Metric(
    "otel_genai.judgements.dropped", "{judgement}", "Answers that a judge was to judge, and did not."
)
JUDGE_COST = Metric("otel_genai.judge.cost", "{USD}", "What judges' own calls of models cost.")

_CLIENT = (OPERATION_NAME, PROVIDER_NAME, REQUEST_MODEL, RESPONSE_MODEL, SERVER_ADDRESS, SERVER_PORT)


class Signals(NamedTuple):
    """What an operation is called after and measured by."""

    target: str
    """The attribute that follows the operation in the span's name."""
    durations: tuple[Metric, ...]
    metric_attributes: tuple[str, ...] = _CLIENT


_LOCAL = {
    EXECUTE_TOOL: Signals(TOOL_NAME, (TOOL_DURATION,), (TOOL_NAME, TOOL_TYPE, AGENT_NAME)),
    INVOKE_AGENT: Signals(AGENT_NAME, (AGENT_DURATION,), (AGENT_NAME, REQUEST_MODEL)),
    INVOKE_WORKFLOW: Signals(WORKFLOW_NAME, (WORKFLOW_DURATION,), (WORKFLOW_NAME,)),
    RETRIEVAL: Signals(DATA_SOURCE_ID, (OPERATION_DURATION,)),
}


def signals(operation: str, generation: Generation, *, remote: bool = False) -> Signals:
    """How `operation` is named and measured in a generation of the conventions."""
    if operation == INVOKE_AGENT and remote:  # one that a provider runs is a call like any other
        return Signals(AGENT_NAME, (OPERATION_DURATION,))
    if operation in _LOCAL:
        return _LOCAL[operation]
    durations = {
        "published": (OPERATION_DURATION,),
        "latest": (INFERENCE_DURATION,),
        "both": (OPERATION_DURATION, INFERENCE_DURATION),
    }
    return Signals(REQUEST_MODEL, durations[generation] if operation in INFERENCE else (OPERATION_DURATION,))
