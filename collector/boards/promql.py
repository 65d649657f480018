"""The words that the dashboards' queries are made of: what can be chosen, and what is asked again and again.

Queries ask for what rules/genai.yaml records, which is the same whichever generation of the conventions a
program emits. Exemplars lead from a point to its trace; as recorded series have none, the panels that show
them ask for the metrics themselves, as the rules do.
"""

from __future__ import annotations

from boards.panels import Variable, coloured

SERVICE = 'service_name=~"$service"'
CALL = f'{SERVICE}, gen_ai_provider_name=~"$provider", gen_ai_request_model=~"$model"'
COST = f'{CALL}, team=~"$team"'
WHOLE = f'{CALL}, error_type=""'
INFERENCE = f'{WHOLE}, gen_ai_operation_name=~"chat|text_completion|generate_content"'

VARIABLES = (
    Variable(
        "service",
        "Service",
        "label_values(genai:stage_duration_seconds_count:rate5m, service_name)",
        "OTEL_SERVICE_NAME of the programs",
    ),
    Variable(
        "provider",
        "Provider",
        f"label_values(otel_genai_calls_total{{{SERVICE}}}, gen_ai_provider_name)",
        "Whose API is called",
    ),
    Variable(
        "model",
        "Model",
        f'label_values(otel_genai_calls_total{{{SERVICE}, gen_ai_provider_name=~"$provider"}}, '
        "gen_ai_request_model)",
        "The model that was asked for",
    ),
    Variable(
        "team",
        "Team",
        "label_values(genai:cost_usd:increase1d, team)",
        "Who pays: context(team=...) with OTEL_GENAI_METRIC_DIMENSIONS=team; All has what names no team, too",
    ),
)

NO_CALLS = (
    "No calls: send OTLP to the Collector (OTEL_EXPORTER_OTLP_ENDPOINT), choose a longer time or All above"
)
NO_STREAMS = "No streamed calls in this time"
NO_COST = "No costs: pip install 'otel-genai[cost]', or set OTEL_GENAI_PRICES to prices of your own"
NO_TEAMS = "No team has costs: set OTEL_GENAI_METRIC_DIMENSIONS=team, and context(team=...) around calls"
NO_ERRORS = "No errors in this time"
NO_TOOLS = "No tools: put otel_genai.tool() around them"
NO_AGENTS = "No agents: put otel_genai.agent() around them"
NO_WORKFLOWS = "No workflows: put otel_genai.workflow() around them"
NO_SCORES = (
    "No scores: otel_genai.feedback() or evaluate() after answers, or OTEL_GENAI_JUDGES=length,refusal"
)
NO_JUDGES = "No judge of yours asks a model: judges.llm() does"
NO_SELF = "Nothing is scraped: see targets.yaml and Prometheus' Status > Targets"


def total(series: str, chosen: str, by: str = "") -> str:
    """Add up a series for what is chosen."""
    return f"sum{f' by ({by})' if by else ''} ({series}{{{chosen}}})"


def increase(series: str, chosen: str, by: str = "", window: str = "1h") -> str:
    """Count what came in a window, exactly, as rules/genai.yaml does and says why."""
    one = f"{series}{{{chosen}}}"
    exact = f"last_over_time({one}[{window}]) - ({one} offset {window} or min_over_time({one}[{window}]))"
    guessed = f"increase({one}[{window}])"
    whole = f"{exact} unless resets({one}[{window}]) > 0 or {guessed}"
    return f"sum{f' by ({by})' if by else ''} ({whole})"


def quantile(share: float, series: str, chosen: str, by: str = "") -> str:
    """Estimate a quantile from the buckets of a recorded histogram."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) ({series}{{{chosen}}}))"


def buckets(published: str, latest: str, chosen: str) -> str:
    """Give the rate of a histogram's buckets of either generation, as the rules do; for exemplars."""
    rates = (f"rate({name}_bucket{{{chosen}}}[5m])" for name in (published, latest))
    return f"sum by (le) ({' or '.join(rates)})"


def ratio(part: str, whole: str) -> str:
    """Divide; without a part it is 0, without a whole there is nothing."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


FAILURES = 'otel_genai_outcome=~"failed|truncated"'
CALLS = total("genai:calls:rate5m", CALL)
FAILED = ratio(total("genai:calls:rate5m", f"{CALL}, {FAILURES}"), CALLS)
DURATION = "genai:duration_seconds_bucket:rate5m"
FIRST_CHUNK = "genai:time_to_first_chunk_seconds_bucket:rate5m"
NEXT_CHUNK = "genai:time_per_output_chunk_seconds_bucket:rate5m"
RAW_DURATION = buckets(
    "gen_ai_client_operation_duration_seconds", "gen_ai_client_inference_duration_seconds", INFERENCE
)
RAW_FIRST_CHUNK = buckets(
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    "gen_ai_client_inference_time_to_first_chunk_seconds",
    CALL,
)
SPENT_1H, SPENT_1D = total("genai:cost_usd:increase1h", COST), total("genai:cost_usd:increase1d", COST)
SPENT_IN_RANGE = increase("gen_ai_client_cost_usd_total", CALL, window="$__range")

MODEL_LINK = "/d/genai-latency?${__url_time_range}&var-model=${__value.text}"
TEAM_LINK = "/d/genai-cost?${__url_time_range}&var-team=${__value.text}"
OUTCOMES = tuple(
    coloured(name, color)
    for name, color in {
        "completed": "green",
        "stopped": "blue",
        "cancelled": "purple",
        "truncated": "orange",
        "failed": "red",
    }.items()
)
