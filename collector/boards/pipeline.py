"""Whether all that was sent has arrived: Collector, Jaeger, Prometheus, and the instrumentation itself."""

from __future__ import annotations

from boards import promql as q
from boards.panels import BYTES, COUNT, PER_SECOND, SHARE, Query, above, below, graph, stat


def _own(name: str, more: str = "") -> str:
    """Select a metric of the Collector's own: `_total` stands behind counters or not, as they are read."""
    return f'{{__name__=~"otelcol_{name}(_total)?"{more}}}'


SIGNALS = {"spans": "spans", "metric_points": "metric points", "log_records": "events"}


def _flow(series: str) -> tuple[Query, ...]:
    """Give what the Collector and Jaeger, which is one too, count of each signal."""
    return tuple(
        Query(f"sum by (job) (rate({_own(f'{series}_{signal}')}[5m]))", f"{{{{job}}}}: {name}")
        for signal, name in SIGNALS.items()
    )


def _lost(*series: str) -> str:
    """Add up what was refused or lost, of every signal; nothing at all is 0."""
    sums = (
        f"(sum(rate({_own(f'{one}_{signal}')}[5m])) or vector(0))" for one in series for signal in SIGNALS
    )
    return " + ".join(sums)


OWN_COUNTERS = {
    "otel_genai_instrumentation_errors_total": "own errors",
    "otel_genai_uploads_lost_total": "uploads lost",
}
PANELS = (
    stat(
        "Programs that run",
        "Collector, Jaeger, Prometheus, Alertmanager: what answers, of what is scraped.",
        SHARE,
        q.NO_SELF,
        Query("sum(up) / count(up)"),
        steps=below(0.5, 1),
    ),
    stat(
        "Fullest queue",
        "Of the Collector's queues to Jaeger and Prometheus; full ones refuse.",
        SHARE,
        q.NO_SELF,
        Query("max(otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)"),
        steps=above(0.6, 0.9),
    ),
    stat(
        "Refused",
        "Per second: what senders were told to send again; the memory limit or a queue was reached.",
        PER_SECOND,
        q.NO_SELF,
        Query(_lost("receiver_refused")),
        steps=above(0.001, 1),
    ),
    stat(
        "Lost",
        "Per second: what a back end would not take, or a full queue could not hold.",
        PER_SECOND,
        q.NO_SELF,
        Query("sum(collector:lost:rate5m) or vector(0)"),
        steps=above(0.001, 1),
    ),
    *(
        stat(
            title,
            description,
            COUNT,
            "None",
            Query(f"{q.increase(series, q.SERVICE)} or vector(0)"),
            steps=above(1, 10),
        )
        for title, description, series in (
            (
                "Own errors, 1 h",
                "Failures of the instrumentation itself; the calls were not affected, their telemetry was.",
                "otel_genai_instrumentation_errors_total",
            ),
            (
                "Uploads lost, 1 h",
                "Content that did not reach its store (OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK).",
                "otel_genai_uploads_lost_total",
            ),
        )
    ),
    "Through the Collector",
    graph(
        "Taken in",
        "Per second, by program: the Collector's is what applications send.",
        PER_SECOND,
        q.NO_SELF,
        *_flow("receiver_accepted"),
    ),
    graph(
        "Passed on",
        "Per second: to Jaeger, to Prometheus, to the file of events.",
        PER_SECOND,
        q.NO_SELF,
        *_flow("exporter_sent"),
    ),
    graph(
        "Queues",
        "Share of each queue that is full. One that fills says that a back end is away or slow.",
        SHARE,
        q.NO_SELF,
        Query(
            "max by (job, exporter, data_type) "
            "(otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)",
            "{{exporter}}: {{data_type}}",
        ),
        steps=above(0.6, 0.9),
    ),
    graph(
        "Refused and lost",
        "Per second, all signals.",
        PER_SECOND,
        q.NO_SELF,
        Query(_lost("receiver_refused"), "refused"),
        Query(_lost("receiver_failed"), "failed in the pipeline"),
        Query("sum(collector:lost:rate5m) or vector(0)", "lost"),
    ),
    graph(
        "Memory",
        "Resident memory of Collector and Jaeger.",
        BYTES,
        q.NO_SELF,
        Query('max by (job) ({__name__=~"otelcol_process_memory_rss(_bytes)?"})', "{{job}}"),
    ),
    graph(
        "CPU",
        "Cores in use by Collector and Jaeger.",
        COUNT,
        q.NO_SELF,
        Query(f"sum by (job) (rate({_own('process_cpu_seconds')}[5m]))", "{{job}}"),
    ),
    "Prometheus",
    graph(
        "Samples",
        "Per second; out of order: those that came late and were taken all the same.",
        PER_SECOND,
        q.NO_SELF,
        Query("sum(rate(prometheus_tsdb_head_samples_appended_total[5m]))", "stored"),
        Query("sum(rate(prometheus_tsdb_head_out_of_order_samples_appended_total[5m]))", "out of order"),
        Query("sum(rate(prometheus_tsdb_too_old_samples_total[5m]))", "refused as too old"),
        width=8,
    ),
    graph(
        "Series",
        "Time series in memory: every new value of a label is one more of each metric.",
        COUNT,
        q.NO_SELF,
        Query("sum(prometheus_tsdb_head_series)", "series"),
        width=8,
    ),
    graph(
        "Rules and alerts",
        "Per second: rules that could not be evaluated, alerts that reached no Alertmanager.",
        PER_SECOND,
        q.NO_SELF,
        Query("sum(rate(prometheus_rule_evaluation_failures_total[5m]))", "rules failed"),
        Query("sum(rate(prometheus_notifications_dropped_total[5m])) or vector(0)", "alerts dropped"),
        width=8,
    ),
    "Programs",
    graph(
        "Processes that report",
        "Processes with calls counted in the last 5 minutes, by service.",
        COUNT,
        q.NO_CALLS,
        Query(
            "count by (service_name) "
            f"(count by (service_name, instance) (otel_genai_calls_total{{{q.SERVICE}}}))",
            "{{service_name}}",
        ),
    ),
    graph(
        "Own errors and lost uploads",
        "Per hour, by service.",
        COUNT,
        "None in this time",
        *(
            Query(
                q.increase(series, q.SERVICE, "service_name"),
                f"{{{{service_name}}}}: {name}",
            )
            for series, name in OWN_COUNTERS.items()
        ),
    ),
)
