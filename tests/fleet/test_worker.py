"""A worker against the simulator over a real socket, with its queue and its ledger in a real PostgreSQL."""

import asyncio
import time

import pytest

from agora_analytics import AsyncAgora, PostgresLedger
from agora_analytics.fleet.worker import Worker
from agora_analytics.kit.config_file import read_config
from agora_analytics.simulator import serve_in_thread
from agora_analytics.store import open_store
from tests.fleet.harness import agora_entry, make_fleet, opentok_entry, rows, spend_day, truth, write_config
from tests.fleet.waiting import stop, until

RECORDS = "SELECT name, outcome, reason FROM account ORDER BY name"
DUE = "SELECT lock, extract(epoch FROM scheduled_at) FROM procrastinate_jobs ORDER BY lock"


class ClaimLost(BaseException):
    """Ends a pass as the end of the process does: nothing is recorded."""


def never(account):
    raise ClaimLost(account)


@pytest.fixture
async def ledger(queue_dsn):
    opened = PostgresLedger(queue_dsn)
    yield opened
    await opened.aclose()


@pytest.fixture
def served(secrets):
    fleet = make_fleet(("acme", "beta", "wrong"), int(time.time()) - 7200)
    with serve_in_thread(fleet.simulator) as url:
        yield fleet, url


async def work(queue, config, ledger, sql, passes):
    """Work until so many passes have ended."""
    task = asyncio.create_task(Worker(queue, read_config(config), ledger=ledger, end=never).run())

    async def ended():
        ((count,),) = await sql("SELECT count(*) FROM account WHERE ended_at IS NOT NULL")
        return count == passes

    await until(ended, task)
    await stop(task)


async def test_planned_accounts_are_harvested_and_planned_again(queue, sql, served, ledger, tmp_path):
    fleet, url = served
    config = write_config(
        tmp_path,
        url,
        agora_entry("acme", 'every = "1h"'),
        agora_entry("beta"),
        agora_entry("wrong", 'customer_secret_env = "FLEET_WRONG_SECRET"'),
        opentok_entry("rooms"),
    )
    before = time.time()
    await work(queue, config, ledger, sql, passes=4)
    found = await sql(RECORDS)
    assert [(name, outcome) for name, outcome, _ in found] == [
        ("acme", "complete"), ("beta", "complete"), ("rooms", "complete"), ("wrong", "parked")
    ]  # fmt: skip
    assert "Invalid authentication credentials" in found[3][2]
    due = {name: float(at) for name, at in await sql(DUE)}
    assert due.keys() == {"acme", "beta", "rooms"}
    for name, every in (("acme", 3600), ("beta", 1800)):
        assert before + every - 5 <= due[name] <= time.time() + every + 5
    stored = rows(open_store(tmp_path / "calls.store"))
    for name in ("acme", "beta"):
        assert stored[f"app-{name}"] == truth(fleet.worlds[name], time.time())
    assert fleet.refused == {"Invalid authentication credentials": 1}


async def test_spent_day_schedules_the_next_pass_when_the_quota_resets(queue, sql, served, ledger, tmp_path):
    _, url = served
    config = write_config(tmp_path, url, agora_entry("acme"))
    await spend_day(read_config(config), "acme", ledger)
    await work(queue, config, ledger, sql, passes=1)
    ((_, outcome, reason),) = await sql(RECORDS)
    assert outcome == "quota used up"
    assert reason.startswith("the day's quota is used up")
    ((_, due),) = await sql(DUE)
    assert due == 86_400 * (time.time() // 86_400 + 1)


@pytest.mark.parametrize("has_sent", [True, False], ids=["which has sent", "which has not sent yet"])
async def test_worker_that_is_replaced_during_its_pass_ends_and_reports_nothing(
    queue, sql, served, ledger, tmp_path, has_sent
):
    """If the newer worker has sent a request, the ledger refuses the old one. In any case its record is refused."""
    _, url = served
    config = write_config(tmp_path, url, agora_entry("acme"))
    await queue.jobs.plan(["acme"])
    begin, lost, claims = queue.records.begin, [], []

    async def begin_before_another_worker(claim, **names):
        claims.append(claim)
        if len(claims) > 1:  # the job is tried again, because the process does not end here
            await asyncio.Event().wait()
        begun = await begin(claim, **names)
        newer = await begin(claim, **names | {"worker": "another"})
        if has_sent:
            used = ledger.fenced(f"{queue.id}/acme", newer.token)
            async with AsyncAgora.from_config("acme", config, ledger=used) as client:
                assert [call async for call in client.calls("6h", "now")]
            await used.aclose()
        return begun

    def end(account):
        lost.append(account)
        raise ClaimLost

    queue.records.begin = begin_before_another_worker
    task = asyncio.create_task(Worker(queue, read_config(config), ledger=ledger, end=end).run())
    await until(lambda: asyncio.sleep(0, bool(lost)), task)
    await stop(task)
    assert lost[0] == "acme"
    assert await sql("SELECT worker, outcome, ended_at FROM account") == [("another", None, None)]
    stored = [] if has_sent else ["app-acme"]
    assert list(rows(open_store(tmp_path / "calls.store"))) == stored
