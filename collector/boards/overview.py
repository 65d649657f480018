"""The first look: how much, how well, how fast, for how much."""

from __future__ import annotations

from boards import promql as q
from boards.panels import (
    COUNT,
    DOLLARS,
    PER_SECOND,
    SECONDS,
    SHARE,
    TOKENS,
    Column,
    Query,
    above,
    graph,
    linked,
    stat,
    table,
)

PANELS = (
    stat("Calls", "Calls of models per second, embeddings included.", PER_SECOND, q.NO_CALLS, Query(q.CALLS)),
    stat(
        "Failed",
        "Share of calls that failed or whose stream was cut. What a caller stopped or cancelled is none.",
        SHARE,
        q.NO_CALLS,
        Query(q.FAILED),
        steps=above(0.01, 0.05),
    ),
    stat(
        "Duration, p95",
        "Inference that was not an error, to its last chunk.",
        SECONDS,
        q.NO_CALLS,
        Query(q.quantile(0.95, q.DURATION, q.INFERENCE)),
        steps=above(10, 30),
    ),
    stat(
        "First chunk, p95",
        "How long streams let wait for their first output.",
        SECONDS,
        q.NO_STREAMS,
        Query(q.quantile(0.95, q.FIRST_CHUNK, q.CALL)),
        steps=above(2, 5),
    ),
    stat(
        "Tokens",
        "Input and output tokens per second.",
        TOKENS,
        q.NO_CALLS,
        Query(q.total("genai:tokens:rate5m", q.CALL)),
    ),
    stat(
        "Spend, 24 h",
        "US dollars in the last 24 hours, exactly as counted.",
        DOLLARS,
        q.NO_COST,
        Query(q.SPENT_1D),
        decimals=2,
    ),
    graph(
        "Calls by outcome",
        "Per second. Only failed and truncated are errors.",
        PER_SECOND,
        q.NO_CALLS,
        Query(q.total("genai:calls:rate5m", q.CALL, "otel_genai_outcome"), "{{otel_genai_outcome}}"),
        stack=True,
        overrides=q.OUTCOMES,
    ),
    graph(
        "Duration",
        "Inference that was not an error. A diamond is one call: click it for its trace.",
        SECONDS,
        q.NO_CALLS,
        Query(q.quantile(0.5, q.DURATION, q.INFERENCE), "p50"),
        Query(f"histogram_quantile(0.95, {q.RAW_DURATION})", "p95", exemplars=True),
        Query(q.quantile(0.99, q.DURATION, q.INFERENCE), "p99"),
    ),
    graph(
        "Spend per hour by model",
        "US dollars in the hour before each point.",
        DOLLARS,
        q.NO_COST,
        Query(
            q.total("genai:cost_usd:increase1h", q.COST, "gen_ai_request_model"), "{{gen_ai_request_model}}"
        ),
        stack=True,
    ),
    graph(
        "Tokens by type",
        "Per second.",
        TOKENS,
        q.NO_CALLS,
        Query(q.total("genai:tokens:rate5m", q.CALL, "gen_ai_token_type"), "{{gen_ai_token_type}}"),
        stack=True,
    ),
    table(
        "Models",
        "The last minutes of each model; spend is of the last 24 hours.",
        q.NO_CALLS,
        {"service_name": "Service", "gen_ai_provider_name": "Provider", "gen_ai_request_model": "Model"},
        tuple(
            Column(
                title, expr.replace("BY", "service_name, gen_ai_provider_name, gen_ai_request_model"), unit
            )
            for title, expr, unit in (
                ("Calls", q.total("genai:calls:rate5m", q.CALL, "BY"), PER_SECOND),
                (
                    "Failed",
                    q.ratio(
                        q.total("genai:calls:rate5m", f"{q.CALL}, {q.FAILURES}", "BY"),
                        q.total("genai:calls:rate5m", q.CALL, "BY"),
                    ),
                    SHARE,
                ),
                ("Duration, p95", q.quantile(0.95, q.DURATION, q.WHOLE, "BY"), SECONDS),
                ("Tokens, 24 h", q.total("genai:tokens:increase1d", q.CALL, "BY"), COUNT),
                ("Spend, 24 h", q.total("genai:cost_usd:increase1d", q.COST, "BY"), DOLLARS),
            )
        ),
        overrides=(linked("Model", "Latency of this model", q.MODEL_LINK),),
    ),
)
