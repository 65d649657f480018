"""How calls end that do not end well."""

from __future__ import annotations

from boards import promql as q
from boards.panels import PER_SECOND, SECONDS, SHARE, Column, Query, above, graph, stat, table

BY_ERROR = q.total("genai:duration_seconds_count:rate5m", f'{q.CALL}, error_type!=""', "error_type")
BY_OUTCOME = q.total("genai:calls:rate5m", q.CALL, "otel_genai_outcome")
CUT = q.total("genai:calls:rate5m", f'{q.CALL}, otel_genai_outcome="truncated"', "gen_ai_request_model")
RETRIED = ".*(RateLimit|Timeout|Connection|InternalServer|Overloaded|Unavailable).*|408|409|429|5.."
WINDOWS = ("5m", "30m", "1h", "6h")
PANELS = (
    *(
        stat(
            f"Failed, last {window}",
            "Share of calls that failed or whose stream was cut; the worst service.",
            SHARE,
            q.NO_CALLS,
            Query(f"max(genai:errors:ratio_rate{window}{{{q.SERVICE}}})"),
            width=6,
            steps=above(0.01, 0.05),
        )
        for window in WINDOWS
    ),
    graph(
        "Failed, by service",
        "Share of calls of the last 5 minutes that failed or whose stream was cut.",
        SHARE,
        q.NO_CALLS,
        Query(q.total("genai:errors:ratio_rate5m", q.SERVICE, "service_name"), "{{service_name}}"),
        steps=above(0.01, 0.05),
    ),
    graph(
        "Outcomes",
        "Share of calls. Stopped: the caller wanted no more. Cancelled: its task was. Truncated: the "
        "connection was cut. Only failed and truncated are errors.",
        SHARE,
        q.NO_CALLS,
        Query(
            f"{BY_OUTCOME} / on () group_left () ({q.CALLS} > 0)",
            "{{otel_genai_outcome}}",
        ),
        stack=True,
        overrides=q.OUTCOMES,
    ),
    graph(
        "Errors by type",
        "Per second; the exception's class, or the provider's code.",
        PER_SECOND,
        q.NO_ERRORS,
        Query(BY_ERROR, "{{error_type}}"),
        stack=True,
    ),
    graph(
        "Errors in spite of retries",
        "Per second, of the types that SDKs try again: a call is counted once, when its last try has failed. "
        "The single tries are HTTP spans below the call (pip install 'otel-genai[http]').",
        PER_SECOND,
        q.NO_ERRORS,
        Query(
            q.total(
                "genai:duration_seconds_count:rate5m",
                f'{q.CALL}, error_type=~"{RETRIED}"',
                "error_type, gen_ai_provider_name",
            ),
            "{{gen_ai_provider_name}}: {{error_type}}",
        ),
        stack=True,
    ),
    graph(
        "How long errors take, p95",
        "Retries included. A diamond is one call: click it for its trace.",
        SECONDS,
        q.NO_ERRORS,
        Query(
            "histogram_quantile(0.95, "
            + q.buckets(
                "gen_ai_client_operation_duration_seconds",
                "gen_ai_client_inference_duration_seconds",
                f'{q.CALL}, error_type!=""',
            )
            + ")",
            "p95",
            exemplars=True,
        ),
    ),
    graph(
        "Streams cut",
        "Per second: the connection ended before the answer did.",
        PER_SECOND,
        "No calls in this time",
        Query(
            f"{CUT} or 0 * {q.total('genai:calls:rate5m', q.CALL, 'gen_ai_request_model')}",
            "{{gen_ai_request_model}}",
        ),
    ),
    table(
        "Errors",
        "Calls of the last 5 minutes, per second.",
        q.NO_ERRORS,
        {"service_name": "Service", "gen_ai_request_model": "Model", "error_type": "Error"},
        (
            Column(
                "Errors",
                q.total(
                    "genai:duration_seconds_count:rate5m",
                    f'{q.CALL}, error_type!=""',
                    "service_name, gen_ai_request_model, error_type",
                ),
                PER_SECOND,
            ),
        ),
    ),
)
