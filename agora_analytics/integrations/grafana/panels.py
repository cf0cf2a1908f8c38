"""Panels and dashboards in Grafana's JSON model, schema version 42 (Grafana 12; 10.4 and later migrate it).

https://grafana.com/docs/grafana/latest/visualizations/dashboards/build-dashboards/view-dashboard-json-model/
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from attrs import field, frozen

SCHEMA_VERSION = 42
PROMETHEUS, DUCKDB = "prometheus", "motherduck-duckdb-datasource"
DATASOURCE = "datasource"
"""The variable of a dashboard that selects the data source. A fixed uid would bind the file to one Grafana."""
WIDTH = 24
"""The columns of Grafana's grid."""

Kind = Literal["stat", "timeseries", "bargauge", "barchart", "table"]
Limits = Sequence[tuple[float, str]]
"""The colors from some values on, in rising order."""


@frozen
class Query:
    """One query of a panel.

    Attributes:
        text: PromQL or SQL.
        legend: the name of a series: `{{label}}` of Prometheus, or `${__field.labels.column}` of SQL.
    """

    text: str
    legend: str = ""


@frozen(kw_only=True)
class Panel:
    """One panel.

    Attributes:
        title: its title.
        description: what it shows, and where its thresholds come from.
        kind: the type of the panel.
        queries: its queries.
        unit: Grafana's name of the unit, such as `percentunit` for shares from 0 to 1.
        lowest: the color below the first threshold.
        limits: the thresholds; none: one color.
        low, high: the ends of the axis.
        decimals: the number of decimals; None: automatic.
        width, height: its size in the grid.
        interval: the shortest interval of a time series.
        units: the units of columns of a table.
        stacked: stack the series.
    """

    title: str
    description: str
    kind: Kind
    queries: tuple[Query, ...]
    unit: str = "short"
    lowest: str = "green"
    limits: Limits = ()
    low: float | None = None
    high: float | None = None
    decimals: int | None = None
    width: int = 12
    height: int = 8
    interval: str = ""
    units: Mapping[str, str] = field(factory=dict)
    stacked: bool = False

    def model(self, number: int, x: int, y: int, source: str) -> dict[str, Any]:
        """Return the panel in the JSON model, at a place of the grid."""
        at = {"h": self.height, "w": self.width, "x": x, "y": y}
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": _datasource(source),
            "gridPos": at,
            **({"interval": self.interval} if self.interval else {}),
            "fieldConfig": {"defaults": self._defaults(source), "overrides": list(self._overrides())},
            "options": self._options(),
            "targets": [self._target(query, "ABCDEF"[place], source) for place, query in enumerate(self.queries)],
        }  # fmt: skip

    def _defaults(self, source: str) -> dict[str, Any]:
        steps: list[dict[str, Any]] = [{"color": self.lowest if self.limits else "blue", "value": None}]
        steps += [{"color": color, "value": value} for value, color in self.limits]
        optional: dict[str, Any] = {"min": self.low, "max": self.high, "decimals": self.decimals}
        legend = next((query.legend for query in self.queries if query.legend), "")
        if source == DUCKDB and legend:
            optional["displayName"] = legend
        return {
            "unit": self.unit,
            "color": {"mode": "palette-classic" if self.kind in ("timeseries", "barchart") else "thresholds"},
            "thresholds": {"mode": "absolute", "steps": steps},
            **{name: value for name, value in optional.items() if value is not None},
            "custom": self._custom(),
        }

    def _custom(self) -> dict[str, Any]:
        if self.kind == "timeseries":
            return {
                "drawStyle": "bars" if self.stacked else "line",
                "fillOpacity": 80 if self.stacked else 10,
                "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "dashed" if self.limits else "off"},
                "spanNulls": False,
            }
        return {}

    def _options(self) -> dict[str, Any]:
        reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        match self.kind:
            case "stat":
                return {"reduceOptions": reduced, "colorMode": "value", "graphMode": "area"}
            case "bargauge":
                return {
                    "reduceOptions": reduced | {"values": True},
                    "orientation": "horizontal",
                    "displayMode": "basic",
                }
            case "barchart":
                return {"orientation": "horizontal", "legend": _LEGEND, "tooltip": {"mode": "multi"}}
            case "table":
                return {"showHeader": True, "footer": {"show": False}}
            case _:
                return {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}}

    def _overrides(self) -> Iterator[dict[str, Any]]:
        for column, unit in self.units.items():
            yield {
                "matcher": {"id": "byName", "options": column},
                "properties": [{"id": "unit", "value": unit}],
            }

    def _target(self, query: Query, ref: str, source: str) -> dict[str, Any]:
        target: dict[str, Any] = {"refId": ref, "datasource": _datasource(source)}
        over_time = self.kind == "timeseries"
        if source == PROMETHEUS:
            kind = {"range": over_time or self.kind == "stat", "instant": self.kind in ("bargauge", "table")}
            return target | {
                "expr": query.text,
                "legendFormat": query.legend or "__auto",
                "editorMode": "code",
                **kind,
            }
        # the plugin's formats: 0 is a time series, whose texts become labels, and 1 a table
        return target | {
            "rawSql": query.text,
            "format": 0 if over_time else 1,
            "editorMode": "code",
            "rawQuery": True,
        }


@frozen(kw_only=True)
class Variable:
    """A variable of a dashboard: the selected values of a query."""

    name: str
    label: str
    query: str

    def model(self, source: str) -> dict[str, Any]:
        """Return the variable in the JSON model."""
        return {
            "type": "query",
            "name": self.name,
            "label": self.label,
            "datasource": _datasource(source),
            "query": self.query,
            "definition": self.query,
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*" if source == PROMETHEUS else None,
            "current": {"text": ["All"], "value": ["$__all"]},
            "options": [],
        }


@frozen(kw_only=True)
class Dashboard:
    """A dashboard: rows of panels over one data source.

    Attributes:
        uid: identifies it in Grafana, so that another import replaces it.
        title: its title.
        description: what it shows and what it needs.
        source: the type of its data source.
        since: the beginning of its time range, such as `now-7d`.
        refresh: how often it is refreshed; "": not.
        variables: its variables, in addition to the data source.
        rows: its panels, by the titles of their rows.
    """

    uid: str
    title: str
    description: str
    source: str
    since: str
    refresh: str
    variables: tuple[Variable, ...]
    rows: Mapping[str, tuple[Panel, ...]]

    def model(self) -> dict[str, Any]:
        """Return the dashboard in the JSON model."""
        datasource = {"type": "datasource", "name": DATASOURCE, "label": "Data source", "query": self.source}
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["agora-analytics"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "timezone": "utc",
            "time": {"from": self.since, "to": "now"},
            "refresh": self.refresh,
            "templating": {"list": [datasource, *(each.model(self.source) for each in self.variables)]},
            "annotations": {"list": []},
            "panels": list(self._panels()),
        }

    def _panels(self) -> Iterator[dict[str, Any]]:
        number = y = 0
        for title, panels in self.rows.items():
            number += 1
            yield {
                "id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
                "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y},
            }  # fmt: skip
            y, x, tallest = y + 1, 0, 0
            for panel in panels:
                if x + panel.width > WIDTH:
                    y, x, tallest = y + tallest, 0, 0
                number += 1
                yield panel.model(number, x, y, self.source)
                x, tallest = x + panel.width, max(tallest, panel.height)
            y += tallest


_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True}


def _datasource(source: str) -> dict[str, str]:
    return {"type": source, "uid": f"${{{DATASOURCE}}}"}
