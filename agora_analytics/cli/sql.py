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
    from agora_analytics.cli import rows_as_text
    from agora_analytics.cli.consoles import out
    from agora_analytics.store import open_store

    text = sys.stdin.read() if query == "-" else query
    result = open_store(store).sql(text)
    match format:
        case Format.CSV:
            rows_as_text.write_csv(sys.stdout, result)
        case Format.JSON:
            rows_as_text.write_json(sys.stdout, result)
        case Format.TABLE:
            rows_as_text.show_table(out(), result, most=rows)
