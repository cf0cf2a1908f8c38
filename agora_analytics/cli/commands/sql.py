"""`agora-analytics sql`."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

StoreOption = Annotated[
    Path,
    typer.Option(metavar="DIR", exists=True, file_okay=False, help="The folder that a harvest wrote to."),
]


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def sql(
    query: Annotated[
        str, typer.Argument(help="A query that reads, such as 'select ...'; - takes it from stdin.")
    ],
    store: StoreOption,
    format: Annotated[Format, typer.Option(help="json and csv always give every row.")] = Format.TABLE,  # noqa: A002
    rows: Annotated[int, typer.Option(min=0, help="Rows that a table shows at most; 0: all.")] = 40,
) -> None:
    """Ask a store with SQL (DuckDB). All times are UTC.

    The tables are calls, sessions and metrics (Agora), points (other vendors), and quality: all vendors in one, under
    common names and units.
    """
    from agora_analytics.cli.output import sql_output
    from agora_analytics.cli.terminal import out
    from agora_analytics.store import open_store

    text = sys.stdin.read() if query == "-" else query
    result = open_store(store).sql(text)
    match format:
        case Format.CSV:
            sql_output.write_csv(sys.stdout, result)
        case Format.JSON:
            sql_output.write_json(sys.stdout, result)
        case Format.TABLE:
            sql_output.show_table(out(), result, most=rows)
