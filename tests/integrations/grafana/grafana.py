"""Replaces variables and macros in queries as Grafana and its data source plugins do."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the panels of a dashboard that have queries."""
    yield from (panel for panel in dashboard["panels"] if panel["type"] != "row")


def sql_of(
    text: str, *, since: float, until: float, interval: float, variables: Mapping[str, list[str]]
) -> str:
    """Return the SQL that the plugin motherduck-duckdb-datasource sends.

    Grafana replaces the variables in the browser. The macro is `$__timeFilter` of grafana-plugin-sdk-go.
    """
    values = {"$__from": f"{since * 1000:.0f}", "$__to": f"{until * 1000:.0f}"}
    values["$__interval_ms"] = f"{interval * 1000:.0f}"
    for name, value in values.items():
        text = re.sub(rf"{re.escape(name)}\b", value, text)
    for name, selected in variables.items():
        quoted = ",".join("'" + each.replace("'", "''") + "'" for each in selected)
        text = text.replace(f"${{{name}:sqlstring}}", quoted)
    first, last = (datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in (since, until))
    text = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 >= '{first}' AND \1 <= '{last}'", text)
    assert "$" not in text, text
    return text


def promql_of(text: str, *, rate_interval: int, variables: Mapping[str, str]) -> str:
    """Return the PromQL that Grafana sends."""
    text = text.replace("$__rate_interval", f"{rate_interval}s")
    for name, pattern in variables.items():
        text = text.replace(f"${name}", pattern)
    assert "$" not in text, text
    return text
