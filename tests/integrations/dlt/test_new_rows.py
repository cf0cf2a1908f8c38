"""The rows that a destination does not have, without dlt: the destination is a dictionary of blocks."""

import shutil
from collections import Counter
from itertools import islice

import pyarrow as pa
import pytest
from attrs import Factory, define

from agora_analytics.integrations.dlt.new_rows import MERGE_KEYS, loaded_schema, new_rows
from agora_analytics.schemas import CALL_TABLES, TABLES
from agora_analytics.simulator import DEMO_APP_ID
from agora_analytics.store import ParquetStore, open_store
from tests.integrations.dlt.worlds import DAYS, ONGOING, TWO_DAYS, expected_counts, harness_at, harvest


@define
class Destination:
    """Replaces the blocks that it receives, as a merge does."""

    tables: dict = Factory(lambda: {table: {} for table in TABLES})
    state: dict = Factory(lambda: {table: {} for table in TABLES})

    def load(self, store: ParquetStore, *, batches: int | None = None) -> dict[str, int]:
        """Load the new rows, or some batches of each table; return the number of blocks."""
        loaded = {}
        for table, keys in MERGE_KEYS.items():
            rows = list(islice(new_rows(store, table, self.state[table]), batches))
            assert all(batch.schema == loaded_schema(table) for batch in rows)
            blocks: dict = {}
            for row in (row for batch in rows for row in batch.to_pylist()):
                blocks.setdefault(tuple(row[key] for key in keys), []).append(tuple(row.values()))
            self.tables[table].update(blocks)
            if blocks:
                loaded[table] = len(blocks)
        return loaded

    def rows(self, table: str) -> Counter:
        return Counter(row for rows in self.tables[table].values() for row in rows)


def assert_same(destination: Destination, store: ParquetStore) -> None:
    for table in CALL_TABLES:
        expected = store.sql(f"select * from {table} where call_id in (select call_id from calls)")
        rows = expected.to_arrow_table().to_pylist()
        stored = Counter(tuple(str(value) for value in row.values()) for row in rows)
        loaded = Counter(tuple(map(str, row)) for row in destination.rows(table).elements())
        assert loaded == stored, table


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


def calls_loaded(destination, folder):
    return destination.load(open_store(folder)).get("calls", 0)


def test_only_new_calls_are_loaded(folder, put_store):
    destination = Destination()
    put_store("begun")
    assert destination.load(open_store(folder)) == dict.fromkeys(CALL_TABLES, 2)
    assert destination.load(open_store(folder)) == {}
    put_store("whole")
    assert destination.load(open_store(folder)) == dict.fromkeys(CALL_TABLES, 3)
    assert_same(destination, open_store(folder))
    rows = {table: destination.rows(table).total() for table in CALL_TABLES}
    assert rows == expected_counts(TWO_DAYS)


def test_day_without_changes_has_one_digest_and_is_loaded_again_if_it_changes(folder, put_store):
    destination = Destination()
    put_store("begun")
    harvest(folder, since=26)
    destination.load(open_store(folder))
    assert destination.load(open_store(folder)) == {}
    settled, newest = (destination.state["calls"][f"{DEMO_APP_ID}/{day}"]["blocks"] for day in DAYS)
    assert isinstance(settled, str)
    assert isinstance(newest, list)
    harvest(folder, since=4, until=5)
    assert calls_loaded(destination, folder) == 3
    assert_same(destination, open_store(folder))
    assert destination.load(open_store(folder)) == {}


def test_compaction_loads_nothing(folder):
    destination = Destination()
    harness = harness_at(folder, 23.5)
    harness.harvest(until=harness.clock.now())  # the day is not over, so that it is not compacted
    destination.load(open_store(folder))
    harness.clock.step(7 * 3600)
    files = open_store(folder).files("metrics")
    harness.harvest(until=harness.clock.now())
    assert set(files).isdisjoint(open_store(folder).files("metrics"))
    assert destination.load(open_store(folder))["calls"] == 2  # one was ongoing, and one began later
    assert destination.load(open_store(folder)) == {}
    assert_same(destination, open_store(folder))


def test_snapshot_of_an_ongoing_call_is_replaced(folder):
    destination = Destination()
    for hour in (3, 8, 11):
        harvest(folder, until=hour, now=hour, world=ONGOING)
        assert calls_loaded(destination, folder) == 1
        assert_same(destination, open_store(folder))
    assert {table: destination.rows(table).total() for table in CALL_TABLES} == expected_counts(ONGOING)


def test_day_that_was_loaded_in_part_is_loaded_as_a_whole(folder, put_store):
    destination = Destination()
    put_store("whole")
    destination.load(open_store(folder), batches=1)
    assert len(destination.state["calls"]) == 0
    destination.load(open_store(folder))
    assert_same(destination, open_store(folder))


def test_rows_that_the_store_has_lost_stay(folder, put_store):
    destination = Destination()
    put_store("whole")
    destination.load(open_store(folder))
    before = destination.rows("metrics")
    shutil.rmtree(folder)
    harvest(folder, since=24)
    destination.load(open_store(folder))
    assert destination.rows("metrics") == before


def put_points(store, unit, rows):
    """Write a unit of `points`; each row is the call, the metric and the value."""
    calls, metrics, values = zip(*rows, strict=True)
    table = pa.table(
        {
            "vendor": ["opentok"] * len(rows), "call_id": pa.array(calls, pa.string()), "metric": metrics,
            "unit": [""] * len(rows), "ts": pa.array([0] * len(rows), pa.timestamp("ms", "UTC")),
            "value": values, "source_metric": metrics,
        }
    )  # fmt: skip
    store.writer.put("points", unit, table, app_id="p", day=DAYS[0], pending=False)


def test_points_are_replaced_by_call_or_metric(folder):
    destination, store = Destination(), open_store(folder, create=True, durable=False)
    put_points(store, "meeting", [("m1", "jitter", 1.0), ("m1", "loss", 2.0)])
    put_points(store, "day", [(None, "minutes", 3.0), (None, "errors", None)])
    assert destination.load(store) == {"points": 3}
    put_points(store, "meeting 2", [("m2", "jitter", 4.0)])
    put_points(store, "day", [(None, "minutes", 5.0), (None, "errors", None)])
    assert destination.load(store) == {"points": 2}
    assert store.writer.compact(closed_before=DAYS[1]).compacted
    assert destination.load(store) == {}
    values = sorted(
        str(row[loaded_schema("points").names.index("value")]) for row in destination.rows("points")
    )
    assert values == ["1.0", "2.0", "4.0", "5.0", "None"]


def test_rows_are_read_in_batches(folder):
    store = open_store(folder, create=True, durable=False)
    put_points(store, "day", [(f"m{number % 100}", "jitter", float(number)) for number in range(60_001)])
    batches = [batch.num_rows for batch in new_rows(store, "points", {})]
    assert sum(batches) == 60_001
    assert max(batches) <= 20_000


def test_app_ids_and_folders_with_unusual_characters_are_found(tmp_path):
    folder = tmp_path / "it's [a] store"
    store = open_store(folder, create=True, durable=False)
    row = pa.table({"call_id": ["c'1"], "created_ts": [0]})
    app = "app/%[x]'"
    store.writer.put("calls", "c'1", row, app_id=app, day=DAYS[0], pending=False)
    (rows,) = new_rows(store, "calls", {})
    assert rows.select(["app_id", "call_id"]).to_pylist() == [{"app_id": app, "call_id": "c'1"}]


def test_compaction_waits_for_the_rows_of_a_day(folder, put_store):
    """It reports that the app is in use, so that the files that are read are not removed."""
    put_store("begun")
    rows = new_rows(open_store(folder), "metrics", {})
    next(rows)
    assert not open_store(folder).writer.compact(closed_before=DAYS[1]).compacted
    rows.close()
    assert open_store(folder).writer.compact(closed_before=DAYS[1]).compacted
