"""The file of a shared ledger: it is never waited for in the event loop, and it may be old, copied, deleted or forked."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from agora_analytics.engine import sqlite_ledger
from agora_analytics.engine.ledger import Budget, TooEarly
from agora_analytics.engine.ledger_file import LedgerFile
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.errors import ConfigurationError
from agora_analytics.instants import utc_day
from tests.conftest import NOW, a_pace

A = Budget("account", "call/lists")
TODAY = utc_day(NOW)


async def reserve(ledger, now, server_now=NOW, gap=0.1):
    return await ledger.reserve(A, now=now, server_now=server_now, pace=a_pace(gap), per_day=100)


# ---- the event loop


async def test_ledger_uses_its_file_in_threads_only(tmp_path, monkeypatch):
    threads = []

    def noting(name):
        method = getattr(LedgerFile, name)

        def noted(self, *args):
            threads.append(threading.current_thread())
            return method(self, *args)

        monkeypatch.setattr(LedgerFile, name, noted)

    for name in ("_open", "transact", "close", "hold_closed"):
        noting(name)
    ledger = SqliteLedger(tmp_path / "new" / "ledger.db")
    assert not (tmp_path / "new").exists()
    grant = await reserve(ledger, 10.0)
    await ledger.hold(A, 11.0)
    await ledger.release(A, grant)
    await ledger.close_day(A, TODAY)
    assert await ledger.spent(A, TODAY) == (0, True)
    await ledger.aclose()
    assert len(threads) >= 8
    assert threading.current_thread() not in threads


async def test_constructor_does_not_wait_for_the_lock_of_the_file(tmp_path, monkeypatch):
    path = tmp_path / "ledger.db"
    first = SqliteLedger(path)
    await reserve(first, 10.0)
    await first.aclose()
    connected = []
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **_: connected.append(args))
    SqliteLedger(path)
    assert connected == []


async def test_closing_does_not_block_the_loop_while_a_thread_waits_for_the_file(tmp_path):
    ledger = SqliteLedger(tmp_path / "ledger.db")
    await reserve(ledger, 10.0)
    too_late = threading.Event()
    ledger._file._lock.acquire()  # as a thread that waits for another process
    timer = threading.Timer(20, lambda: (too_late.set(), ledger._file._lock.release()))
    timer.start()
    closing_it = asyncio.create_task(ledger.aclose())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not too_late.is_set()
    timer.cancel()
    ledger._file._lock.release()
    await closing_it


# ---- deleted or replaced while it is in use


def delete(path):
    for file in path.parent.glob("ledger.db*"):
        file.unlink()


def replace(path):
    other = path.with_name("other.db")
    ledger = SqliteLedger(other)
    ledger._run(lambda db: db)
    ledger.close()
    other.replace(path)


def delete_the_folder(path):
    shutil.rmtree(path.parent)


def rename_the_folder(path):
    path.parent.rename(path.parent.with_name("elsewhere"))


@pytest.mark.skipif(sys.platform == "win32", reason="a file in use cannot be deleted there")
@pytest.mark.parametrize("lose", [delete, replace, delete_the_folder, rename_the_folder])
async def test_file_that_is_deleted_while_in_use_is_an_error_until_it_is_closed(lose, tmp_path):
    path = tmp_path / "folder" / "ledger.db"
    ledger = SqliteLedger(path)
    grant = await reserve(ledger, 10.0)
    lose(path)
    for work in (
        lambda: reserve(ledger, 11.0),
        lambda: ledger.spent(A, TODAY),
        lambda: ledger.release(A, grant),
    ):
        with pytest.raises(
            ConfigurationError, match=r"ledger\.db was deleted or replaced while it was in use"
        ):
            await work()
    assert path.exists() == (lose is replace)
    await ledger.aclose()
    if lose is not replace:  # SQLite leaves the log of the earlier file there
        assert (await reserve(ledger, 12.0)).slot == pytest.approx(12.0, abs=0.01)
        assert await ledger.spent(A, TODAY) == (1, False)
        await ledger.aclose()


async def test_no_request_is_sent_after_the_ledger_was_deleted(tmp_path):
    from tests.agora.harness import scripted
    from tests.conftest import ok

    harness, path = scripted(ok(call_lists=[], total_size=0, has_more=False)), tmp_path / "ledger.db"
    ledger = SqliteLedger(path)
    async with harness.client(ledger=ledger) as client:
        await client.calls("2h", "1h").collect()
        delete(path)
        with pytest.raises(ConfigurationError, match="deleted or replaced"):
            await client.calls("2h", "1h").collect()
    assert len(harness.transport.requests) == 1
    await ledger.aclose()


DELETED_AROUND_A_FORK = """
import asyncio, os, sys
from agora_analytics.engine.ledger import Budget
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.errors import ConfigurationError

path = sys.argv[1]
ledger = SqliteLedger(path)
asyncio.run(ledger.spent(Budget("a", "g"), "2026-11-19"))
os.unlink(path)
child = os.fork()
try:
    asyncio.run(ledger.spent(Budget("a", "g"), "2026-11-19"))
except ConfigurationError:
    result = 0
else:
    result = 3
if not child:
    os._exit(result)
sys.exit(result or os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_file_that_is_deleted_before_a_fork_is_an_error_in_both_processes(tmp_path):
    words = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", DELETED_AROUND_A_FORK]
    done = subprocess.run([*words, str(tmp_path / "l")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# ---- the clock that the stored times are from


@pytest.mark.parametrize("now", [3.0, 1e6])
async def test_hold_that_survives_a_restart_of_the_machine_keeps_what_is_left_of_it(
    tmp_path, monkeypatch, now
):
    ledger = SqliteLedger(tmp_path / "ledger.db")
    await reserve(ledger, 5000.0)
    await ledger.hold(A, 5060.0)
    await ledger.aclose()
    monkeypatch.setattr(sqlite_ledger, "boot_id", lambda: "another boot")
    assert await reserve(ledger, now, NOW + 20) == TooEarly(pytest.approx(now + 40))
    assert await reserve(ledger, now + 10, NOW + 30) == TooEarly(pytest.approx(now + 40))
    assert (await reserve(ledger, now + 40, NOW + 60)).slot == pytest.approx(now + 40, abs=0.01)
    await ledger.aclose()


async def test_clock_set_back_during_a_restart_does_not_lengthen_a_hold(tmp_path, monkeypatch):
    ledger = SqliteLedger(tmp_path / "ledger.db")
    await reserve(ledger, 5000.0)
    await ledger.hold(A, 5060.0)
    monkeypatch.setattr(sqlite_ledger, "boot_id", lambda: "another boot")
    assert await reserve(ledger, 3.0, NOW - 86_400) == TooEarly(pytest.approx(63.0))
    await ledger.aclose()


async def test_copied_ledger_delays_nobody(tmp_path, monkeypatch):
    """The other machine has been running for less time, or for longer."""
    for now in (100.0, 9e6):
        path = tmp_path / f"{now}.db"
        ledger = SqliteLedger(path)
        await reserve(ledger, 5000.0)
        await ledger.aclose()
        monkeypatch.setattr(sqlite_ledger, "boot_id", lambda now=now: f"machine {now}")
        copy = SqliteLedger(shutil.copy(path, tmp_path / f"copy {now}.db"))
        assert (await reserve(copy, now, NOW + 3600)).slot == pytest.approx(now, abs=0.01)
        assert await copy.spent(A, TODAY) == (2, False)
        await copy.aclose()


async def test_machines_that_alternate_share_one_rate(tmp_path, monkeypatch):
    """Sandboxes with one file may each have a boot id of their own."""
    ledger, slots = SqliteLedger(tmp_path / "ledger.db"), []
    ledger.ahead = 1.0
    for turn in range(6):
        offset = 1e5 * (turn % 2)
        monkeypatch.setattr(sqlite_ledger, "boot_id", lambda turn=turn: f"machine {turn % 2}")
        grant = await reserve(ledger, 100 + offset, NOW, gap=0.1)
        slots.append(grant.slot - offset)
    assert slots == pytest.approx([100 + 0.1 * turn for turn in range(6)])
    await ledger.aclose()


# ---- files of other versions


@pytest.mark.parametrize("application_id", [0x41474C31, 0x41474C33])
async def test_file_of_another_version_is_refused_and_not_changed(tmp_path, application_id):
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE pace (account TEXT, grp TEXT, free REAL NOT NULL, seen REAL NOT NULL)")
        db.execute(f"PRAGMA application_id = {application_id}")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="another version"):
        await SqliteLedger(path).spent(A, TODAY)
    assert path.read_bytes() == before


# ---- a fork and a ledger in memory

FORKING = """
import asyncio, os, signal, sys, threading
from agora_analytics.core.limits import Limits
from agora_analytics.engine.clock import ServerTime, SystemClock
from agora_analytics.engine.ledger import Budget, MemoryLedger
from agora_analytics.engine.limiter import Limiter
from agora_analytics.testing import VirtualClock, run_virtual

limits = Limits(requests=3, per_day=100, reach=86_400, span=None, delay=0)
budget, ledger, waiting = Budget("a", "g"), MemoryLedger(), threading.Event()

def limiter(clock):
    return Limiter(
        budget, limits, ledger=ledger, clock=clock, server_time=ServerTime(clock), observer=lambda _: None
    )

async def wait_for_a_slot():
    mine = limiter(SystemClock())
    for _ in range(3):
        await mine.acquire()  # and they are never sent
    fourth = asyncio.create_task(mine.acquire())
    while not mine._slot_at:
        await asyncio.sleep(0)
    waiting.set()
    await fourth

async def send():
    mine = limiter(clock)
    async with asyncio.timeout(60):
        for _ in range(6):
            grant = await mine.acquire()
            assert await mine.hand_over(grant)
            mine.sent(grant)
    await ledger.spent(budget, "2026-11-19")

threading.Thread(target=lambda: asyncio.run(wait_for_a_slot()), daemon=True).start()
assert waiting.wait(30)
ledger._lock.acquire()  # as a thread that reserves at this time
child = os.fork()
if child:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
signal.alarm(20)
clock = VirtualClock(1_795_089_600.0)
run_virtual(send(), clock)
os._exit(0 if clock.monotonic() < 3 else 4)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_while_a_call_waits_leaves_nobody_waiting_in_the_child():
    words = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
