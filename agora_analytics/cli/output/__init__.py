"""How rows are written: the options, and the one way from pages of Arrow tables to a terminal, a pipe or a file."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, aclosing, contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TextIO

import typer
from attrs import frozen

from agora_analytics.cli.output.columns import RowKind
from agora_analytics.core.base_url import path_as_url
from agora_analytics.errors import InvalidRequest, StoreError

if TYPE_CHECKING:
    import pyarrow as pa

    from agora_analytics.cli.output.writers import RowWriter

TABLE_ROWS = 40
_option = partial(typer.Option, rich_help_panel="Output")


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    HTML = "html"


_SUFFIXES = {f".{name}": name for name in Format if name is not Format.TABLE} | {
    ".ndjson": Format.JSONL,
    ".txt": Format.TABLE,
}


@frozen(kw_only=True)
class Output:
    """The options of the output. Without a file, rows go to stdout.

    Attributes:
        has_page: whether the command can write an HTML page.
    """

    has_page: ClassVar[bool] = False

    chosen_format: Annotated[
        Format | None,
        _option(
            "--format",
            "-f",
            metavar="FORMAT",
            help="table for people, json (one array), jsonl (an object a line, streamed), csv or parquet. "
            "Default: table, or the ending of --output.",
            show_default=False,
        ),
    ] = None
    file: Annotated[
        Path | None,
        _option(
            "--output",
            "-o",
            metavar="FILE",
            dir_okay=False,
            help="Write to this file instead of stdout. Its ending is the format: .json, .jsonl, .ndjson, .csv, "
            ".parquet, or .txt (a table).",
        ),
    ] = None

    defuse_formulas: Annotated[
        bool,
        _option(
            "--defuse-formulas",
            help="Write an apostrophe before CSV texts that a spreadsheet would run as formulas.",
        ),
    ] = False

    def __attrs_post_init__(self) -> None:
        if self.chosen_format in (Format.PARQUET, Format.HTML) and self.file is None:
            raise InvalidRequest(f"--format {self.chosen_format} needs --output FILE")
        self._check_file()
        if self.format is Format.HTML and not self.has_page:
            raise InvalidRequest(
                "this command writes no HTML page; use one of the other formats, or `inspect`"
            )
        if self.defuse_formulas and self.format is not Format.CSV:
            raise InvalidRequest(f"--defuse-formulas is for CSV, not for {self.format}; add --format csv")

    def _check_file(self) -> None:
        """Refuse a file whose ending is not a format, or is another format than the chosen one."""
        if self.file is None:
            return
        if url := path_as_url(self.file):
            raise InvalidRequest(f"--output {url}: the output is a local file, not a URL; name a file")
        ending = self.file.suffix
        formats = ", ".join(
            each for each, name in _SUFFIXES.items() if name is not Format.HTML or self.has_page
        )
        if not ending:
            is_device = self.file.exists() and not self.file.is_file()
            if self.chosen_format is None and not is_device:
                raise InvalidRequest(
                    f"--output {self.file} has no ending that names a format; add one of {formats}, or --format"
                )
            return
        named = _SUFFIXES.get(ending.lower())
        if named is None:
            raise InvalidRequest(
                f"--output {self.file}: {ending} is not a format that can be written; use one of {formats}"
            )
        if self.chosen_format not in (None, named):
            raise InvalidRequest(
                f"--output {self.file} is a file for {named}, but --format is {self.chosen_format}; "
                "use one of the two, or let them agree"
            )

    @property
    def format(self) -> Format:
        """The format in which rows are written."""
        if self.chosen_format is not None:
            return self.chosen_format
        return _SUFFIXES.get(self.file.suffix.lower(), Format.TABLE) if self.file else Format.TABLE

    @property
    def to_screen(self) -> bool:
        """Whether a table for people goes to stdout."""
        return self.format is Format.TABLE and self.file is None

    @property
    def most(self) -> int:
        """The number of rows that are written at most; 0: all."""
        return 0


@frozen(kw_only=True)
class LimitedOutput(Output):
    """The same with a limit of rows; a table on the screen has one by default."""

    limit: Annotated[
        int | None,
        _option(
            "--limit",
            "-n",
            min=0,
            metavar="N",
            help=f"Maximum number of rows; 0 shows all. Default: {TABLE_ROWS} in a table, all in every other format.",
            show_default=False,
        ),
    ] = None

    @property
    def most(self) -> int:
        """The number of rows that are written at most; 0: all."""
        if self.limit is not None:
            return self.limit
        return TABLE_ROWS if self.to_screen else 0

    @property
    def client_options(self) -> dict[str, Any]:
        """Options of a client for this output: without prefetch where one page has all the rows."""
        return {"prefetch": 1} if 0 < self.most <= 100 else {}

    @property
    def page_size(self) -> int:
        """The number of records that a page should have: no more than are written, at most the API's 100."""
        return min(self.most or 100, 100)


@frozen(kw_only=True)
class UnlimitedOutput(LimitedOutput):
    """The same without a default limit."""

    limit: Annotated[
        int, _option("--limit", "-n", min=0, metavar="N", help="Maximum number of rows; 0 shows all.")
    ] = 0


async def write_rows(pages: "AsyncGenerator[pa.Table, None]", kind: RowKind, output: Output) -> None:
    """Write pages of rows as they arrive. Pages that are not written are not fetched."""
    limit = output.most
    with open_writer(kind, output) as writer:
        try:
            async with aclosing(pages) as tables:
                async for table in tables:
                    left = limit - writer.written if limit else table.num_rows
                    writer.add(table.slice(0, left))
                    if table.num_rows > left:
                        writer.rest = "there are more (--limit 0: all)"
                        break
        except Exception as error:
            if writer.written:  # these rows have cost requests
                where = f" to {output.file}" if output.file else ""
                error.add_note(f"{writer.written:,} {kind.name} were written{where} before that")
            raise


def write_table(table: "pa.Table", kind: RowKind, output: Output) -> None:
    """Write one table that is complete."""
    with open_writer(kind, output) as writer:
        if output.most and table.num_rows > output.most:
            writer.total, writer.rest = table.num_rows, "--limit 0 shows all"
            table = table.slice(0, output.most)
        writer.add(table)


@contextmanager
def open_writer(kind: RowKind, output: Output) -> "Iterator[RowWriter]":
    """Open the writer of the output and finish it at the end. After an error, the rows until then are kept."""
    with ExitStack() as stack:
        if output.file is None:
            writer = _text_writer(kind, output, None)
        else:
            path = stack.enter_context(atomic_file(output.file))
            if output.format is Format.PARQUET:
                from agora_analytics.cli.output.writers import ParquetFileWriter

                writer = ParquetFileWriter(kind, path)
            else:
                file = stack.enter_context(
                    path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
                )
                writer = _text_writer(kind, output, file)
        try:
            yield writer
        except BrokenPipeError:
            raise  # nobody reads the end
        except BaseException:
            if writer.written:
                writer.finish()
            raise
        writer.finish()


def _text_writer(kind: RowKind, output: Output, file: TextIO | None) -> "RowWriter":
    from agora_analytics.cli.output import table, writers

    match output.format:
        case Format.JSON:
            return writers.JsonArrayWriter(kind, file)
        case Format.JSONL:
            return writers.JsonLinesWriter(kind, file)
        case Format.CSV:
            return writers.CsvWriter(kind, file, defuse=output.defuse_formulas)
        case _:
            live = kind.live and file is None
            return table.LiveTableWriter(kind) if live else table.TableWriter(kind, file)


@contextmanager
def atomic_file(file: Path) -> Iterator[Path]:
    """Yield a path to write to, and rename it to `file` when it is complete."""
    try:
        with _part_file(file) as part:
            yield part
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StoreError(f"cannot write {file}: {reason}") from error


@contextmanager
def _part_file(file: Path) -> Iterator[Path]:
    # A link, such as /dev/stdout, or a device is written directly: a rename would replace it by a plain file.
    if file.is_symlink() or (file.exists() and not file.is_file()):
        yield file
        return
    part = file.with_name(f".{file.name}.part")
    try:
        yield part
    except OSError:
        part.unlink(missing_ok=True)
        raise
    except BaseException:
        if part.exists() and part.stat().st_size:
            part.replace(file)
        else:
            part.unlink(missing_ok=True)
        raise
    part.replace(file)


@frozen(kw_only=True)
class PageOutput(Output):
    """The same for a command that can also write an HTML page."""

    has_page: ClassVar[bool] = True

    chosen_format: Annotated[
        Format | None,
        _option(
            "--format",
            "-f",
            metavar="FORMAT",
            help="table for people, html (a page with charts, in one file), json (one array), jsonl, csv or parquet. "
            "Default: table, or the ending of --output.",
            show_default=False,
        ),
    ] = None
    file: Annotated[
        Path | None,
        _option(
            "--output",
            "-o",
            metavar="FILE",
            dir_okay=False,
            help="Write to this file instead of stdout. Its ending is the format: .html, .json, .jsonl, .ndjson, .csv, "
            ".parquet, or .txt (a table).",
        ),
    ] = None
