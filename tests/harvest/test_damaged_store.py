"""A store with files that a power failure damaged or lost: the next harvest finds them and fetches their rows again."""

import shutil
from pathlib import Path

import pytest
from attrs import evolve

from agora_analytics.agora.plans import ENTERPRISE
from agora_analytics.errors import StoreError
from agora_analytics.harvest import harvest
from agora_analytics.simulator import DEMO_APP_ID, World
from agora_analytics.simulator.ground_truth.series import SampleTiming
from agora_analytics.store import open_store, query
from agora_analytics.store.layout import Layout
from tests.conftest import slow
from tests.harvest.damage import (
    DAMAGES,
    damageable_files,
    drop_time_type,
    empty,
    flip_page,
    flip_table_name,
    missing,
)
from tests.harvest.harness import SINCE, UNTIL, contents, make_call, make_harness, truth

HOUR = 3600
NOW = UNTIL + 8 * HOUR


WORLD = World(
    [
        make_call("yesterday-1", SINCE + HOUR, SINCE + 2 * HOUR, users=2),
        make_call("yesterday-2", SINCE + 3 * HOUR, SINCE + 4 * HOUR, users=1),
        make_call("today-1", UNTIL + HOUR, UNTIL + 2 * HOUR, users=21),
        make_call("today-2", UNTIL + 2 * HOUR, UNTIL + 3 * HOUR, users=1),
        make_call("ongoing", NOW - 4 * HOUR, NOW + 9 * HOUR, users=61, stay=13 * HOUR),
        make_call("interrupted", NOW - 2 * HOUR, NOW - HOUR, users=101),
    ],
    timing=SampleTiming(interval=300, gap_share=0, null_share=0, max_series=2),
)


def harvested(store: Path) -> None:
    """Fill a store: a compacted day, a day with units, a snapshot, pending units of two runs without quota."""
    make_harness(WORLD, store, now=NOW).harvest(since=SINCE, until=NOW - 3 * HOUR)
    few = evolve(ENTERPRISE.limits["call/metrics"], per_day=2)
    plan = evolve(ENTERPRISE, limits={**ENTERPRISE.limits, "call/metrics": few})
    for now in (NOW + 60, NOW + HOUR):  # the snapshot of the ongoing call is too recent for the first of them
        assert make_harness(WORLD, store, now=now, plan=plan).harvest(since=SINCE, until=now).left


@pytest.fixture(scope="module")
def damaged_later(tmp_path_factory) -> Path:
    store = tmp_path_factory.mktemp("harvested") / "store"
    harvested(store)
    return store


@pytest.fixture(scope="module")
def expected(damaged_later, tmp_path_factory) -> dict:
    copy = tmp_path_factory.mktemp("whole") / "store"
    shutil.copytree(damaged_later, copy)
    return resumed(copy)[1]


def resumed(store: Path):
    report = make_harness(WORLD, store, now=NOW + HOUR).harvest(since=SINCE, until=NOW + HOUR)
    return report, contents(open_store(store))


KINDS = (
    "_store.json", "calls", "sessions", "metrics", "calls compacted", "sessions compacted", "metrics compacted",
    "_pending/calls", "_pending/sessions", "_pending/metrics", "_listing",
)  # fmt: skip


def test_store_of_these_tests_has_every_kind_of_file(damaged_later):
    assert set(damageable_files(damaged_later)) == set(KINDS)


# a file that is missing shows only where another file names it
NOT_SEEN = {"calls", "_pending/calls", "_pending/sessions", "_pending/metrics", "_listing", "_store.json"}


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ((kind, damage) if number % len(DAMAGES) == index else slow(kind, damage))
        for number, kind in enumerate(KINDS)
        for index, damage in enumerate(DAMAGES)
    ],
)
def test_damaged_file_is_named_and_its_rows_are_fetched_again(
    damaged_later, expected, tmp_path, kind, damage
):
    check(damaged_later, expected, tmp_path, damageable_files(damaged_later)[kind][:1], kind, damage)


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_each_file_may_be_damaged(damaged_later, expected, tmp_path, kind, damage):
    check(damaged_later, expected, tmp_path, damageable_files(damaged_later)[kind][1:], kind, damage)


def check(whole: Path, expected: dict, folder: Path, files: list[Path], kind: str, damage) -> None:
    for number, file in enumerate(files):
        store = folder / str(number)
        shutil.copytree(whole, store)
        damage(store / file)

        if damage is not missing and not kind.startswith(("_pending", "_listing")):
            table = "calls" if kind == "_store.json" else kind.split(maxsplit=1)[0]
            with pytest.raises(StoreError, match=file.name):
                open_store(store).table(table)
            with pytest.raises(StoreError, match=file.name):
                query.fetch(Layout(open_store(store).path), f"from {table}", lambda rows: rows.fetchall())

        report, rows = resumed(store)
        assert rows == expected, file
        if kind != "_store.json" and not (damage is missing and kind in NOT_SEEN):
            assert any(file.match(found.path) for found in report.damaged)
        assert report.complete

        again, rows = resumed(store)
        assert rows == expected, file
        assert (again.damaged, again.calls - again.ongoing) == ((), 0)
        assert not list((store / "_damaged").rglob("*.parquet"))


def test_damage_found_by_the_compaction_is_reported_and_fetched_again(damaged_later, tmp_path):
    """The footer of the file is intact, so that only reading its pages shows the damage."""
    store = tmp_path / "store"
    shutil.copytree(damaged_later, store)
    file = next(store.glob("metrics/*/*/today-1.*.parquet"))
    flip_page(file)

    tomorrow = make_harness(WORLD, store, now=UNTIL + 26 * HOUR)
    first = tomorrow.harvest(since=SINCE, until=UNTIL + 26 * HOUR)
    assert [Path(found.path).name for found in first.damaged] == [file.name]
    assert not first.complete
    second = tomorrow.harvest(since=UNTIL + 20 * HOUR, until=UNTIL + 26 * HOUR)
    assert (second.calls, second.complete) == (1, True)
    assert contents(tomorrow.tables) == truth(WORLD, UNTIL + 26 * HOUR)


@pytest.mark.parametrize("kind", ["calls", "_pending/sessions", "_listing"])
def test_damaged_page_of_a_small_file_does_not_stop_a_harvest(damaged_later, expected, tmp_path, kind):
    store = tmp_path / "store"
    shutil.copytree(damaged_later, store)
    file = damageable_files(store)[kind][0]
    flip_page(store / file)
    report, rows = resumed(store)
    assert rows == expected
    assert file.as_posix() in [found.path for found in report.damaged]


@pytest.mark.parametrize(("kind", "damage"), [("calls", flip_table_name), ("metrics", drop_time_type)])
def test_flipped_byte_in_a_footer_is_found(damaged_later, expected, tmp_path, kind, damage):
    store = tmp_path / "store"
    shutil.copytree(damaged_later, store)
    file = damageable_files(store)[kind][0]
    damage(store / file)
    report, rows = resumed(store)
    assert [found.path for found in report.damaged] == [file.as_posix()]
    assert (rows, report.complete) == (expected, True)


def test_verify_reads_every_page(damaged_later, expected, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(damaged_later, store)
    flip_page(store / damageable_files(store)["metrics compacted"][0])
    harness = make_harness(WORLD, store, now=NOW + HOUR)

    async def job(client):
        return await harvest(client, since=NOW - 3 * HOUR, store=store, verify=True)

    report = harness.run(job)
    assert [Path(file.path).name[:9] for file in report.damaged] == ["compacted"]
    assert contents(harness.tables) == expected


def test_data_beyond_the_reach_keeps_its_intact_rows(damaged_later, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(damaged_later, store)
    damaged = damageable_files(store)["metrics"][-1]
    empty(store / damaged)
    later = make_harness(WORLD, store, now=NOW + 30 * 24 * HOUR)
    calls = open_store(store).writer.calls(DEMO_APP_ID).num_rows
    report = later.harvest(since=NOW + 29 * 24 * HOUR, until=NOW + 30 * 24 * HOUR)
    assert [file.path for file in report.damaged] == [damaged.as_posix()]
    assert later.tables.writer.calls(DEMO_APP_ID).num_rows == calls
    assert (store / "_damaged" / damaged).exists()
    assert later.harvest(since=NOW + 29 * 24 * HOUR, until=NOW + 30 * 24 * HOUR).damaged == ()
    assert (store / "_damaged" / damaged).exists()


def test_unfinished_call_beyond_the_reach_does_not_stop_the_compaction_of_its_day(damaged_later, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(damaged_later, store)
    later = make_harness(WORLD, store, now=NOW + 30 * 24 * HOUR)
    rows = contents(later.tables)
    later.harvest(since=NOW + 29 * 24 * HOUR, until=NOW + 30 * 24 * HOUR)
    assert contents(later.tables) == rows
    for table in ("calls", "sessions", "metrics"):
        assert all(path.name.startswith("compacted~") for path in later.tables.files(table))


@pytest.mark.parametrize(
    "kind", ["metrics", *map(slow, ("calls", "sessions", "calls compacted", "metrics compacted"))]
)
def test_repair_that_is_killed_at_any_step_is_continued(damaged_later, expected, tmp_path, monkeypatch, kind):
    """The process ends before its n-th rename; the next harvest repairs the rest."""
    original = Path.replace
    steps = 0
    while True:
        store = tmp_path / str(steps)
        shutil.copytree(damaged_later, store)
        empty(store / damageable_files(store)[kind][0])
        left = [steps]

        def replace(self, target, left=left):
            if not left[0]:
                raise _KilledError
            left[0] -= 1
            return original(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", replace)
            try:
                open_store(store).writer.repair(DEMO_APP_ID, refetch_from=0)
                break
            except _KilledError:
                steps += 1
        assert resumed(store)[1] == expected
    assert steps >= 1


class _KilledError(BaseException):
    pass
