"""Errors of DuckDB in the library's terms: a wrong query is an `InvalidRequest`, an unreadable file a `StoreError`."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from agora_analytics.errors import AgoraAnalyticsError, InvalidRequest, StoreError
from agora_analytics.schemas import TABLES
from agora_analytics.store import parquet_file
from agora_analytics.store.failures import damaged, translate_read_errors
from agora_analytics.store.layout import Layout
from agora_analytics.store.sql_guard import spellings

READ_ERRORS = (duckdb.Error, pa.ArrowException, UnicodeDecodeError)
"""The errors of a file that DuckDB reads. It cannot decode the text of some of its errors."""
QUERY_ERRORS = (
    duckdb.ParserException, duckdb.SyntaxException, duckdb.CatalogException, duckdb.BinderException,
    duckdb.ConversionException, duckdb.TypeMismatchException, duckdb.OutOfRangeException, duckdb.PermissionException,
    duckdb.NotImplementedException, duckdb.ConstraintException,
)  # fmt: skip
"""The errors of a query that is wrong."""
_FORBIDDEN_FILE = re.compile('Cannot access file "(.*)" - ')
_NAMED_FILE = re.compile("""(?:open|match|read|file)[^"']*["'][^"']+["']|[a-z0-9]://""", re.IGNORECASE)
_MISSING_EXTENSION = re.compile("requires the extension|required extension")
_FILE_PROBLEM = re.compile("parquet|decompress|snappy|zstd|magic bytes|page", re.IGNORECASE)


@contextmanager
def translate_query_errors(layout: Layout) -> Iterator[None]:
    """Raise `InvalidRequest` or `StoreError` in place of every error of DuckDB in the block."""
    try:
        yield
    except QUERY_ERRORS as problem:
        raise wrong_query(problem) from problem
    except (duckdb.Error, UnicodeDecodeError) as problem:
        raise _translate(layout, problem) from problem


def wrong_query(problem: Exception) -> InvalidRequest:
    """Return the error for one of `QUERY_ERRORS`."""
    if forbidden := _FORBIDDEN_FILE.search(str(problem)):
        return InvalidRequest(
            f"cannot read {forbidden[1]}: the query reads files only in the store and in allowed folders; "
            "name the folder with allow, on the command line with --allow DIR"
        )
    return InvalidRequest(f"the query is wrong: {one_line(problem)}")


def duckdb_error(message: str) -> duckdb.Error:
    """Return the error of DuckDB that an Arrow stream reports as text only.

    Example:
        >>> type(duckdb_error("Out of Range Error: Overflow")).__name__
        'OutOfRangeException'
    """
    if message.startswith("INTERRUPT Error"):
        return duckdb.InterruptException(message)
    words = message.partition(" Error: ")[0].split()
    name = "".join(word[0].upper() + word[1:] for word in words) + "Exception"
    kind = getattr(duckdb, name, duckdb.Error)
    error: duckdb.Error = kind(message)
    return error


def is_missing_file(layout: Layout, problem: Exception) -> bool:
    """Return whether an error means that a compaction has replaced a file of the store."""
    text = str(problem)
    return (
        isinstance(problem, duckdb.IOException)
        and ("No such file" in text or "No files found" in text)
        and not _names_other_file(layout, text)
    )


def unreadable(layout: Layout, tables: Iterable[str], problem: Exception) -> StoreError:
    """Return the error for a read of some tables that failed, with the first file that cannot be read."""
    return _first_damaged(layout, tables) or damaged(layout.folder, problem)


def _names_other_file(layout: Layout, message: str) -> bool:
    """Return whether a message names a file that is not in the store: compaction does not move such files."""
    folders = (layout.folder, *map(layout.table, TABLES))
    store = {path for folder in folders for path in spellings(folder)}
    return _NAMED_FILE.search(message) is not None and not any(path in message for path in store)


def _translate(layout: Layout, problem: Exception) -> AgoraAnalyticsError:
    if isinstance(problem, duckdb.InterruptException):
        return StoreError("the query was interrupted")
    if isinstance(problem, duckdb.OutOfMemoryException):
        return StoreError(f"the query ran out of memory: {one_line(problem)}; select fewer rows or columns")
    if _MISSING_EXTENSION.search(str(problem)):  # a store needs none
        return InvalidRequest(f"cannot read a file that the query names: {' '.join(str(problem).split())}")
    # DuckDB raises the same class for a file that is not Parquet and for a text that is not a date
    if isinstance(problem, duckdb.InvalidInputException) and not _FILE_PROBLEM.search(str(problem)):
        return InvalidRequest(f"the query is wrong: {one_line(problem)}")
    if isinstance(problem, duckdb.IOException | duckdb.InvalidInputException) and _names_other_file(
        layout, str(problem)
    ):
        return InvalidRequest(f"cannot read a file that the query names: {one_line(problem)}")
    # such as `read_text` of a Parquet file
    if isinstance(problem, duckdb.InvalidInputException | UnicodeDecodeError):
        return _first_damaged(layout, TABLES) or InvalidRequest(f"the query is wrong: {one_line(problem)}")
    return unreadable(layout, TABLES, problem)


def one_line(problem: Exception) -> str:
    """Return the first paragraph of an error's text as one line."""
    return " ".join(str(problem).split("\n\n", 1)[0].split())


def _first_damaged(layout: Layout, tables: Iterable[str]) -> StoreError | None:
    """Return the error for the first file of some tables that cannot be read; None if all can."""
    # footers first: most damaged files are truncated, and reading all footers takes about a second
    for with_rows in (False, True):
        for name in tables:
            for path in layout.files(name):
                try:
                    with (
                        translate_read_errors(path),
                        pq.ParquetFile(str(path), page_checksum_verification=True) as file,
                    ):
                        parquet_file.check_columns(file.metadata, name)
                        for group in range(file.num_row_groups if with_rows else 0):
                            file.read_row_group(group, use_threads=False)
                except FileNotFoundError:
                    continue
                except StoreError as error:
                    return error
    return None
