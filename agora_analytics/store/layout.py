"""Where everything lies in a store's folder. Names only: nothing here opens a file.

    DIR/_store.json                                             which format this is
    DIR/calls|sessions|metrics|points/app_id=<id>/day=<UTC day>/    the tables; one object for each unit of work
        <unit>.parquet
        compacted~<hash>~<number>.parquet                       what many units became once their day was closed
    DIR/_pending/<table>/app_id=<id>/day=<UTC day>/             finished units of calls that are not whole yet; of
                                                                `points`, marks of units to be fetched again
    DIR/_listing/app_id=<id>/<start>-<end>.<page>.parquet       finished pages of call listings
    DIR/_staging/                                               what is being written; nobody reads it
    DIR/_replaced/                                              days before they were compacted, for some seconds more
    DIR/_lock                                                   writers hold it shared, compaction alone: a byte each
    DIR/_commit_lock                                                   whoever shows a call, or drops units of one, holds it

Spark, pyarrow and others skip names that start with `_`, so only the tables are seen.
"""

import hashlib
import re
from pathlib import Path
from urllib.parse import unquote

from agora_analytics.errors import StoreError
from agora_analytics.schemas import TABLES

FORMAT_FILE = "_store.json"
LISTING = "_listing"
LOCK = "_lock"
COMMIT_LOCK = "_commit_lock"
PENDING = "_pending"
REPLACED = "_replaced"
STAGING = "_staging"
SUFFIX = ".parquet"
COMPACTED = "compacted~"
"""How the names of compacted files start. `~` is in no encoded unit of less than 200 letters, so none looks like it."""

_UNSAFE = re.compile(rb"[^A-Za-z0-9_.-]")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_LONGEST = 200


def encode_id(text: str) -> str:
    """Return a vendor's id as one safe file name: other characters than `A-Za-z0-9_.-` become `%XX`.

    A leading `_` or `.` is encoded too, since readers skip such names; an id too long for a file name ends in its hash.

    Raises:
        StoreError: if the id is empty.

    Example:
        >>> encode_id("../a b"), encode_id("_x")
        ('%2E.%2Fa%20b', '%5Fx')
    """
    if not text:
        raise StoreError("an empty id cannot name an object of the store; it needs at least one character")
    name = _UNSAFE.sub(
        lambda found: f"%{found[0][0]:02X}".encode(), text.encode("utf-8", "surrogatepass")
    ).decode()
    if name[0] in "._":
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if len(name) > _LONGEST:
        digest = hashlib.sha256(name.encode()).hexdigest()[:32]
        name = f"{name[:100].rstrip('%')}~{digest}"
    return name


def decode_id(name: str) -> str:
    """Return the id that `encode_id` made a name of. Of an id too long for a name, the name itself comes back."""
    return unquote(name) if "%" in name else name


def validate_table(table: str) -> str:
    """Return the name of a table if it is one.

    Raises:
        StoreError: if it is not.
    """
    if table not in TABLES:
        raise StoreError(f"there is no table {table!r}; the tables are {', '.join(TABLES)}")
    return table


def validate_day(day: str) -> str:
    """Return the day if it is written as `2026-11-20`.

    Raises:
        StoreError: if it is not.
    """
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
        self.commit_lock = folder / COMMIT_LOCK
        self.staging = folder / STAGING
        self.replaced = folder / REPLACED

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
