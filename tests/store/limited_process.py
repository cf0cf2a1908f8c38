"""Write a unit larger than this process may write; print the error."""

import resource
import sys

from sample_calls import APP, DAY, large_metrics

from agora_analytics.errors import StoreError
from agora_analytics.store import open_store

if __name__ == "__main__":
    store = open_store(sys.argv[1], create=True)
    # Python does not notice that it wrote only a part of a .pyc file, and cannot import the module later.
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    try:
        store.writer.put("metrics", "big", large_metrics(), app_id=APP, day=DAY, pending=False)
    except StoreError as problem:
        sys.stdout.write(f"{problem}\n")
    assert not store.files("metrics")
    assert not list((store.path / "_staging").rglob("*.parquet"))
