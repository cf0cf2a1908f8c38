"""The rows of a store in a bucket that a destination does not have, in a folder with the semantics of a bucket."""

import pytest

from agora_analytics.integrations.dlt.new_rows import loaded_schema, new_rows

pytest.importorskip("deltalake")
pytest.importorskip("obstore")

from agora_analytics.store.bucket.bucket_store import open_bucket
from agora_analytics.store.bucket.location import BucketLocation
from tests.bucket.sample_calls import Sample


def test_only_new_calls_of_a_bucket_are_loaded(tmp_path):
    sample = Sample(
        open_bucket(BucketLocation("file", "", (tmp_path / "bucket").as_posix().strip("/")), create=True)
    )
    states = {table: {} for table in ("calls", "sessions", "metrics", "points")}

    def load():
        calls = {}
        for table, state in states.items():
            for rows in new_rows(sample.store, table, state):
                assert rows.schema == loaded_schema(table)
                calls.setdefault(table, set()).update(rows.column("call_id").to_pylist())
        return calls

    sample.add("c1", "c2")
    sample.store.writer.commit()
    assert load() == {key: {"c1", "c2"} for key in ("calls", "sessions", "metrics")}
    assert load() == {}
    sample.add("c3")
    sample.store.writer.commit()
    assert load() == {key: {"c3"} for key in ("calls", "sessions", "metrics")}
    assert sample.store.writer.compact(closed_before="2100-01-01").compacted
    assert load() == {}
