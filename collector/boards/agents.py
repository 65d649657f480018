"""What is done around calls: agents, tools, workflows."""

from __future__ import annotations

from boards import promql as q
from boards.panels import COUNT, PER_SECOND, SECONDS, SHARE, Column, Panel, Query, above, graph, table

TOOL, AGENT, WORKFLOW = (
    f"gen_ai_{name}_duration_seconds" for name in ("execute_tool", "invoke_agent", "invoke_workflow")
)
WORK = (
    (
        "Agents",
        AGENT,
        "gen_ai_agent_name",
        q.NO_AGENTS,
        "otel_genai.agent(), the calls and tools within included",
    ),
    ("Tools", TOOL, "gen_ai_tool_name", q.NO_TOOLS, "otel_genai.tool()"),
    (
        "Workflows",
        WORKFLOW,
        "gen_ai_workflow_name",
        q.NO_WORKFLOWS,
        "otel_genai.workflow(), all within included",
    ),
)


def _work(title: str, series: str, label: str, empty: str, what: str) -> tuple[Panel | str, ...]:
    """Show how often, how long and how badly one kind of work was done."""
    runs, name = f"sum by ({label}) (rate({series}_count{{{q.SERVICE}}}[5m]))", f"{{{{{label}}}}}"
    errors = f'sum by ({label}) (rate({series}_count{{{q.SERVICE}, error_type!=""}}[5m]))'
    p95 = f"histogram_quantile(0.95, sum by (le, {label}) (rate({series}_bucket{{{q.SERVICE}}}[5m])))"
    return (
        title,
        graph(
            f"{title}: runs",
            f"Per second, of {what}.",
            PER_SECOND,
            empty,
            Query(runs, name),
            stack=True,
            width=8,
        ),
        graph(
            f"{title}: duration, p95",
            "A diamond is one run: click it for its trace.",
            SECONDS,
            empty,
            Query(p95, name, exemplars=True),
            width=8,
        ),
        graph(
            f"{title}: failed",
            "Share of runs that ended with an exception.",
            SHARE,
            empty,
            Query(q.ratio(errors, runs), name),
            steps=above(0.01, 0.05),
            width=8,
        ),
    )


TOOL_LABELS = {"service_name": "Service", "gen_ai_tool_name": "Tool", "gen_ai_tool_type": "Type"}
FAILED = f'{q.SERVICE}, error_type!=""'
PANELS = (
    *(panel for work in WORK for panel in _work(*work)),
    table(
        "Tools, last hour",
        "Runs, the seconds they took together, and how many ended with an exception.",
        q.NO_TOOLS,
        TOOL_LABELS,
        (
            Column("Runs", q.increase(f"{TOOL}_count", q.SERVICE, ", ".join(TOOL_LABELS)), COUNT),
            Column("Seconds", q.increase(f"{TOOL}_sum", q.SERVICE, ", ".join(TOOL_LABELS)), SECONDS),
            Column("Failed", q.increase(f"{TOOL}_count", FAILED, ", ".join(TOOL_LABELS)), COUNT),
        ),
    ),
)
