"""A store with files that a power failure damaged or lost: the next harvest finds them and fetches their rows again."""

import shutil
from pathlib import Path

import pytest
from attrs import evolve

from agora_analytics.agora.plans import ENTERPRISE
from agora_analytics.errors import StoreError
from agora_analytics.simulator import World
from agora_analytics.simulator.ground_truth.series import SampleTiming
from agora_analytics.store import open_store
from tests.harvest.harness import SINCE, UNTIL, contents, make_call, make_harness

HOUR = 3600
NOW = UNTIL + 8 * HOUR


def empty(path: Path) -> None:
    path.write_bytes(b"")


def half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def zeros(path: Path) -> None:
    """The length was written, the content was not."""
    path.write_bytes(bytes(path.stat().st_size))


def flip_end(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-8] + bytes(255 - byte for byte in content[-8:]))


def missing(path: Path) -> None:
    path.unlink()


DAMAGES = (empty, half, zeros, flip_end, missing)

WORLD = World(
    [
        make_call("yesterday-1", SINCE + HOUR, SINCE + 2 * HOUR, users=2),
        make_call("yesterday-2", SINCE + 3 * HOUR, SINCE + 4 * HOUR, users=1),
        make_call("today-1", UNTIL + HOUR, UNTIL + 2 * HOUR, users=21),
        make_call("today-2", UNTIL + 2 * HOUR, UNTIL + 3 * HOUR, users=1),
        make_call("ongoing", NOW - 4 * HOUR, NOW + 9 * HOUR, users=61, stay=13 * HOUR),
        make_call("interrupted", NOW - 2 * HOUR, NOW - HOUR, users=61),
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


def kinds(store: Path) -> dict[str, list[Path]]:
    """Return the files of a store, relative to it, by kind."""
    by_kind: dict[str, list[Path]] = {}
    for path in sorted(store.rglob("*.*")):
        if path.is_file() and "_replaced" not in path.parts:
            relative = path.relative_to(store)
            folder = "/".join(part for part in relative.parts[:-1] if "=" not in part)
            kind = f"{folder} compacted" if path.name.startswith("compacted") else folder or path.name
            by_kind.setdefault(kind, []).append(relative)
    return by_kind


KINDS = (
    "_store.json", "calls", "sessions", "metrics", "calls compacted", "sessions compacted", "metrics compacted",
    "_pending/calls", "_pending/sessions", "_pending/metrics", "_listing",
)  # fmt: skip


def test_store_of_these_tests_has_every_kind_of_file(damaged_later):
    assert set(kinds(damaged_later)) == set(KINDS)


# a file that is missing shows only where another file names it
NOT_SEEN = {"calls", "_pending/sessions", "_pending/metrics", "_listing", "_store.json"}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_file_is_named_and_its_rows_are_fetched_again(
    damaged_later, expected, tmp_path, kind, damage
):
    check(damaged_later, expected, tmp_path, kinds(damaged_later)[kind][:1], kind, damage)


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_each_file_may_be_damaged(damaged_later, expected, tmp_path, kind, damage):
    check(damaged_later, expected, tmp_path, kinds(damaged_later)[kind][1:], kind, damage)


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
                open_store(store).sql(f"select * from {table}")

        report, rows = resumed(store)
        assert rows == expected, file
        if kind != "_store.json" and not (damage is missing and kind in NOT_SEEN):
            assert any(file.match(found.path) for found in report.damaged)
        assert report.complete

        again, rows = resumed(store)
        assert rows == expected, file
        assert (again.damaged, again.calls - again.ongoing) == ((), 0)
        assert not list((store / "_damaged").rglob("*.parquet"))
