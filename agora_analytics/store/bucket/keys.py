"""The keys of the objects in a bucket, relative to the prefix of the store.

_store.json                                                 the version of the format
calls|sessions|metrics|points/_delta_log/                   which objects are in a table: its Delta log
metrics/app_id=<id>/day=<UTC day>/<unit>.parquet            one object for each unit; visible once it is in the log
<table>/app_id=<id>/day=<UTC day>/part-*.parquet            rows that a publisher or a compaction has written
_ready/calls/app_id=<id>/day=<UTC day>/<call>.<state>.parquet   calls that are complete and wait for a publisher
_ready/points/app_id=<id>/day=<UTC day>/<unit>.<ns>.parquet     units of `points` that wait for a publisher
_pending/app_id=<id>/<table>/day=<UTC day>/<unit>.parquet   session lists and marks of work in progress
_empty/app_id=<id>/day=<UTC day>/<unit>                     units of `points` that are done and have no rows
_listing/app_id=<id>/<start>-<end>.<page>.parquet           finished pages of call listings
_skipped/app_id=<id>/<unit>.json                            records that cannot be read
"""

import re

from agora_analytics.store.layout import (
    FORMAT_FILE,
    LISTING,
    PENDING,
    SKIPPED,
    SUFFIX,
    decode_id,
    encode_id,
    validate_day,
)

FORMAT_KEY = FORMAT_FILE
READY_CALLS = "_ready/calls"
READY_POINTS = "_ready/points"

_APP = re.compile(r"/app_id=([^/]+)/")
_DAY = re.compile(r"/day=(\d{4}-\d{2}-\d{2})/")


def app_folder(root: str, app_id: str) -> str:
    """Return the prefix of an app below a root, such as `_listing` or a table."""
    return f"{root}/app_id={encode_id(app_id)}"


def day_folder(root: str, app_id: str, day: str) -> str:
    """Return the prefix of an app's day below a root."""
    return f"{app_folder(root, app_id)}/day={validate_day(day)}"


def metrics_unit(unit: str, *, app_id: str, day: str) -> str:
    """Return the key of a unit of `metrics`.

    Example:
        >>> metrics_unit("c1.0-59.ab", app_id="a", day="2026-11-20")
        'metrics/app_id=a/day=2026-11-20/c1.0-59.ab.parquet'
    """
    return f"{day_folder('metrics', app_id, day)}/{encode_id(unit)}{SUFFIX}"


def pending_folder(app_id: str, table: str = "") -> str:
    """Return the prefix of the pending objects of an app, apart from `metrics`."""
    return f"{app_folder(PENDING, app_id)}/{table}".rstrip("/")


def pending_unit(table: str, unit: str, *, app_id: str, day: str) -> str:
    """Return the key of a pending unit of another table than `metrics`."""
    return f"{pending_folder(app_id, table)}/day={validate_day(day)}/{encode_id(unit)}{SUFFIX}"


def empty_unit(unit: str, *, app_id: str, day: str) -> str:
    """Return the key of the note that a unit of `points` has no rows."""
    return f"{day_folder('_empty', app_id, day)}/{encode_id(unit)}"


def ready_points(unit: str, nanoseconds: int, *, app_id: str, day: str) -> str:
    """Return the key of the rows of a unit of `points`, written at a time; the newest replace the others."""
    return f"{day_folder(READY_POINTS, app_id, day)}/{encode_id(unit)}.{nanoseconds:020d}{SUFFIX}"


def listing_page(app_id: str, start: int, end: int, seq: int) -> str:
    """Return the key of one page of the listing of a window (UTC epoch seconds)."""
    return f"{app_folder(LISTING, app_id)}/{start}-{end}.{seq:05d}{SUFFIX}"


def skipped_unit(app_id: str, unit: str = "") -> str:
    """Return the key of the unreadable records of a unit; without a unit, the prefix of the app."""
    folder = app_folder(SKIPPED, app_id)
    return f"{folder}/{encode_id(unit)}.json" if unit else folder


def file_name(key: str) -> str:
    """Return the last part of a key."""
    return key.rpartition("/")[2]


def app_of(key: str) -> str:
    """Return the app in a key."""
    match = _APP.search(key)
    return decode_id(match[1]) if match else ""


def day_of(key: str) -> str:
    """Return the UTC day in a key."""
    match = _DAY.search(key)
    return match[1] if match else ""
