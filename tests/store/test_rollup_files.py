"""The files of the roll-ups: when they are used, ignored, replaced and written again."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from agora_analytics.store import open_store
from agora_analytics.store.layout import Layout
from agora_analytics.store.rollups import files
from agora_analytics.store.rollups.files import rollup_days
from tests.conftest import slow

from .rollup_samples import assert_equal_to_scan, points, rows_of, store_rich_call, valid_rollups
from .sample_calls import APP, DAY, PARTITION, store_call
from .subprocesses import start

NEXT = "2026-11-21"


@pytest.fixture
def compacted(store):
    """A compacted day of calls and one of points."""
    for number in range(3):
        store_rich_call(store, f"c{number}", app_id=APP, day=DAY, seed=number)
    store.writer.put("points", "m", points(), app_id="46", day=DAY, pending=False)
    store.writer.compact(closed_before=NEXT)
    return store


def rollup_files(store) -> list[Path]:
    return sorted((store.path / "_rollups").rglob("*.parquet"))


def test_compaction_writes_the_rollups_of_its_day(compacted):
    assert [path.relative_to(compacted.path).parts[1:4] for path in rollup_files(compacted)] == [
        (name, f"app_id={app}", f"day={DAY}")
        for name, app in (
            ("metrics_histogram", APP), ("metrics_hours", APP), ("metrics_scores", APP),
            ("points_histogram", "46"), ("points_hours", "46"), ("points_scores", "46"),
        )
    ]  # fmt: skip
    assert valid_rollups(compacted) == 6
    assert list((compacted.path / "_staging").glob("*/*")) == []
    report = compacted.writer.build_rollups()
    assert (report.built, report.valid, report.skipped) == ((), 6, ())


def test_rollup_is_as_readable_as_the_data(compacted):
    modes = {path.stat().st_mode for path in (*rollup_files(compacted), *compacted.files("metrics"))}
    assert len(modes) == 1


def test_replaced_rollup_is_removed(compacted):
    before = rollup_files(compacted)
    store_rich_call(compacted, "late", app_id=APP, day=DAY, seed=7)
    compacted.writer.compact(closed_before=NEXT)
    assert len(rollup_files(compacted)) == len(before)
    assert len(set(rollup_files(compacted)) & set(before)) == 3  # those of the points
    assert_equal_to_scan(compacted)


def damage_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 20)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def replace_by_another_day(path: Path) -> None:
    shutil.copy(path, path.with_name(f"0123456789abcdef~{path.name.rpartition('~')[2]}"))
    path.unlink()


def lose_its_checksum(path: Path) -> None:
    path.rename(path.with_name(f"{path.name.partition('~')[0]}~x.parquet"))


@pytest.mark.parametrize(
    "damage", [damage_a_byte, truncate, empty, Path.unlink, replace_by_another_day, lose_its_checksum]
)
def test_damaged_rollup_is_not_used_and_written_again(compacted, damage):
    before = rows_of(compacted), rows_of(compacted, "quality_histogram")
    names = rollup_files(compacted)
    for path in names:
        damage(path)
    assert valid_rollups(compacted) == 0
    assert (rows_of(compacted), rows_of(compacted, "quality_histogram")) == before
    assert len(compacted.writer.build_rollups().built) == 6
    assert rollup_files(compacted) == names
    assert valid_rollups(compacted) == 6


def test_rollup_of_another_definition_is_not_used_and_replaced(compacted, monkeypatch):
    """Such as one that another version of the library wrote, or one with other thresholds."""
    before = rollup_files(compacted)
    with monkeypatch.context() as patch:
        patch.setattr(files, "_definition", lambda rollup: f"older {rollup.name}")
        compacted.writer.build_rollups()
        older = rollup_files(compacted)
        assert not set(older) & set(before)
    assert valid_rollups(compacted) == 0
    assert_equal_to_scan(compacted)
    compacted.writer.build_rollups()
    assert rollup_files(compacted) == before


def test_rollup_that_cannot_be_written_does_not_fail_the_compaction(store, monkeypatch, caplog):
    store_call(store, "c1")
    (store.path / "_rollups").write_text("a file where a folder is needed")
    report = store.writer.compact(closed_before=NEXT)
    assert len(report.compacted) == 1
    assert "did not write the roll-up metrics_hours" in caplog.text
    assert store.sql("select sum(samples)::int from quality_hours").fetchall() == [(80,)]
    skipped = store.writer.build_rollups().skipped
    assert {rollup.name for rollup in skipped} == {"metrics_hours", "metrics_histogram", "metrics_scores"}


def test_days_that_are_not_compacted_have_no_rollup(store):
    store_call(store, "c1")
    report = store.writer.build_rollups()
    assert {rollup.reason for rollup in report.skipped} == {"the day is not compacted"}
    assert rollup_files(store) == []


def test_rebuild_writes_valid_rollups_too(compacted):
    before = {path: path.stat().st_ino for path in rollup_files(compacted)}
    report = compacted.writer.build_rollups(app_id=APP, rebuild=True)
    assert [built.name for built in report.built] == ["metrics_hours", "metrics_histogram", "metrics_scores"]
    assert {path: path.stat().st_ino for path in rollup_files(compacted)}.keys() == before.keys()
    assert_equal_to_scan(compacted)


def test_repair_ignores_rollups(compacted):
    """A damaged roll-up needs no harvest; a damaged data file makes its roll-up invalid."""
    for path in rollup_files(compacted):
        empty(path)
    repaired = compacted.writer.repair(APP, refetch_from=0, verify=True)
    assert repaired.files == ()
    compacted.writer.build_rollups()
    truncate(compacted.files("metrics")[0])
    assert [file.path.split("/")[0] for file in compacted.writer.repair(APP, refetch_from=0).files] == [
        "metrics"
    ]
    assert not (compacted.path / "_damaged/_rollups").exists()
    assert valid_rollups(compacted) == 3  # of the points
    assert {row[0] for row in rows_of(compacted)} == {"opentok"}


def test_relation_after_a_compaction_has_the_rows_of_that_time_or_fails(compacted):
    text = "select sum(samples) from quality_hours where source_metric = '20022'"
    relation = compacted.sql(text)
    before = relation.fetchall()
    store_rich_call(compacted, "late", app_id=APP, day=DAY, seed=7)
    assert relation.fetchall() == before
    compacted.writer.compact(closed_before=NEXT)
    with pytest.raises(Exception, match=r"No such file|No files found"):
        relation.fetchall()
    assert compacted.sql(text).fetchall() > before


# In the sequence of `writer_process.py`: the probe and three exchanges, then the three roll-ups.
@pytest.mark.parametrize(("moment", "valid"), [(8, 0), slow(7, 0), slow(9, 1), slow(11, 2), slow(13, 3)])
def test_killed_compaction_leaves_missing_or_valid_rollups(tmp_path, moment, valid):
    store = open_store(tmp_path / "store", create=True, durable=False)
    for number in range(3):
        store_rich_call(store, f"c{number}", app_id=APP, day=DAY, seed=number)
    before = rows_of(store), rows_of(store, "quality_histogram")
    with start("writer_process.py", store.path, "compact", NEXT, moment) as process:
        process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert store.files("metrics")[0].name.startswith("compacted~")
    assert valid_rollups(store) == valid
    assert (rows_of(store), rows_of(store, "quality_histogram")) == before
    store.writer.repair(APP, refetch_from=0)
    store.writer.build_rollups()
    assert valid_rollups(store) == 3
    assert (rows_of(store), rows_of(store, "quality_histogram")) == before
    store_rich_call(store, "late", app_id=APP, day=DAY, seed=9)
    store.writer.compact(closed_before=NEXT)
    assert not (store.path / "_staging" / f"app_id={APP}").exists()


def test_rollup_of_some_apps_is_found_by_its_app(compacted):
    store_rich_call(compacted, "c1", app_id="an other/app", day=DAY)
    compacted.writer.compact(closed_before=NEXT)
    apps = {
        day.app_id for day in rollup_days(Layout(compacted.path), files.METRICS_HOURS) if day.valid_file()
    }
    assert apps == {APP, "an other/app"}
    assert_equal_to_scan(compacted)
    found = compacted.sql("select distinct app_id from quality_hours where call_id = 'c1'").fetchall()
    assert sorted(found) == [(APP,), ("an other/app",)]


def test_samples_written_during_a_build_are_not_part_of_it(compacted, monkeypatch):
    write = files._write

    def add_a_call_first(path, rows, rollup):
        store_call(compacted, f"late{len(compacted.files('calls'))}", **PARTITION)
        write(path, rows, rollup)

    monkeypatch.setattr(files, "_write", add_a_call_first)
    compacted.writer.build_rollups(app_id=APP, rebuild=True)
    assert_equal_to_scan(compacted)
    for late in compacted.files("calls") + compacted.files("sessions") + compacted.files("metrics"):
        if not late.name.startswith("compacted~"):
            late.unlink()
    assert valid_rollups(compacted) == 6
    assert_equal_to_scan(compacted)
