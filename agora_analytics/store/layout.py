"""The layout of a store's folder: the path of every object, and the files in a partition.

    DIR/_store.json                                             the version of the format
    DIR/calls|sessions|metrics|points/app_id=<id>/day=<UTC day>/    the tables; one file for each unit of work
        <unit>.parquet
        compacted~<hash>~<number>.parquet                       the merged units of a closed day
    DIR/_pending/<table>/app_id=<id>/day=<UTC day>/             finished units of calls that are not complete yet; for
                                                                `points`, marks of units that have to be fetched again
    DIR/_listing/app_id=<id>/<start>-<end>.<page>.parquet       finished pages of call listings
    DIR/_staging/app_id=<id>/                                   files that are being written; never read
    DIR/_replaced/                                              compacted days as they were before, for open readers
    DIR/_damaged/...                                            damaged files, under the path that they had
    DIR/_skipped/app_id=<id>/<unit>.json                        records that cannot be read, as a harvest reported them
    DIR/_lock/app_id=<id>/writers                               shared by writers, exclusive for compaction, which
                                                                appends one byte each time
    DIR/_lock/app_id=<id>/commits                               held while a call is published or units are removed
    DIR/_rollups/<roll-up>/app_id=<id>/day=<UTC day>/           aggregates of a compacted day, which can be rebuilt
        <digest>~<checksum>.parquet
    DIR/_alls|_essions|_etrics|_oints/app_id=none/day=1970-01-01/empty.parquet
                                                                placeholder of a table without files, for a views file

Spark, pyarrow and others skip names that start with `_`, so they see only the tables.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from agora_analytics.errors import StoreError
from agora_analytics.schemas import TABLES
from agora_analytics.store.failures import translate_os_errors

FORMAT_FILE = "_store.json"
DAMAGED = "_damaged"
LISTING = "_listing"
LOCK = "_lock"
COMMIT_LOCK = "_commit_lock"
PENDING = "_pending"
REPLACED = "_replaced"
ROLLUPS = "_rollups"
STAGING = "_staging"
SKIPPED = "_skipped"
PLACEHOLDERS = {table: f"_{table[1:]}" for table in TABLES}
PLACEHOLDER = "app_id=none/day=1970-01-01/empty.parquet"
PARTS = frozenset(
    {
        DAMAGED,
        LISTING,
        LOCK,
        COMMIT_LOCK,
        PENDING,
        REPLACED,
        ROLLUPS,
        SKIPPED,
        STAGING,
        *PLACEHOLDERS.values(),
    }
)
"""The names in a store's folder, apart from the tables and the format file. Format 2 has `_commit_lock`, a file."""
SUFFIX = ".parquet"
COMPACTED = "compacted~"
"""Prefix of the names of compacted files. No unit has it: `encode_id` adds `~` only near the hundredth character."""

_UNSAFE = re.compile(rb"[^A-Za-z0-9_.-]")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_CUT = re.compile(r"[A-Za-z0-9_.%-]{98,100}~[0-9a-f]{32}")
_MAX_LENGTH = 200
_MAX_LENGTH_IN_UNIT = 150


def encode_id(text: str, *, max_length: int = _MAX_LENGTH) -> str:
    """Return a vendor's id as one safe file name: characters other than `A-Za-z0-9_.-` become `%XX`.

    A leading `_` or `.` is encoded too, because readers skip such names, and so is the `n` of `null`, which DuckDB 1
    reads as NULL. A name that is too long is cut and ends with a hash; it stays the same when it is encoded again.

    Raises:
        StoreError: if the id is empty.

    Example:
        >>> encode_id("../a b"), encode_id("_x")
        ('%2E.%2Fa%20b', '%5Fx')
    """
    if not text:
        raise StoreError("cannot store an object with an empty id; give an id with at least one character")
    if _CUT.fullmatch(text):
        return text
    name = _UNSAFE.sub(
        lambda match: f"%{match[0][0]:02X}".encode(), text.encode("utf-8", "surrogatepass")
    ).decode()
    if name[0] in "._" or name.lower() == "null":
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if len(name) > max_length:
        digest = hashlib.sha256(name.encode()).hexdigest()[:32]
        name = f"{name[:100].rstrip('%')}~{digest}"
    return name


def decode_id(name: str) -> str:
    """Return the id that `encode_id` encoded. A name that was cut is returned as it is."""
    return unquote(name) if "%" in name and not _CUT.fullmatch(name) else name


def stored_id(text: str) -> str:
    """Return the form in which the store lists an id: the id, or its file name if that was cut."""
    return decode_id(encode_id(text))


def short_id(text: str) -> str:
    """Return a form of an id that leaves room for a suffix in a file name: the id, or a cut form that ends with a hash.

    Example:
        >>> short_id("c1"), len(short_id("c" * 300))
        ('c1', 133)
    """
    name = encode_id(text, max_length=_MAX_LENGTH_IN_UNIT)
    # a percent sign would take three characters when the unit is encoded
    return name.replace("%", "") if _CUT.fullmatch(name) else decode_id(name)


def unit_name(file: str) -> str:
    """Return the unit that is stored in a file of this name."""
    return decode_id(file.removesuffix(SUFFIX))


def validate_table(table: str) -> str:
    """Return the name of a table; raise a `StoreError` if there is no such table."""
    if table not in TABLES:
        raise StoreError(f"there is no table {table!r}; the tables are {', '.join(TABLES)}")
    return table


def validate_day(day: str) -> str:
    """Return a day; raise a `StoreError` if it is not written as `2026-11-20`."""
    if not _DAY.fullmatch(day):
        raise StoreError(f"{day!r} is not a UTC day; write it as 2026-11-20")
    return day


class Layout:
    """The paths in one store's folder.

    Example:
        >>> Layout(Path("store")).unit("calls", "c1", app_id="a", day="2026-11-20").as_posix()
        'store/calls/app_id=a/day=2026-11-20/c1.parquet'
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = folder / LOCK
        self.replaced = folder / REPLACED
        self.rollups = folder / ROLLUPS

    def locks(self, app_id: str) -> Path:
        """Return the folder of the lock files of one app."""
        return self.lock / f"app_id={encode_id(app_id)}"

    def staging(self, app_id: str) -> Path:
        """Return the folder of the files of one app that are being written."""
        return self.folder / STAGING / f"app_id={encode_id(app_id)}"

    def table(self, table: str, *, pending: bool = False) -> Path:
        """Return the folder of a whole table."""
        root = self.folder / PENDING if pending else self.folder
        return root / validate_table(table)

    def app(self, table: str, app_id: str, *, pending: bool = False) -> Path:
        """Return the folder of one app in a table."""
        return self.table(table, pending=pending) / f"app_id={encode_id(app_id)}"

    def day(self, table: str, *, app_id: str, day: str, pending: bool = False) -> Path:
        """Return the folder of one app's day in a table."""
        return self.app(table, app_id, pending=pending) / f"day={validate_day(day)}"

    def unit(self, table: str, unit: str, *, app_id: str, day: str, pending: bool = False) -> Path:
        """Return the file of one unit of work."""
        return self.day(table, app_id=app_id, day=day, pending=pending) / f"{encode_id(unit)}{SUFFIX}"

    def listings(self, app_id: str) -> Path:
        """Return the folder of the listing pages of one app."""
        return self.folder / LISTING / f"app_id={encode_id(app_id)}"

    def listing(self, app_id: str, start: int, end: int, seq: int) -> Path:
        """Return the file of one page of the listing of the window from `start` to `end` (UTC epoch seconds)."""
        return self.listings(app_id) / f"{start}-{end}.{seq:05d}{SUFFIX}"

    def damaged(self, path: Path) -> Path:
        """Return where a damaged file is kept."""
        return self.folder / DAMAGED / path.relative_to(self.folder)

    def skipped(self, app_id: str) -> Path:
        """Return the folder that lists the unreadable records of one app."""
        return self.folder / SKIPPED / f"app_id={encode_id(app_id)}"

    def rollup(self, name: str, *, app_id: str, day: str) -> Path:
        """Return the folder of one roll-up of an app's day."""
        return self.rollups / name / f"app_id={encode_id(app_id)}" / f"day={validate_day(day)}"

    def placeholder(self, table: str) -> Path:
        """Return the empty file that stands for a table without files in a views file."""
        return self.folder / PLACEHOLDERS[table] / PLACEHOLDER

    def files(self, table: str) -> list[Path]:
        """Return the files of a table, sorted."""
        root = self.table(table)
        with translate_os_errors("cannot list", root):
            return [
                Path(folder, name)
                for _, app in partitions(root, "app_id")
                for _, folder in partitions(app, "day")
                for name in parquet_names(folder)
            ]


def partitions(parent: Path | str, key: str) -> Iterator[tuple[str, str]]:
    """Yield the value and path of each folder `key=value` in a folder, sorted; nothing if the folder is missing."""
    try:
        with os.scandir(parent) as entries:
            folders = sorted(entry.name for entry in entries if entry.name.startswith(f"{key}="))
    except FileNotFoundError:
        return
    for folder in folders:
        yield folder[len(key) + 1 :], f"{parent}{os.sep}{folder}"


def parquet_names(folder: Path | str) -> list[str]:
    """Return the names of the Parquet files in a folder, sorted; empty if the folder is missing."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.name.endswith(SUFFIX))
    except FileNotFoundError:
        return []
