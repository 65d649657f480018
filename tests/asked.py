"""What dashboards and rules ask Prometheus for: expressions, and the names of metrics in them."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from programs import COLLECTOR

from otel_genai import semconv as s

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DASHBOARDS = {
    path.stem: json.loads(path.read_text()) for path in sorted((COLLECTOR / "grafana").rglob("*.json"))
}
# What Grafana puts in; variables stand at All.
REPLACED = {"$__range_s": "3600", "$__range": "1h", "$__rate_interval": "1m", "$__interval": "15s"}


@dataclass(frozen=True)
class Asked:
    """An expression, and who asks."""

    who: str
    expr: str
    exemplars: bool = False
    instant: bool = False
    labels: frozenset[str] = frozenset()
    """What series are named by, where the answer is shown."""


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Give a dashboard's panels without the headings."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def by_panels() -> list[Asked]:
    """Give every query of every panel as Grafana sends it when nothing is chosen."""
    return [
        Asked(
            f"{name}/{panel['title']}/{target['refId']}",
            filled_in(target["expr"], board),
            exemplars=target["exemplar"],
            instant=target["instant"],
            labels=frozenset(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) | columns(panel),
        )
        for name, board in DASHBOARDS.items()
        for panel in panels(board)
        for target in panel["targets"]
    ]


def columns(panel: dict[str, Any]) -> set[str]:
    """Give the labels that a table has columns for."""
    named = [one["options"].get("renameByName", {}) for one in panel["transformations"]]
    return {name for names in named for name in names if name.partition(" #")[0] != "Value"}


def filled_in(text: str, board: dict[str, Any]) -> str:
    """Put in what stands behind a `$`."""
    variables = {f"${one['name']}": one["allValue"] for one in board["templating"]["list"]}
    for name, value in (REPLACED | variables).items():
        text = re.sub(re.escape(name) + r"\b", value, text)
    return text


def by_variables() -> list[Asked]:
    """Give what each variable's values are taken from, as an expression that has data if there are any."""
    found = []
    for name, board in DASHBOARDS.items():
        for one in board["templating"]["list"]:
            series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", one["definition"]).groups()
            expr = f"count by ({label}) (last_over_time({filled_in(series, board)}[1h]))"
            found.append(Asked(f"{name}/${one['name']}", expr, instant=True))
    return found


@functools.cache
def rules() -> list[dict[str, Any]]:
    """Give every rule, recording or alerting."""
    files: list[Path] = sorted((COLLECTOR / "rules").glob("*.yaml"))
    groups = [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


# --- Names of metrics ------------------------------------------------------------------------------------

WORDS = frozenset({"or", "and", "unless", "bool", "offset", "inf", "nan"})
_NOT_METRICS = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)|\[[^\]]*\]")
_NAMED = re.compile(r'__name__=~?"([^"]*)"')


def metrics(expr: str) -> set[str]:
    """Give the names of the metrics in an expression; `x(_total)?` is two."""
    named = {name for pattern in _NAMED.findall(expr) for name in _spelt_out(pattern)}
    text = re.sub(r'"(\\.|[^"\\])*"', '""', expr)
    text = _NOT_METRICS.sub(" ", re.sub(r"\{[^}]*\}", " ", text))
    found = re.findall(r"(?<![\w:.$])([a-zA-Z_:][\w:]*)(?!\w*\s*\()(?![\w:])", text)
    return named | {name for name in found if name not in WORDS}


def _spelt_out(pattern: str) -> Iterator[str]:
    for one in pattern.split("|"):
        stem, optional, rest = one.partition("(")
        yield stem
        if optional:
            yield stem + rest.removesuffix(")?")


def emitted() -> set[str]:
    """Give every series that the package emits, as Prometheus spells it."""
    found = [one for one in vars(s).values() if isinstance(one, s.Metric)] + list(s.USAGE_COUNTERS.values())
    return {series for metric in found for series in _series(metric)}


def _series(metric: s.Metric) -> list[str]:
    name = metric.name.replace(".", "_") + {"s": "_seconds"}.get(metric.unit, "")
    return (
        [f"{name}_total"]
        if metric.buckets is None
        else [f"{name}_{part}" for part in ("bucket", "sum", "count")]
    )


def recorded() -> set[str]:
    """Give every name that a rule records."""
    return {rule["record"] for rule in rules() if "record" in rule}
