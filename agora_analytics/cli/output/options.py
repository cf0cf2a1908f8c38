"""The options that say how rows are written, and the way from pages of rows to a terminal, a pipe or a file."""

import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from attrs import frozen

from agora_analytics.cli.output.columns import Listing, Row, saying_what_came
from agora_analytics.errors import InvalidRequest

TABLE_ROWS = 40


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


_SUFFIXES = {f".{name}": name for name in (*Format, "ndjson")} | {".ndjson": Format.JSONL}

_PANEL = "How rows are written"

FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format",
        "-f",
        rich_help_panel=_PANEL,
        help="table for people; json: one array; jsonl: an object a line, as it comes; csv; parquet. "
        "Default: table, or what the name of --output ends with.",
        show_default=False,
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        dir_okay=False,
        rich_help_panel=_PANEL,
        help="Write to a file. parquet needs one.",
    ),
]
LimitOption = Annotated[
    int | None,
    typer.Option(
        "--limit",
        "-n",
        min=0,
        rich_help_panel=_PANEL,
        help=f"Rows at most; 0: all. Default: {TABLE_ROWS} in a table, all in every other format.",
        show_default=False,
    ),
]


AllOption = Annotated[
    int, typer.Option("--limit", "-n", min=0, rich_help_panel=_PANEL, help="Rows at most; 0: all.")
]


@frozen(kw_only=True)
class Output:
    """How rows are written: the format, the file (None: stdout) and how many rows at most (0: all)."""

    format: Format
    file: Path | None = None
    limit: int = 0

    @classmethod
    def of(cls, format: Format | None, file: Path | None, limit: int | None = None) -> "Output":  # noqa: A002
        """Return what the options mean together.

        Raises:
            InvalidRequest: Parquet without a file.
        """
        if format is None:
            format = Format(_SUFFIXES.get(file.suffix.lower(), Format.TABLE)) if file else Format.TABLE  # noqa: A001
        if format is Format.PARQUET and file is None:
            raise InvalidRequest("parquet is no text for a terminal; name a file with --output FILE")
        if limit is None:
            limit = TABLE_ROWS if format is Format.TABLE and file is None else 0
        return cls(format=format, file=file, limit=limit)

    @property
    def on_terminal(self) -> bool:
        """Whether rows go to the terminal while they come, so that nothing else should be drawn on it."""
        return self.file is None and self.format is not Format.TABLE and sys.stdout.isatty()

    @property
    def means(self) -> dict[str, Any]:
        """What a client should do differently: not fetch ahead where one page is all that is wanted."""
        return {"prefetch": 1} if 0 < self.limit <= 100 else {}

    @property
    def page_size(self) -> int:
        """Records that a page should have: no more than are wanted, at most the API's 100."""
        return min(self.limit or 100, 100)


async def write_rows(batches: AsyncGenerator[Iterable[Row], None], listing: Listing, output: Output) -> int:
    """Write rows as they come, answer by answer, and return how many; what is not wanted is not asked for."""
    from agora_analytics.cli.output.writers import opened

    where = f" and are in {output.file}" if output.file else ""
    with opened(output, listing) as sink, saying_what_came(lambda: sink.written, listing.name, where):
        async with aclosing(batches) as answers:
            async for rows in answers:
                left = iter(rows)
                sink.add(islice(left, output.limit - sink.written) if output.limit else left)
                if output.limit and sink.written >= output.limit and next(left, None) is not None:
                    sink.rest = "there are more (--limit 0: all)"
                    break
    return sink.written


async def at_once(rows: Iterable[Row]) -> AsyncGenerator[Iterable[Row], None]:
    """Return rows that are all there as the one batch that `write_rows` wants."""
    yield rows
