"""Recording rules and alerts: each tested by promtool, named after metrics that there are, and explained."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from programs import BIN, COLLECTOR, built

from otel_genai import semconv as s

RULES = COLLECTOR / "rules"
CASES = sorted((RULES / "tests").glob("*.yaml"))
FILES = sorted(RULES.glob("*.yaml"))
needs_promtool = pytest.mark.skipif(
    not built(), reason="promtool is not built: `python collector/stack.py build` builds it"
)

PARTS = ("bucket", "sum", "count")
# What is not ours: Prometheus' own, what the Collector counts of spans, and its own counters, which
# end in _total or not.
FOREIGN = {
    "up",
    "traces_span_metrics_calls_total",
    "traces_span_metrics_duration_seconds_bucket",
    "otelcol_exporter_queue_size",
    "otelcol_exporter_queue_capacity",
} | {
    f"otelcol_{what}_{signal}(_total)?"
    for what in ("receiver_refused", "receiver_failed", "exporter_send_failed", "exporter_enqueue_failed")
    for signal in ("spans", "metric_points", "log_records")
}
NAME = re.compile(
    r"\b(?:genai:[\w:]+|collector:[\w:]+|(?:gen_ai|otel_genai|otelcol|traces|genai_budget)_\w+(?:\(_total\)\?)?)"
)
LABELS = re.compile(
    r"\b(?:by|on|group_left)\s*\([^)]*\)|\b(?:gen_ai|otel_genai)_\w+\s*(?:=~?|!=)|\"[^\"_]*\w*team\""
)


def rules(*files: Path) -> list[dict[str, Any]]:
    """Give all rules of the files."""
    found = [yaml.safe_load(file.read_text()) for file in files or FILES]
    return [rule for one in found for group in one["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDS = {rule["record"] for rule in rules() if "record" in rule}


def emitted() -> set[str]:
    """Spell every metric of the package as Prometheus does."""
    metrics = [one for one in vars(s).values() if isinstance(one, s.Metric)] + list(s.USAGE_COUNTERS.values())
    series = set()
    for metric in metrics:
        name = metric.name.replace(".", "_") + ("_seconds" if metric.unit == "s" else "")
        series |= {f"{name}_{part}" for part in PARTS} if metric.buckets else {f"{name}_total"}
    return series


def attributes() -> set[str]:
    """Spell every attribute of the package as Prometheus does."""
    return {one.replace(".", "_") for name, one in vars(s).items() if name.isupper() and isinstance(one, str)}


def cases() -> list[dict[str, Any]]:
    """Give everything that is asked in the tests for promtool."""
    groups = [group for file in CASES for group in yaml.safe_load(file.read_text())["tests"]]
    return [case for group in groups for case in group["promql_expr_test"]]


def promtool(*arguments: str | Path) -> None:
    """Run promtool, which must have nothing to say against what it is given."""
    done = subprocess.run([BIN / "promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_accepts_the_rules() -> None:
    """Each file is read by Prometheus, and no rule is there twice."""
    promtool("check", "rules", "--lint=all", "--lint-fatal", *FILES)


@needs_promtool
@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_rules_do_what_they_should(file: Path) -> None:
    """What the rules give, and when alerts fire, is as the file says."""
    promtool("test", "rules", file)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_seen_firing_and_not_firing(alert: str) -> None:
    """The tests for promtool have each alert both ways."""
    asked = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    fired = {bool(case["exp_samples"]) for case in cases() if case["expr"] == asked}
    assert fired == {True, False}


@pytest.mark.parametrize(
    "record", sorted(RECORDS - {one for one in RECORDS if one.startswith("genai_budget")})
)
def test_each_recording_rule_is_tested(record: str) -> None:
    """The tests for promtool say what each recording rule gives."""
    assert [case for case in cases() if case["expr"] == record and case["exp_samples"]]


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_explained(alert: str) -> None:
    """An alert says how urgent it is, what happens, and where it is written what to do."""
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    told = rule["annotations"]
    assert set(told) == {"summary", "description", "runbook_url"}
    assert told["runbook_url"] == f"collector/RUNBOOK.md#{alert.lower()}"
    section = (COLLECTOR / "RUNBOOK.md").read_text().partition(f"\n## {alert}\n")[2].partition("\n## ")[0]
    assert re.findall(r"^- \*\*(.+?)\*\*: \S", section, re.MULTILINE) == ["Means", "Look at", "Do"]


def test_the_runbook_has_no_alert_that_is_gone() -> None:
    """Every section is about an alert, and every link leads to one."""
    text = (COLLECTOR / "RUNBOOK.md").read_text()
    assert set(re.findall(r"^## (.+)$", text, re.MULTILINE)) == set(ALERTS)
    assert set(re.findall(r"\(#(\w+)\)", text)) <= {alert.lower() for alert in ALERTS}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("record") or rule["alert"])
def test_rules_ask_for_what_there_is(rule: dict[str, Any]) -> None:
    """Each name in a rule is a metric of the package, a recording rule, or known of the stack's programs."""
    names = set(NAME.findall(LABELS.sub(" ", rule["expr"])))
    assert names <= emitted() | RECORDS | FOREIGN | attributes()
    assert names or rule["expr"].startswith(("vector(", "up "))


def test_rules_group_by_labels_that_there_are() -> None:
    """Each label of ours in a rule is an attribute that the package knows."""
    text = " ".join(rule["expr"] for rule in rules())
    labels = {
        word
        for group in re.findall(r"\b(?:by|on|group_left)\s*\(([^)]*)\)", text)
        for word in re.split(r"[,\s]+", group)
        if word
    }
    others = {"le", "service_name", "team", "job", "instance", "signal"}
    assert labels <= others | attributes()


def test_durations_have_budgets() -> None:
    """Every operation that takes a model's, a tool's or a store's time has a budget of seconds."""
    stages = {
        rule["labels"]["gen_ai_operation_name"]
        for rule in rules()
        if rule.get("record") == "genai_budget_seconds"
    }
    assert stages == s.MODEL_CALLS | {s.RETRIEVAL, s.EXECUTE_TOOL, s.INVOKE_AGENT, s.INVOKE_WORKFLOW}


def test_latency_is_of_calls_of_models() -> None:
    """The rule names each operation that the conventions call one of a model's, and no other."""
    (rule,) = (one for one in rules() if one.get("record") == "genai:completed_seconds_bucket:rate5m")
    (named,) = re.findall(r'gen_ai_operation_name=~"([^"]+)"', rule["expr"])
    assert set(named.split("|")) == s.INFERENCE | {s.EMBEDDINGS}


@pytest.mark.parametrize("file", ["config.yaml", "agent.yaml"])
def test_the_collector_counts_spans_by_what_alerts_ask_for(file: str) -> None:
    """Why and how answers ended is told by spans alone: the Collectors that count spans keep it."""
    counting = yaml.safe_load((COLLECTOR / file).read_text())["connectors"]["span_metrics"]
    assert counting["namespace"].replace(".", "_") == "traces_span_metrics"
    assert counting["histogram"]["unit"] == "s"
    kept = {one["name"] for one in counting["dimensions"]}
    assert {s.OPERATION_NAME, s.PROVIDER_NAME, s.REQUEST_MODEL, s.OUTCOME, s.RESPONSE_FINISH_REASONS} <= kept
    assert "service.name" in counting["resource_metrics_key_attributes"]
