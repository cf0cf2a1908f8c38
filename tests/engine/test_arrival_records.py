"""How arrivals are written to a shared ledger that is slow or unavailable."""

import asyncio

import pytest

from agora_analytics.engine.arrival_records import ArrivalRecords
from agora_analytics.engine.background_tasks import BackgroundTasks
from agora_analytics.engine.ledger import Budget, Grant
from agora_analytics.errors import ConfigurationError, LedgerUnavailable

BUDGET = Budget("account", "call/lists")


class SlowLedger:
    """A ledger whose writes a test delays and fails."""

    def __init__(self):
        self.written = []
        self.error = None
        self.may_write = asyncio.Event()
        self.may_write.set()

    async def postpone(self, _budget, grant):
        arrived = grant.arrived
        await self.may_write.wait()
        if self.error is not None:
            raise self.error
        self.written.append((grant.seq, arrived))


@pytest.fixture
async def ledger():
    return SlowLedger()


@pytest.fixture
async def records(ledger):
    return ArrivalRecords(BUDGET, ledger, BackgroundTasks())


def a_grant(seq=1, arrived=10.0):
    return Grant(slot=9.0, day="2026-11-19", seq=seq, arrived=arrived, recorded=9.5)


async def test_arrival_that_is_recorded_is_not_written(records, ledger):
    grant = a_grant(arrived=9.5)
    assert await records.write(grant)
    assert ledger.written == []


async def test_changes_during_a_write_are_one_more_write(records, ledger):
    ledger.may_write.clear()
    grant = a_grant()
    records.start(grant)
    await asyncio.sleep(0)
    for arrived in (11.0, 12.0, 13.0):
        grant.arrived = arrived
        records.start(grant)
    ledger.may_write.set()
    assert await records.write(grant)
    assert ledger.written == [(1, 10.0), (1, 13.0)]
    assert grant.recorded == 13.0


async def test_requests_do_not_wait_for_each_other(records, ledger):
    ledger.may_write.clear()
    records.start(a_grant(1))
    await asyncio.wait_for(records.wait(a_grant(2)), 10)


async def test_release_waits_for_the_write_of_its_request(records, ledger):
    ledger.may_write.clear()
    grant = a_grant()
    records.start(grant)
    waiting = asyncio.create_task(records.wait(grant))
    await asyncio.sleep(0)
    assert not waiting.done()
    ledger.may_write.set()
    await waiting
    assert ledger.written == [(1, 10.0)]


async def test_unwritten_arrival_is_written_before_the_next_slot(records, ledger):
    ledger.error = LedgerUnavailable("down")
    grant = a_grant()
    assert not await records.write(grant)
    with pytest.raises(LedgerUnavailable, match="not recorded yet"):
        await records.flush(since=0.0)
    ledger.error = None
    await records.flush(since=0.0)
    assert ledger.written == [(1, 10.0)]
    await records.flush(since=0.0)
    assert len(ledger.written) == 1


async def test_unwritten_arrival_of_a_past_window_is_forgotten(records, ledger):
    ledger.error = LedgerUnavailable("down")
    assert not await records.write(a_grant())
    await records.flush(since=10.5)
    assert ledger.written == []


async def test_unwritten_arrival_of_a_released_request_is_forgotten(records, ledger):
    ledger.error = LedgerUnavailable("down")
    grant = a_grant()
    assert not await records.write(grant)
    await records.wait(grant)
    await records.flush(since=0.0)


async def test_other_errors_of_the_ledger_are_those_of_the_next_reservation(records, ledger):
    ledger.error = ConfigurationError("the file was deleted")
    assert not await records.write(a_grant())
    await records.flush(since=0.0)
