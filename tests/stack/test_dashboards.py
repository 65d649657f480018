"""Dashboards, what Grafana reads from, and the links between Grafana and Jaeger, without running either."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import dashboards
import pytest
import yaml
from programs import BIN, COLLECTOR, built

import asked
from asked import DASHBOARDS, panels
from otel_genai import semconv as s

COMPOSE = yaml.safe_load((COLLECTOR.parent / "docker-compose.yml").read_text())["services"]
PROVISIONING = COLLECTOR / "grafana" / "provisioning"
SOURCES = {
    one["uid"]: one
    for path in PROVISIONING.glob("datasources/*.yaml")
    for one in yaml.safe_load(path.read_text())["datasources"]
}
UI = json.loads((COLLECTOR / "jaeger-ui.json").read_text())
KINDS = {"timeseries", "stat", "table", "bargauge", "heatmap"}
UNITS = {"s", "currencyUSD", "percentunit", "bytes", "short", "suffix: /s", "suffix: tokens/s"}
BUILT_IN = {"__range", "__range_s", "__rate_interval", "__interval"}
# What the programs of the stack say of themselves, as far as a panel shows it.
OF_THE_STACK = re.compile(
    r"up|otelcol_(receiver_(accepted|refused|failed)|exporter_(sent|send_failed|enqueue_failed))"
    r"_(spans|metric_points|log_records)(_total)?"
    r"|otelcol_exporter_queue_(size|capacity)"
    r"|otelcol_process_memory_rss(_bytes)?|otelcol_process_cpu_seconds(_total)?"
    r"|prometheus_tsdb_head_series|prometheus_tsdb_head_samples_appended_total"
    r"|prometheus_tsdb_head_out_of_order_samples_appended_total|prometheus_tsdb_too_old_samples_total"
    r"|prometheus_rule_evaluation_failures_total|prometheus_notifications_dropped_total"
)
each_dashboard = pytest.mark.parametrize("name", DASHBOARDS)


# --- As the program writes them --------------------------------------------------------------------------


def test_what_is_checked_in_is_what_the_program_writes() -> None:
    """After a change of boards/ the program was run."""
    place = dashboards.PLACE
    assert {path.name: path.read_text() for path in place.iterdir()} == {
        name: dashboards.text(made) for name, made in dashboards.dashboards().items()
    }


# --- As Grafana reads them -------------------------------------------------------------------------------


def test_no_two_have_the_same_uid_or_title() -> None:
    """Grafana keeps one of several with the same."""
    for key in ("uid", "title"):
        assert len({board[key] for board in DASHBOARDS.values()}) == len(DASHBOARDS)
    assert {board["uid"] for board in DASHBOARDS.values()} == {f"genai-{name}" for name in DASHBOARDS}


@each_dashboard
def test_the_whole_is_of_the_schema(name: str) -> None:
    """It is of the version that the panels are written for, and nobody can change it in place."""
    board = DASHBOARDS[name]
    assert board["schemaVersion"] == 42
    assert board["editable"] is False
    assert board["description"]
    assert board["timezone"] == "utc"  # days begin where the rules' days begin
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)


@each_dashboard
def test_panels_do_not_overlap(name: str) -> None:
    """Each has a place of its own, within the width of the page."""
    places = [panel["gridPos"] for panel in DASHBOARDS[name]["panels"]]
    assert all(one["x"] >= 0 and one["x"] + one["w"] <= 24 and one["h"] > 0 for one in places)
    assert not [(a, b) for a, b in combinations(places, 2) if _overlap(a, b)]


def _overlap(a: dict[str, int], b: dict[str, int]) -> bool:
    beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
    return not beside and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]


@each_dashboard
def test_every_panel_explains_itself(name: str) -> None:
    """Each has a title, a description, a unit, thresholds in order, and words for when there is nothing."""
    for panel in panels(DASHBOARDS[name]):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["type"] in KINDS
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert len(defaults["noValue"]) >= len("None")
        assert defaults["unit"] in UNITS
        values = [step["value"] for step in defaults["thresholds"]["steps"]]
        assert values[0] is None
        assert values[1:] == sorted(values[1:])
    titles = [panel["title"] for panel in DASHBOARDS[name]["panels"]]
    assert len(set(titles)) == len(titles)


@each_dashboard
def test_every_target_can_be_asked(name: str) -> None:
    """Each has a letter and a data source that is provisioned, and asks for one moment or for a range."""
    for panel in panels(DASHBOARDS[name]):
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters))
        assert letters
        for target in (panel, *panel["targets"]):
            source = SOURCES[target["datasource"]["uid"]]
            assert source["type"] == target["datasource"]["type"]
        assert all(target["instant"] != target["range"] for target in panel["targets"])
        formats = {"table": "table", "heatmap": "heatmap"}
        assert {target["format"] for target in panel["targets"]} == {
            formats.get(panel["type"], "time_series")
        }


@each_dashboard
def test_variables_are_defined_and_used(name: str) -> None:
    """What stands behind a `$` can be chosen above, what can be chosen there is asked for, and All is all."""
    board = DASHBOARDS[name]
    defined = {one["name"]: one for one in board["templating"]["list"]}
    texts = [target["expr"] for panel in panels(board) for target in panel["targets"]]
    texts += [one["definition"] for one in defined.values()]
    used = {found for text in texts for found in re.findall(r"\$\{?(\w+)", text)}
    assert used - BUILT_IN == defined.keys()
    for one in defined.values():
        assert (one["includeAll"], one["allValue"], one["multi"]) == (True, ".*", True)
        assert one["query"]["query"] == one["definition"]
        assert one["datasource"]["uid"] in SOURCES
        order = list(defined)
        needs = re.findall(r"\$(\w+)", one["definition"])
        assert all(order.index(need) < order.index(one["name"]) for need in needs)


@each_dashboard
def test_tables_name_every_column(name: str) -> None:
    """Grafana calls what several queries give `Value #A` and so on, and what an only one gives `Value`."""
    for panel in panels(DASHBOARDS[name]):
        if panel["type"] == "table":
            letters = [target["refId"] for target in panel["targets"]]
            values = [f"Value #{letter}" for letter in letters] if len(letters) > 1 else ["Value"]
            (named,) = (one["options"]["renameByName"] for one in panel["transformations"] if one["options"])
            assert named.keys() - asked.columns(panel) == set(values)
            shown = {one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]}
            assert {named[value] for value in values} <= shown <= set(named.values())


def test_all_four_can_be_chosen_somewhere() -> None:
    """Service, provider, model and team are what people want to narrow down to."""
    names = [{one["name"] for one in board["templating"]["list"]} for board in DASHBOARDS.values()]
    assert set().union(*names) == {"service", "provider", "model", "team"}
    assert all("service" in one for one in names)


def test_latency_has_exemplars() -> None:
    """From how long calls took a click leads to a call; only the metrics themselves have exemplars."""
    marked = [one for one in asked.by_panels() if one.exemplars]
    assert {one.who.partition("/")[0] for one in marked} >= {"overview", "latency", "agents", "errors"}
    for one in marked:
        assert all(name in asked.emitted() and name.endswith("_bucket") for name in asked.metrics(one.expr))


# --- Where links lead ------------------------------------------------------------------------------------


def _links(value: Any) -> list[str]:
    """Find every address in a file."""
    if isinstance(value, dict):
        own = [value["url"]] if isinstance(value.get("url"), str) and value["url"] else []
        return own + [link for one in value.values() for link in _links(one)]
    return [link for one in value for link in _links(one)] if isinstance(value, list) else []


@pytest.mark.parametrize("name", [*DASHBOARDS, "jaeger-ui"])
def test_links_lead_to_dashboards_that_are_there(name: str) -> None:
    """Each address names a dashboard by its uid, and sets only what can be chosen there."""
    uids = {board["uid"]: board for board in DASHBOARDS.values()}
    for url in _links(DASHBOARDS.get(name, UI)):
        uid, _, query = re.fullmatch(r"(?:http://localhost:3000)?/d/([\w-]+)(\?(.*))?", url).groups()
        chosen = {one["name"] for one in uids[uid]["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", query or "")) <= chosen


def test_jaegers_links_stand_at_what_spans_carry() -> None:
    """Every key is an attribute that we emit, and the address is filled in from it or from the trace."""
    attributes = {value for value in vars(s).values() if isinstance(value, str)}
    for link in UI["linkPatterns"]:
        holes = set(re.findall(r"#\{\s*([\w.]+)", link["url"] + link["text"]))
        if link["type"] == "tags":
            assert link["key"] in attributes
            assert holes <= {link["key"], "trace.startTime", "trace.endTime"}
        else:
            assert holes <= {"startTime", "endTime", "trace.startTime", "trace.endTime"}
    assert {link["key"] for link in UI["linkPatterns"] if "key" in link} >= {
        s.REQUEST_MODEL,
        s.CONVERSATION_ID,
    }


def test_jaeger_and_grafana_read_what_is_mounted() -> None:
    """The files stand where the containers look for them, and Grafana is told the addresses it needs."""
    mounts = {
        name: dict(mount.split(":")[1::-1] for mount in service["volumes"])
        for name, service in COMPOSE.items()
    }
    jaeger = COMPOSE["jaeger"]["environment"]["JAEGER_UI_CONFIG"]
    assert mounts["jaeger"][jaeger] == "./collector/jaeger-ui.json"
    assert "${env:JAEGER_UI_CONFIG:-}" in (COLLECTOR / "jaeger.yaml").read_text()
    providers = yaml.safe_load((PROVISIONING / "dashboards" / "genai.yaml").read_text())["providers"]
    places = [mounts["grafana"][one["options"]["path"]] for one in providers]
    assert [COLLECTOR.parent / place for place in places] == [dashboards.PLACE]
    assert mounts["grafana"]["/etc/grafana/provisioning"] == "./collector/grafana/provisioning"
    addresses = {source["url"].removeprefix("$") for source in SOURCES.values()}
    assert addresses <= COMPOSE["grafana"]["environment"].keys()


def test_exemplars_lead_to_jaeger() -> None:
    """The uids are fixed, and Prometheus knows where a trace is to be looked up."""
    assert SOURCES.keys() == {"prometheus", "jaeger"}
    destinations = SOURCES["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert {one["name"] for one in destinations} == {"trace_id"}
    assert [one.get("datasourceUid") for one in destinations] == [None, "jaeger"]
    # What may only look cannot explore: the first leads there without Grafana.
    assert destinations[0]["url"] == "$JAEGER_UI_URL/trace/$${__value.raw}"
    assert "JAEGER_UI_URL" in COMPOSE["grafana"]["environment"]
    assert [uid for uid, source in SOURCES.items() if source.get("isDefault")] == ["prometheus"]


# --- What is asked for -----------------------------------------------------------------------------------


def unknown(expr: str) -> set[str]:
    """Give the metrics of an expression that neither the package, nor a rule, nor the stack makes."""
    known = asked.emitted() | asked.recorded()
    return {name for name in asked.metrics(expr) if name not in known and not OF_THE_STACK.fullmatch(name)}


@pytest.mark.parametrize("one", asked.by_panels() + asked.by_variables(), ids=lambda one: one.who)
def test_only_metrics_that_exist_are_asked_for(one: asked.Asked) -> None:
    """A panel that asks for what nobody emits or records is a mistake."""
    assert asked.metrics(one.expr) or one.expr.startswith("vector")
    assert unknown(one.expr) == set()


@pytest.mark.parametrize("rule", asked.rules(), ids=lambda rule: rule.get("record") or rule.get("alert"))
def test_rules_ask_for_metrics_that_exist(rule: dict[str, Any]) -> None:
    """So is a rule."""
    ours = {name for name in unknown(rule["expr"]) if name.startswith(("gen_ai", "otel_genai", "genai"))}
    assert ours == set()


def test_a_name_that_nobody_emits_is_found() -> None:
    """The check itself sees names in functions, selectors, sums and regular expressions."""
    expr = (
        'sum by (le) (rate(gen_ai_client_latency_bucket{a="b"}[5m])) / on (x) genai:nothing:rate5m'
        ' + {__name__=~"otelcol_nothing(_total)?"} or otel_genai_calls_total offset 1h'
    )
    assert unknown(expr) == {
        "gen_ai_client_latency_bucket", "genai:nothing:rate5m", "otelcol_nothing", "otelcol_nothing_total",
    }  # fmt: skip


@pytest.mark.skipif(not built(), reason="promtool is not built: `make stack` builds it")
def test_every_expression_is_promql(tmp_path: Path) -> None:
    """Prometheus' own parser accepts every query of every panel and variable."""
    found = asked.by_panels() + asked.by_variables()
    rules = [{"record": f"asked:{index}", "expr": one.expr} for index, one in enumerate(found)]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    command = [BIN / "promtool", "check", "rules", "--lint=none", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(found)} rules found" in done.stdout
