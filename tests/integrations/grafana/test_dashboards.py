"""The JSON of the dashboards: valid for an import into any Grafana, and the same as in `examples/grafana`."""

import json
from pathlib import Path

import pytest

from agora_analytics.integrations.grafana import DASHBOARDS, dashboard_json

from .grafana import panels

EXAMPLES = Path(__file__).parents[3] / "examples" / "grafana"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_examples_are_current(name):
    """Write them again with `agora-analytics export grafana -o examples/grafana`."""
    assert (EXAMPLES / f"{name}.json").read_text("utf-8") == dashboard_json(name)
    assert json.loads(dashboard_json(name)) == DASHBOARDS[name]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_have_places_descriptions_and_the_selected_data_source(name):
    dashboard = DASHBOARDS[name]
    taken = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    source = dashboard["templating"]["list"][0]
    assert (source["type"], source["name"]) == ("datasource", "datasource")
    for panel in panels(dashboard):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["targets"], panel["title"]
        for user in (panel, *panel["targets"]):
            assert user["datasource"] == {"type": source["query"], "uid": "${datasource}"}
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        values = [step["value"] for step in steps]
        assert values[0] is None
        assert values[1:] == sorted(values[1:])
