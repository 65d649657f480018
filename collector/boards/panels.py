"""Panels, variables and dashboards as Grafana's JSON has them (schema 42), made of a few plain words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
TAG = "otel-genai"
COLUMNS = 24

SECONDS, DOLLARS, TOKENS, PER_SECOND, SHARE, BYTES, COUNT = (
    "s",
    "currencyUSD",
    "suffix: tokens/s",
    "suffix: /s",
    "percentunit",
    "bytes",
    "short",
)


@dataclass(frozen=True)
class Query:
    """One PromQL expression.

    `name` is how its values are called where they are not named by labels: `{{gen_ai_request_model}}` is
    a label's value. With `exemplars`, the expression must name the metric itself: no recording rule has any.
    """

    expr: str
    name: str = ""
    exemplars: bool = False


@dataclass(frozen=True)
class Panel:
    """One panel: what it asks, and how that is to be read."""

    kind: str
    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str
    empty: str
    """Said in place of a graph where there is no data: what has to be set, or happen, for some to be."""
    width: int = 12
    height: int = 8
    steps: tuple[tuple[str, float | None], ...] = (("green", None),)
    """Colours and the values from which on they hold."""
    options: Json = field(default_factory=dict)
    custom: Json = field(default_factory=dict)
    decimals: int | None = None
    overrides: tuple[Json, ...] = ()
    transformations: tuple[Json, ...] = ()
    extra: Json = field(default_factory=dict)


def above(amber: float, red: float) -> tuple[tuple[str, float | None], ...]:
    """Colour what is too high."""
    return (("green", None), ("orange", amber), ("red", red))


def below(red: float, amber: float) -> tuple[tuple[str, float | None], ...]:
    """Colour what is too low."""
    return (("red", None), ("orange", red), ("green", amber))


def graph(title: str, description: str, unit: str, empty: str, *queries: Query, **more: Any) -> Panel:
    """Draw values over time; `stack=True` on top of one another."""
    stack = more.pop("stack", False)
    custom: Json = {
        "drawStyle": "line",
        "fillOpacity": 30 if stack else 8,
        "lineWidth": 1,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": more.pop("stacking", "normal") if stack else "none", "group": "A"},
    }
    if "steps" in more:
        custom["thresholdsStyle"] = {"mode": "dashed"}
    legend = {
        "showLegend": True,
        "displayMode": "table",
        "placement": "bottom",
        "calcs": ["lastNotNull", "max"],
    }
    options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    return Panel(
        "timeseries", title, description, queries, unit, empty, custom=custom, options=options, **more
    )


def stat(title: str, description: str, unit: str, empty: str, query: Query, **more: Any) -> Panel:
    """Show one number, with its course behind it."""
    options = {
        "colorMode": "value",
        "graphMode": "none" if "extra" in more else "area",
        "justifyMode": "auto",
        "textMode": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    size = {"width": 4, "height": 4} | more
    return Panel("stat", title, description, (query,), unit, empty, options=options, **size)


def bars(title: str, description: str, unit: str, empty: str, query: Query, **more: Any) -> Panel:
    """Compare values of now."""
    options = {
        "displayMode": "gradient",
        "orientation": "horizontal",
        "showUnfilled": True,
        "valueMode": "color",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return Panel("bargauge", title, description, (query,), unit, empty, options=options, **more)


def heat(title: str, description: str, unit: str, empty: str, query: Query, **more: Any) -> Panel:
    """Show how a histogram's buckets fill over time."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "steps": 64,
            "exponent": 0.5,
            "scale": "exponential",
        },
        "exemplars": {"color": "rgba(31,120,193,0.8)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "yHistogram": True},
        "yAxis": {"axisPlacement": "left", "unit": unit},
    }
    return Panel("heatmap", title, description, (query,), PER_SECOND, empty, options=options, **more)


@dataclass(frozen=True)
class Column:
    """A table's column of numbers: one query, which gives at most one value for each row."""

    title: str
    expr: str
    unit: str


def table(
    title: str, description: str, empty: str, labels: dict[str, str], columns: tuple[Column, ...], **more: Any
) -> Panel:
    """Show a row for each set of labels; `labels` names them for people; the first column is sorted by."""
    queries = tuple(Query(column.expr, column.title) for column in columns)
    # So Grafana calls the values of the queries, and those of an only one just `Value`.
    values = [f"Value #{chr(ord('A') + index)}" for index in range(len(columns))]
    names = dict(zip(values if len(columns) > 1 else ["Value"], (one.title for one in columns), strict=True))
    order = [*labels, *names]
    organize = {
        "excludeByName": {"Time": True},
        "indexByName": {name: index for index, name in enumerate(order)},
        "renameByName": {**labels, **names},
    }
    steps = tuple(_override(column.title, unit=column.unit) for column in columns)
    return Panel(
        "table",
        title,
        description,
        queries,
        COUNT,
        empty,
        options={
            "showHeader": True,
            "cellHeight": "sm",
            "sortBy": [{"displayName": columns[0].title, "desc": True}],
        },
        custom={"align": "auto", "filterable": True},
        overrides=(*more.pop("overrides", ()), *steps),
        transformations=({"id": "merge", "options": {}}, {"id": "organize", "options": organize}),
        **{"width": COLUMNS, **more},
    )


def _override(column: str, **properties: Any) -> Json:
    return {
        "matcher": {"id": "byName", "options": column},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


def linked(column: str, title: str, url: str) -> Json:
    """Make a table's column lead somewhere."""
    return _override(column, links=[{"title": title, "url": url}])


def coloured(name: str, color: str) -> Json:
    """Give one series the same colour always."""
    return _override(name, color={"mode": "fixed", "fixedColor": color})


# --- Made into Grafana's JSON ----------------------------------------------------------------------------


def _target(panel: Panel, index: int, query: Query) -> Json:
    at_once = panel.kind in {"stat", "bargauge", "table"} and panel.options.get("graphMode") != "area"
    target: Json = {
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "exemplar": query.exemplars,
        "expr": query.expr,
        "format": {"table": "table", "heatmap": "heatmap"}.get(panel.kind, "time_series"),
        "instant": at_once,
        "legendFormat": query.name or "__auto",
        "range": not at_once,
        "refId": chr(ord("A") + index),
    }
    return target


def _panel(panel: Panel, number: int, place: Json) -> Json:
    steps = [{"color": color, "value": value} for color, value in panel.steps]
    defaults: Json = {
        "color": {"mode": "thresholds" if panel.kind in {"stat", "bargauge"} else "palette-classic"},
        "custom": panel.custom,
        "noValue": panel.empty,
        "thresholds": {"mode": "absolute", "steps": steps},
        "unit": panel.unit,
    }
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    if panel.unit == SHARE:
        defaults |= {"min": 0} | (
            {"max": 1} if panel.custom.get("stacking", {}).get("mode") == "percent" else {}
        )
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": PROMETHEUS,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": list(panel.overrides)},
        "options": panel.options,
        "targets": [_target(panel, index, query) for index, query in enumerate(panel.queries)],
        "transformations": list(panel.transformations),
        **panel.extra,
    }


def _laid_out(panels: tuple[Panel | str, ...]) -> list[Json]:
    """Place panels from left to right, then below; a text is the heading of what follows."""
    made: list[Json] = []
    x = y = height = 0
    for number, panel in enumerate(panels, 1):
        width = COLUMNS if isinstance(panel, str) else panel.width
        if x + width > COLUMNS:
            x, y, height = 0, y + height, 0
        place = {"x": x, "y": y, "w": width, "h": 1 if isinstance(panel, str) else panel.height}
        if isinstance(panel, str):
            row = {
                "id": number,
                "type": "row",
                "title": panel,
                "collapsed": False,
                "gridPos": place,
                "panels": [],
            }
            made.append(row)
        else:
            made.append(_panel(panel, number, place))
        x, height = x + width, max(height, place["h"])
    return made


@dataclass(frozen=True)
class Variable:
    """What can be chosen above the panels; `All` is also what has no such label."""

    name: str
    label: str
    query: str
    description: str

    def json(self) -> Json:
        """Give Grafana's form of it."""
        return {
            "name": self.name,
            "label": self.label,
            "description": self.description,
            "type": "query",
            "datasource": PROMETHEUS,
            "definition": self.query,
            "query": {"query": self.query, "refId": f"variable-{self.name}", "qryType": 5},
            "refresh": 2,  # with the time range
            "regex": "",
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": ["All"], "value": ["$__all"]},
            "options": [],
        }


def _chosen(texts: list[str], variables: tuple[Variable, ...]) -> list[Variable]:
    """Give the variables that are used, by the panels or by one another."""
    used = {name for text in texts for name in re.findall(r"\$(\w+)", text)}
    while (
        more := {name for one in variables if one.name in used for name in re.findall(r"\$(\w+)", one.query)}
        - used
    ):
        used |= more
    return [one for one in variables if one.name in used]


def dashboard(
    uid: str,
    title: str,
    description: str,
    variables: tuple[Variable, ...],
    panels: tuple[Panel | str, ...],
    **more: Any,
) -> Json:
    """Give a dashboard, with those of the variables that it uses."""
    texts = [query.expr for panel in panels if isinstance(panel, Panel) for query in panel.queries]
    link = {
        "title": "GenAI",
        "type": "dashboards",
        "tags": [TAG],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "icon": "external link",
        "targetBlank": False,
        "tooltip": "",
        "url": "",
    }
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": [TAG],
        "schemaVersion": 42,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "timepicker": {},
        "annotations": {"list": []},
        "links": [link],
        "templating": {"list": [one.json() for one in _chosen(texts, variables)]},
        "panels": _laid_out(panels),
    } | more
