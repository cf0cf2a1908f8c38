"""The ledger: what was spent of the day, and when the next request may leave. Both kinds keep the same promises."""

import asyncio
import gc
import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.operations import LISTS
from agora_analytics.engine import ledger_file
from agora_analytics.engine.ledger import Budget, MemoryLedger, TooEarly
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.errors import ConfigurationError
from agora_analytics.instants import utc_day
from tests.conftest import NOW, a_pace

A, B = Budget("account", "call/lists"), Budget("account", "call/sessions")
TODAY = utc_day(NOW)


@pytest.fixture(params=["memory", "sqlite"])
async def ledger(request, tmp_path):
    ledger = MemoryLedger() if request.param == "memory" else SqliteLedger(tmp_path / "ledger.db")
    ledger.ahead = 1.0
    yield ledger
    await ledger.aclose()


async def reserve(ledger, budget=A, *, now=NOW, server_now=None, gap=0.1, per_day=100):
    return await ledger.reserve(
        budget,
        now=now,
        server_now=now if server_now is None else server_now,
        pace=a_pace(gap),
        per_day=per_day,
    )


async def test_slots_are_a_gap_apart(ledger):
    grants = [await reserve(ledger) for _ in range(5)]
    assert [grant.slot for grant in grants] == pytest.approx([NOW + 0.1 * i for i in range(5)])


async def test_slot_is_in_the_past_only_after_a_late_timer(ledger):
    await reserve(ledger)
    assert (await reserve(ledger, now=NOW + 50)).slot == pytest.approx(NOW + 50, abs=0.0021)


async def test_request_is_charged_to_the_day_of_the_server(ledger):
    midnight = 1_795_132_800.0
    after = await reserve(ledger, now=midnight - 3, server_now=midnight)
    before = await reserve(ledger, now=midnight + 3, server_now=midnight - 1)
    assert [before.day, after.day] == ["2026-11-19", "2026-11-20"]
    assert await ledger.spent(A, "2026-11-19") == (1, False)


async def test_daily_quota_is_enforced_and_resets_the_next_day(ledger):
    grants = [await reserve(ledger, per_day=3) for _ in range(5)]
    assert [grant is not None for grant in grants] == [True, True, True, False, False]
    assert await ledger.spent(A, TODAY) == (3, False)
    assert await reserve(ledger, now=NOW + 86_400, per_day=3)


async def test_released_request_can_be_spent_again(ledger):
    grant = await reserve(ledger, per_day=1)
    assert await reserve(ledger, per_day=1) is None
    await ledger.release(A, grant)
    assert await ledger.spent(A, TODAY) == (0, False)
    assert await reserve(ledger, per_day=1)


async def test_released_slot_is_reused_unless_a_later_one_was_reserved(ledger):
    first, second = [await reserve(ledger, gap=0.2) for _ in range(2)]
    await ledger.release(A, first)  # a gap, because the second slot is later
    assert (await reserve(ledger, gap=0.2)).slot == pytest.approx(NOW + 0.4)
    third = await reserve(ledger, gap=0.2)
    await ledger.release(A, third)
    assert (await reserve(ledger, gap=0.2)).slot == third.slot > second.slot


async def test_hold_remains_after_a_slot_is_released(ledger):
    grant = await reserve(ledger)
    await ledger.hold(A, NOW + 30)
    await ledger.release(A, grant)
    assert await reserve(ledger) == TooEarly(NOW + 30)


async def test_short_hold_remains_after_a_slot_is_released(ledger):
    grant = await reserve(ledger, gap=20.0)
    await ledger.hold(A, NOW + 5)
    await ledger.release(A, grant)
    assert (await reserve(ledger, gap=20.0)).slot >= NOW + 5


async def test_budgets_are_independent(ledger):
    await reserve(ledger, A, per_day=1)
    await ledger.close_day(A, TODAY)
    await ledger.hold(A, NOW + 30)
    assert (await reserve(ledger, B, per_day=1)).slot == NOW
    assert await ledger.spent(Budget("another account", "call/lists"), TODAY) == (0, False)


async def test_closed_day_refuses_reservations(ledger):
    await ledger.close_day(A, TODAY)
    assert await reserve(ledger) is None
    assert await ledger.spent(A, TODAY) == (0, True)
    assert await reserve(ledger, now=NOW + 86_400)


async def test_hold_delays_every_request_and_a_shorter_hold_changes_nothing(ledger):
    await ledger.hold(A, NOW + 30)
    await ledger.hold(A, NOW + 10)
    assert (await reserve(ledger)).slot == pytest.approx(NOW + 30, rel=0, abs=1e-5)
    late = [(await reserve(ledger, now=NOW + 29.5)).slot for _ in range(2)]
    assert late == pytest.approx([NOW + 30, NOW + 30.1])


async def test_slot_far_in_the_future_is_not_reserved_or_charged(ledger):
    assert (await reserve(ledger, gap=60.0)).slot == pytest.approx(NOW, abs=0.0021)
    for _ in range(5):
        early = await reserve(ledger, gap=60.0)
        assert early == TooEarly(pytest.approx(NOW + 60, abs=0.0021))
    assert await ledger.spent(A, TODAY) == (1, False)
    assert (await reserve(ledger, now=early.slot - 0.5, gap=60.0)).slot == pytest.approx(NOW + 60, abs=0.0021)


async def test_exhausted_quota_is_reported_without_waiting(ledger):
    await reserve(ledger, gap=60.0, per_day=1)
    assert await reserve(ledger, gap=60.0, per_day=1) is None


async def test_clock_set_back_does_not_delay_requests(ledger):
    await reserve(ledger)
    assert (await reserve(ledger, now=NOW - 3600)).slot == pytest.approx(NOW - 3600 + 0.1)


async def test_hold_keeps_its_length_when_the_clock_is_set_back(ledger):
    await reserve(ledger)
    await ledger.hold(A, NOW + 50)
    back = NOW - 3600
    assert await reserve(ledger, now=back) == TooEarly(back + 50)
    assert await reserve(ledger, now=back + 20) == TooEarly(back + 50)
    assert (await reserve(ledger, now=back + 49.5)).slot == pytest.approx(back + 50)


async def test_outdated_clock_reading_changes_nothing(ledger):
    await reserve(ledger, now=NOW + 9, gap=0.5)
    assert await reserve(ledger, now=NOW, gap=0.5) == TooEarly(NOW + 9.5)


async def test_an_unknown_day_is_unspent(ledger):
    assert await ledger.spent(A, "2031-01-01") == (0, False)


async def test_concurrent_reservations_get_different_slots(ledger):
    grants = await asyncio.gather(*(reserve(ledger, gap=0.03, per_day=30) for _ in range(40)))
    slots = sorted(grant.slot for grant in grants if grant)
    assert len(slots) == 30
    assert all(later - earlier > 0.0299 for earlier, later in pairwise(slots))


async def test_ledger_file_is_persistent(tmp_path):
    path = tmp_path / "new folder" / "ledger.db"
    first = SqliteLedger(path)
    await reserve(first)
    await first.close_day(B, TODAY)
    await first.aclose()
    second = SqliteLedger(str(path))
    assert [await second.spent(A, TODAY), await second.spent(B, TODAY)] == [(1, False), (0, True)]
    assert (await reserve(second)).slot == pytest.approx(NOW + 0.1)
    await second.aclose()
    assert await second.spent(A, TODAY) == (2, False)  # opened again when it is needed
    await second.aclose()


def test_corrupt_ledger_closes_its_file(tmp_path):
    """An owner that forgets to close leaves no descriptor open and no ResourceWarning (Python 3.13 and later)."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    file = ledger._file
    ledger._run(lambda db: db)
    assert file._opened is not None
    cycle = [ledger]
    cycle.append(cycle)
    del ledger, cycle
    gc.collect()
    assert file._opened is None
    assert file not in ledger_file._files


def not_a_database(path: Path) -> Path:
    path.write_bytes(b"The shopping list: bread, milk, cheese. " * 40)
    return path


def a_folder(path: Path) -> Path:
    path.mkdir()
    return path


def below_a_file(path: Path) -> Path:
    path.write_text("a file")
    return path / "ledger.db"


@pytest.mark.parametrize("make", [not_a_database, a_folder, below_a_file])
def test_file_that_is_not_a_ledger_is_refused_and_not_changed(make, tmp_path):
    path = make(tmp_path / "x")
    before = sorted((p, p.is_file() and p.read_bytes()) for p in tmp_path.rglob("*"))
    with pytest.raises(ConfigurationError, match=r"ledger file .* cannot be used.*AGORA_LEDGER"):
        asyncio.run(SqliteLedger(path).spent(A, TODAY))
    assert sorted((p, p.is_file() and p.read_bytes()) for p in tmp_path.rglob("*")) == before


def test_ledger_file_does_not_contain_the_customer_id(tmp_path):
    path = tmp_path / "ledger.db"

    async def spend():
        ledger = SqliteLedger(path)
        async with AsyncAgora("customer-7", "s3cr3t", app_id="app-9", ledger=ledger) as client:
            await client._engine._limiter(LISTS).acquire()
        await ledger.aclose()

    asyncio.run(spend())
    held = path.read_bytes()
    assert b"call/lists" in held
    assert not any(word in held for word in (b"customer-7", b"s3cr3t", b"app-9"))


def test_processes_share_rate_and_daily_quota_in_one_file(tmp_path):
    script, path = Path(__file__).with_name("ledger_process.py"), tmp_path / "ledger.db"
    running = [
        subprocess.Popen(
            [sys.executable, str(script), str(path), "40", "100"], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = [line for process in running for line in process.communicate(timeout=60)[0].split()]
    assert [process.returncode for process in running] == [0, 0, 0]
    slots = sorted(float(line) for line in said if line != "None")
    assert (len(said), len(slots)) == (120, 100)
    late = 0.05  # a process that was late may catch up
    assert all(slots[i + 20] - slots[i] > 20 * 0.005 - late - 1e-6 for i in range(80))


FORKING = """
import asyncio, os, sqlite3, sys, threading
from agora_analytics.engine.ledger import Budget
from agora_analytics.engine.pace import Pace
from agora_analytics.engine.sqlite_ledger import SqliteLedger

path = sys.argv[1]
ledger, budget = SqliteLedger(path), Budget("a", "g")
def reserve(ledger=ledger):
    return asyncio.run(ledger.reserve(budget, now=1e9, server_now=1e9, pace=Pace(requests=9999, period=1.0, gap=0.01), per_day=1000)).slot
def spent():
    new = SqliteLedger(path)
    count, _ = asyncio.run(new.spent(budget, "2001-09-09"))
    new.close()
    return count
def forked(work):
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(3)
    os._exit(0)
def ended(child):
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == 0, code
"""
GARBAGE = """
import gc
reserve()
kept = [ledger]
kept.append(kept)
del ledger
reserve.__defaults__ = (None,)
del kept
def work():
    assert gc.collect()
    assert spent() == 1
ended(forked(work))
gc.collect()
assert spent() == 1
"""
ONE_QUEUE = """
reserve()
def work():
    assert reserve() == 1e9 + 0.01
ended(forked(work))
assert reserve() == 1e9 + 0.02, "the child's slot is taken"
"""
PARENT_CLOSES = """
reserve()
ready, go = os.pipe(), os.pipe()
def work():
    for _ in range(10):
        reserve()
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    for _ in range(10):
        reserve()
child = forked(work)
os.read(ready[0], 1)
ledger.close()
assert spent() == 11
os.write(go[1], b"x")
ended(child)
assert spent() == 21, spent()
"""
THREADS = """
assert spent() == 0  # and what is imported at the first use is there: a fork in the midst of an import is not survived
stop = threading.Event()
def use():
    while not stop.is_set():
        asyncio.run(ledger.spent(budget, "2001-09-09"))
threads = [threading.Thread(target=use) for _ in range(2)]
[thread.start() for thread in threads]
def work():
    ledger.close()
    reserve()
    ledger.close()
children = [forked(work) for _ in range(20)]
try:
    [ended(child) for child in children]
finally:
    stop.set()
    [thread.join() for thread in threads]
assert spent() == 20
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    "story", [ONE_QUEUE, PARENT_CLOSES, THREADS, GARBAGE], ids=["queue", "close", "threads", "garbage"]
)
def test_ledger_survives_a_fork(story, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            FORKING + story,
            str(tmp_path / "ledger.db"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_threads_share_a_ledger_in_memory():
    def spend():
        async def work():
            for _ in range(5000):
                await ledger.reserve(A, now=NOW, server_now=NOW, pace=a_pace(0.0), per_day=10**6)

        asyncio.run(work())

    ledger, usual = MemoryLedger(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            for spending in [pool.submit(spend) for _ in range(4)]:
                spending.result()
    finally:
        sys.setswitchinterval(usual)
    assert asyncio.run(ledger.spent(A, TODAY)) == (20_000, False)


@pytest.mark.parametrize("mark", [0, 7])
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_database_of_another_program_is_refused_and_not_changed(journal, mark, tmp_path):
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode = {journal}")
        db.execute(f"PRAGMA application_id = {mark}")
        db.execute("CREATE TABLE day (users)")
        db.commit()
    before = path.read_bytes()
    with pytest.raises(
        ConfigurationError, match=r"app\.db cannot be used: it is a database of another program"
    ):
        asyncio.run(SqliteLedger(path).spent(A, TODAY))
    assert path.read_bytes() == before


def test_concurrent_creation_of_a_ledger_file_succeeds(tmp_path):
    def open_together(path):
        ready.wait()
        ledger = SqliteLedger(path)
        ledger._run(lambda db: db)
        ledger.close()

    makers = 8
    ready = threading.Barrier(makers)
    with ThreadPoolExecutor(makers) as pool:
        for number in range(25):
            list(pool.map(open_together, [tmp_path / f"{number}.sqlite3"] * makers))
