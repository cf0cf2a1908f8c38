"""A store: tables of calls, sessions, metrics and points, in a folder of Parquet files or in a bucket.

`open_store(folder)` returns a `ParquetStore`, `open_store("s3://...")` a `BucketStore`. Both read; a harvest writes
through their `writer`.
"""

from typing import TYPE_CHECKING

from agora_analytics.lazy import lazy_names

if TYPE_CHECKING:
    from agora_analytics.store.bucket.bucket_store import BucketStore as BucketStore
    from agora_analytics.store.compaction import CompactedDay as CompactedDay
    from agora_analytics.store.compaction import CompactReport as CompactReport
    from agora_analytics.store.compaction import SkippedDay as SkippedDay
    from agora_analytics.store.harvest_writer import HarvestWriter as HarvestWriter
    from agora_analytics.store.harvest_writer import Store as Store
    from agora_analytics.store.parquet_store import ParquetStore as ParquetStore
    from agora_analytics.store.parquet_store import local_folder as local_folder
    from agora_analytics.store.parquet_store import open_existing as open_existing
    from agora_analytics.store.parquet_store import open_store as open_store
    from agora_analytics.store.parquet_writer import StoreWriter as StoreWriter
    from agora_analytics.store.records import CallListing as CallListing
    from agora_analytics.store.records import FileDamaged as FileDamaged
    from agora_analytics.store.records import Published as Published
    from agora_analytics.store.records import Repair as Repair
    from agora_analytics.store.records import Units as Units
    from agora_analytics.store.records import Unreadable as Unreadable
    from agora_analytics.store.rollups.build import BuiltRollup as BuiltRollup
    from agora_analytics.store.rollups.build import RollupReport as RollupReport
    from agora_analytics.store.rollups.build import SkippedRollup as SkippedRollup
    from agora_analytics.store.rollups.thresholds import seconds_beyond_sql as seconds_beyond_sql

__all__, __getattr__ = lazy_names(
    __name__,
    {
        "compaction": ("CompactedDay", "CompactReport", "SkippedDay"),
        "bucket.bucket_store": ("BucketStore",),
        "harvest_writer": ("HarvestWriter", "Store"),
        "parquet_store": ("ParquetStore", "local_folder", "open_existing", "open_store"),
        "parquet_writer": ("StoreWriter",),
        "records": ("CallListing", "FileDamaged", "Published", "Repair", "Units", "Unreadable"),
        "rollups.build": ("BuiltRollup", "RollupReport", "SkippedRollup"),
        "rollups.thresholds": ("seconds_beyond_sql",),
    },
)
