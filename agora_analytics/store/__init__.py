"""A store: a folder of Parquet files with tables of calls, sessions, metrics and points.

`open_store(folder)` returns a `ParquetStore`. `Store` is the interface that a harvest needs.
"""

from agora_analytics.schemas import CALL_TABLES, CALLS, METRICS, POINTS, SESSIONS, TABLES, table_schema
from agora_analytics.store.compaction import CompactedDay, CompactReport, SkippedDay
from agora_analytics.store.parquet_store import ParquetStore, open_store
from agora_analytics.store.protocol import (
    CallListing,
    FileDamaged,
    Published,
    Repair,
    Store,
    Units,
    Unreadable,
)
from agora_analytics.store.query import Result

__all__ = [
    "CALLS",
    "CALL_TABLES",
    "METRICS",
    "POINTS",
    "SESSIONS",
    "TABLES",
    "CallListing",
    "CompactReport",
    "CompactedDay",
    "FileDamaged",
    "ParquetStore",
    "Published",
    "Repair",
    "Result",
    "SkippedDay",
    "Store",
    "Units",
    "Unreadable",
    "open_store",
    "table_schema",
]
