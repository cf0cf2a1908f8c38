"""A store: a folder of Parquet files with tables of calls, sessions, metrics and points.

`open_store(folder)` returns a `ParquetStore`, which reads. A harvest writes through the interface `StoreWriter`.
"""

from agora_analytics.schemas import CALL_TABLES, CALLS, METRICS, POINTS, SESSIONS, TABLES, table_schema
from agora_analytics.store.compaction import CompactedDay, CompactReport, SkippedDay
from agora_analytics.store.parquet_store import ParquetStore, local_folder, open_store
from agora_analytics.store.protocol import (
    CallListing,
    FileDamaged,
    Published,
    Repair,
    StoreWriter,
    Units,
    Unreadable,
)

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
    "SkippedDay",
    "StoreWriter",
    "Units",
    "Unreadable",
    "local_folder",
    "open_store",
    "table_schema",
]
