"""How long calls take, when streams begin, and which stage of a pipeline takes its time."""

from __future__ import annotations

from boards import promql as q
from boards.panels import PER_SECOND, SECONDS, SHARE, Column, Query, above, bars, graph, heat, stat, table

STAGE = "genai:stage_duration_seconds"
LEAVES = f'{q.SERVICE}, gen_ai_operation_name!~"invoke_agent|invoke_workflow"'
PANELS = (
    *(
        stat(
            f"Duration, p{share * 100:g}",
            "Inference that was not an error, to its last chunk.",
            SECONDS,
            q.NO_CALLS,
            Query(q.quantile(share, q.DURATION, q.INFERENCE)),
            steps=above(10, 30),
        )
        for share in (0.5, 0.95, 0.99)
    ),
    *(
        stat(
            f"First chunk, p{share * 100:g}",
            "Streams: from the request to the first output.",
            SECONDS,
            q.NO_STREAMS,
            Query(q.quantile(share, q.FIRST_CHUNK, q.CALL)),
            steps=above(2, 5),
        )
        for share in (0.5, 0.95, 0.99)
    ),
    graph(
        "Duration",
        "Inference that was not an error. A diamond is one call: click it for its trace.",
        SECONDS,
        q.NO_CALLS,
        *(
            Query(f"histogram_quantile({share}, {q.RAW_DURATION})", f"p{share * 100:g}", exemplars=True)
            for share in (0.5, 0.95, 0.99)
        ),
    ),
    graph(
        "Time to first chunk",
        "Of streams. A diamond is one call: click it for its trace.",
        SECONDS,
        q.NO_STREAMS,
        *(
            Query(f"histogram_quantile({share}, {q.RAW_FIRST_CHUNK})", f"p{share * 100:g}", exemplars=True)
            for share in (0.5, 0.95, 0.99)
        ),
    ),
    heat(
        "Durations",
        "Calls per second in each bucket; blue points are exemplars, which lead to traces.",
        SECONDS,
        q.NO_CALLS,
        Query(q.RAW_DURATION, "{{le}}", exemplars=True),
    ),
    graph(
        "Time from chunk to chunk, p95",
        "How fast streams go on, by model.",
        SECONDS,
        q.NO_STREAMS,
        Query(q.quantile(0.95, q.NEXT_CHUNK, q.CALL, "gen_ai_request_model"), "{{gen_ai_request_model}}"),
    ),
    graph(
        "Duration, p95 by model",
        "Inference that was not an error.",
        SECONDS,
        q.NO_CALLS,
        Query(q.quantile(0.95, q.DURATION, q.INFERENCE, "gen_ai_request_model"), "{{gen_ai_request_model}}"),
    ),
    graph(
        "Time to first chunk, p95 by model",
        "Of streams.",
        SECONDS,
        q.NO_STREAMS,
        Query(q.quantile(0.95, q.FIRST_CHUNK, q.CALL, "gen_ai_request_model"), "{{gen_ai_request_model}}"),
    ),
    "Stages of a pipeline",
    graph(
        "Where the time goes",
        "Share of the time spent in calls, retrieval and tools; agents and workflows, which contain these, "
        "are left out.",
        SHARE,
        q.NO_CALLS,
        Query(
            f"sum by (gen_ai_operation_name) ({STAGE}_sum:rate5m{{{LEAVES}}})"
            f" / on () group_left () (sum ({STAGE}_sum:rate5m{{{LEAVES}}}) > 0)",
            "{{gen_ai_operation_name}}",
        ),
        stack=True,
    ),
    graph(
        "Stages, p95",
        "Agents and workflows contain the calls and tools that they make.",
        SECONDS,
        q.NO_CALLS,
        Query(
            q.quantile(0.95, f"{STAGE}_bucket:rate5m", q.SERVICE, "gen_ai_operation_name"),
            "{{gen_ai_operation_name}}",
        ),
    ),
    bars(
        "Stages against their budgets",
        "p95 of the last 5 minutes, of the seconds that rules/budgets.yaml allows.",
        SHARE,
        "No budgets, or no calls: rules/budgets.yaml says how long each stage may take",
        Query(
            f"{q.quantile(0.95, f'{STAGE}_bucket:rate5m', q.SERVICE, 'gen_ai_operation_name')}"
            " / on (gen_ai_operation_name) sum by (gen_ai_operation_name) (genai_budget_seconds)",
            "{{gen_ai_operation_name}}",
        ),
        steps=above(0.8, 1),
    ),
    table(
        "Stages",
        "The last 5 minutes.",
        q.NO_CALLS,
        {"gen_ai_operation_name": "Stage"},
        (
            Column(
                "p95", q.quantile(0.95, f"{STAGE}_bucket:rate5m", q.SERVICE, "gen_ai_operation_name"), SECONDS
            ),
            Column("Budget", "sum by (gen_ai_operation_name) (genai_budget_seconds)", SECONDS),
            Column("Runs", q.total(f"{STAGE}_count:rate5m", q.SERVICE, "gen_ai_operation_name"), PER_SECOND),
        ),
        width=12,
    ),
)
