"""`agora-analytics export grafana`."""

from pathlib import Path
from typing import Annotated

import typer

from agora_analytics.cli.options import option_groups
from agora_analytics.cli.output import atomic_file
from agora_analytics.cli.terminal import one_line, out
from agora_analytics.errors import InvalidRequest


@option_groups
def grafana(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="An existing folder for the two files.")
    ],
) -> None:
    """Write two dashboards for Grafana: realtime.json over Prometheus, and store.json over a DuckDB file.

    Import them in Grafana: Dashboards, New, Import; then choose the data source. The DuckDB file is that of `agora-analytics
    views`, read by the plugin motherduck-duckdb-datasource.
    """
    from agora_analytics.integrations.grafana import DASHBOARDS, dashboard_json

    if not output.is_dir():
        raise InvalidRequest(f"cannot write to {output}: it is not a folder; create it first")
    for name in DASHBOARDS:
        file = output / f"{name}.json"
        with atomic_file(file) as part:
            part.write_text(dashboard_json(name), encoding="utf-8")
        one_line(out(), f"Wrote {file}")
