"""Runs every query of the dashboard `realtime` on a Prometheus server with samples that the exporter exposed."""

import json
import math
import urllib.parse
import urllib.request

import pytest

from agora_analytics.integrations.grafana import DASHBOARDS
from agora_analytics.simulator import DEMO_APP_ID

from .exported_metrics import SCRAPE, UNTIL, scraped
from .grafana import panels, promql_of

DASHBOARD = DASHBOARDS["realtime"]
PANELS = {panel["title"]: panel for panel in panels(DASHBOARD)}


@pytest.fixture(scope="module")
def server(prometheus_programs):
    server = prometheus_programs.server("global: {}\n", scraped())
    yield server
    server.close()


@pytest.fixture(scope="module")
def query(server):
    """Return the series of a query: of a range of half an hour, or of its end."""

    def get(path, **parameters):
        address = f"{server.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=30) as response:
            return json.load(response)["data"]

    def query(text, *, instant=False, vendor=".*", app_id=".*"):
        promql = promql_of(text, rate_interval=4 * SCRAPE, variables={"vendor": vendor, "app_id": app_id})
        if instant:
            return [
                (series["metric"], [float(series["value"][1])])
                for series in get("query", query=promql, time=UNTIL)["result"]
            ]
        span = {"start": UNTIL - 1800, "end": UNTIL, "step": SCRAPE}
        return [
            (series["metric"], [float(value) for _, value in series["values"]])
            for series in get("query_range", query=promql, **span)["result"]
        ]

    query.get = get
    return query


def test_variables_have_the_values_of_the_metrics(query):
    for variable in DASHBOARD["templating"]["list"][1:]:
        metric, name = variable["query"].removeprefix("label_values(").removesuffix(")").split(", ")
        values = query.get(f"label/{name}/values", **{"match[]": metric, "start": UNTIL - 1800, "end": UNTIL})
        assert values == {"vendor": ["agora"], "app_id": [DEMO_APP_ID]}[variable["name"]]


@pytest.mark.parametrize("title", PANELS)
def test_query_returns_values_that_the_panel_can_show(query, title):
    panel = PANELS[title]
    defaults = panel["fieldConfig"]["defaults"]
    for target in panel["targets"]:
        series = query(target["expr"], instant=target["instant"])
        assert series
        values = [value for _, found in series for value in found]
        assert any(math.isfinite(value) for value in values)
        assert all(math.isfinite(value) or panel["title"] == "Response time" for value in values)
        if panel["type"] == "stat":
            assert len(series) == 1
        names = [name.strip("{}") for name in target["legendFormat"].split() if name.startswith("{{")]
        assert all(labels.get(name) for labels, _ in series for name in names)
        shown = {tuple(labels.get(name) for name in names) for labels, _ in series}
        assert len(shown) == len(series)
        if defaults["unit"] == "percentunit":
            assert all(0 <= value <= 1 for value in values)
        assert min(value for value in values if math.isfinite(value)) >= 0


def test_panels_show_what_happened(query):
    def values(title):
        target = PANELS[title]["targets"][0]
        return [value for _, found in query(target["expr"], instant=target["instant"]) for value in found]

    for title in (
        "Users",
        "Users and channels",
        "Freezes",
        "High network delay",
        "Joins",
        "Requests",
        "Waits",
    ):
        assert max(values(title)) > 0, title
    assert 0 < max(values("Errors")) < 1
    assert len(values("Quota left")) > 1
    assert min(values("Quota left")) < 1
    assert 0 < min(values("Age of the newest window")) < max(values("Age of the newest window")) < 900
    assert query(PANELS["Users"]["targets"][0]["expr"], app_id="another") == []
