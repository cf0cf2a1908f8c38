"""A store: a folder of Parquet files with tables of calls, sessions, metrics and points.

`open_store(folder)` returns a `ParquetStore`, which reads. A harvest writes through its `StoreWriter`.
"""

from agora_analytics.store.compaction import CompactedDay, CompactReport, SkippedDay
from agora_analytics.store.parquet_store import ParquetStore, local_folder, open_store
from agora_analytics.store.parquet_writer import StoreWriter
from agora_analytics.store.records import CallListing, FileDamaged, Published, Repair, Units, Unreadable

__all__ = [
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
]
