"""Write a unit larger than this process may write; print the error."""

import resource
import sys

from sample_calls import APP, DAY, METRICS_LARGE

from agora_analytics.errors import StoreError
from agora_analytics.store import open_store

if __name__ == "__main__":
    store = open_store(sys.argv[1], create=True)
    # the limit would cut the bytecode of modules that are imported from now on
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    try:
        store.writer.put("metrics", "big", METRICS_LARGE, app_id=APP, day=DAY, pending=False)
    except StoreError as problem:
        sys.stdout.write(f"{problem}\n")
    assert not store.files("metrics")
    assert not list((store.path / "_staging").rglob("*.parquet"))
