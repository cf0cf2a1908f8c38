"""A destination has each row of a store once: after more data, crashes and compaction. dlt loads into DuckDB."""

import shutil

import dlt
import pytest
from dlt.common.runtime import anon_tracker

from agora_analytics.errors import InvalidRequest
from agora_analytics.integrations.dlt import agora_source
from agora_analytics.integrations.dlt.new_rows import loaded_schema
from tests.integrations.dlt.worlds import ONGOING, TWO_DAYS, expected_counts, harvest


def test_runs_over_a_growing_store(loader, put_store):
    put_store("begun")
    assert loader.load()["calls"] == 2
    assert loader.load() == {}
    put_store("whole")
    assert loader.load()["calls"] == 3
    files = loader.store.files("metrics")
    loader.store.writer.compact(closed_before="2026-11-20")
    assert loader.store.files("metrics") != files
    assert loader.load() == {}
    assert loader.counts() == expected_counts(TWO_DAYS)
    loader.assert_same_as(loader.store)


def test_snapshots_and_a_lost_working_folder(loader, tmp_path):
    """The state is restored from the destination. It does not include the package that was lost with the folder."""
    harvest(tmp_path / "store", until=8, now=8, world=ONGOING)
    assert loader.load()["calls"] == 1
    harvest(tmp_path / "store", until=11, now=11, world=ONGOING)
    loader.pipeline.extract(loader.source)
    shutil.rmtree(tmp_path / "pipelines")
    assert loader.load()["calls"] == 1
    shutil.rmtree(tmp_path / "pipelines")
    assert loader.load() == {}
    assert loader.counts() == expected_counts(ONGOING)
    loader.assert_same_as(loader.store)


def test_kill_after_the_extraction(loader, put_store):
    """The next run loads the package, and then what has changed since."""
    put_store("begun")
    loader.pipeline.extract(loader.source)
    put_store("whole")
    loader.load()
    assert loader.counts() == expected_counts(TWO_DAYS)
    loader.assert_same_as(loader.store)
    assert loader.load() == {}


def test_aborted_package_is_extracted_again(loader, put_store):
    put_store("begun")
    loader.load()
    put_store("whole")
    pipeline = loader.pipeline
    pipeline.extract(loader.source)
    pipeline.normalize()
    loader.pipeline.abort_packages()
    loader.load()
    assert loader.counts() == expected_counts(TWO_DAYS)
    loader.assert_same_as(loader.store)


def test_schema_has_descriptions_times_in_utc_and_a_partition(loader, put_store):
    put_store("begun")
    pipeline = loader.pipeline
    pipeline.extract(loader.source.with_resources("calls", "sessions"))
    pipeline.normalize()
    assert {"calls", "sessions"} == {name for name in pipeline.default_schema.tables if name[0] != "_"}
    assert anon_tracker._ANON_TRACKER_ENDPOINT is None  # the tests send no telemetry
    columns = pipeline.default_schema.tables["sessions"]["columns"]
    fields = loaded_schema("sessions")
    assert list(columns) == fields.names
    for name, column in columns.items():
        assert column["description"].encode() == fields.field(name).metadata[b"description"]
    assert columns["join_ts"]["data_type"] == "timestamp"
    assert columns["join_ts"].get("timezone", True)
    assert columns["day"]["partition"]
    assert {name for name, column in columns.items() if not column["nullable"]} == {
        "app_id", "call_id", "sid", "day"
    }  # fmt: skip


def test_nothing_to_load_is_refused():
    with pytest.raises(InvalidRequest, match="pass since="):
        agora_source()


def test_destination_that_would_append_is_refused(tmp_path, loader):
    """Before the store is opened, or a request is sent."""
    files = dlt.destinations.filesystem(str(tmp_path / "files"))
    pipeline = dlt.pipeline("files", destination=files, pipelines_dir=str(tmp_path / "pipelines"))
    with pytest.raises(Exception, match="filesystem cannot replace the rows of a call") as failure:
        pipeline.run(loader.source)
    causes = [failure.value]
    while causes[-1].__cause__:
        causes.append(causes[-1].__cause__)
    assert isinstance(causes[-1], InvalidRequest)
