"""`agora-analytics views`."""

from pathlib import Path
from typing import Annotated

import typer

from agora_analytics.cli.options import StoreOption, option_groups
from agora_analytics.cli.terminal import one_line, out
from agora_analytics.errors import InvalidRequest


@option_groups
def views(
    store: StoreOption,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The DuckDB file to write, such as calls.duckdb."
        ),
    ],
) -> None:
    """Write a DuckDB file with views over a store, for Metabase, Superset, Grafana and others.

    The file has no rows: each query reads what the store has at that time, so write it once. It contains the absolute path
    of the store; write it again if the store moves. It has the tables and views of `agora-analytics sql`, with comments on
    all columns, and the view completeness. Times are UTC. A tool needs DuckDB 1.2 or later.
    """
    from agora_analytics.store import ParquetStore, open_store

    opened = open_store(store)
    if not isinstance(opened, ParquetStore):
        raise InvalidRequest(
            f"{store} is in a bucket, which a views file cannot read without its credentials; "
            "harvest into a folder, or query the store with `agora-analytics sql`"
        )
    opened.write_views(output)
    one_line(out(), f"Wrote {output}: views over {opened.path}. Open it read-only.")
