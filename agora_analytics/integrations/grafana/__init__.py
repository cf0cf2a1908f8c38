"""Dashboards for Grafana as JSON: `realtime` over Prometheus, and `store` over a DuckDB file of `agora-analytics views`.

`realtime.py` and `store.py` have the panels with their queries, `panels.py` their JSON.
"""

import json
from collections.abc import Mapping
from typing import Any

from agora_analytics.integrations.grafana.realtime import REALTIME
from agora_analytics.integrations.grafana.store import STORE

DASHBOARDS: Mapping[str, Mapping[str, Any]] = {"realtime": REALTIME.model(), "store": STORE.model()}
"""The dashboards in Grafana's JSON model, by the names of their files."""


def dashboard_json(name: str) -> str:
    """Return a dashboard as the text of a file that Grafana imports.

    Example:
        >>> dashboard_json("store")[:1]
        '{'
    """
    return json.dumps(DASHBOARDS[name], indent=2) + "\n"
