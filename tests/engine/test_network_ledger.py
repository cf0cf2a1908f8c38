"""The ledgers on a server, with a real PostgreSQL and a real Redis: both keep the same rules."""

import asyncio
import os
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from agora_analytics import ConfigurationError, FencedOff, LedgerUnavailable, PostgresLedger, RedisLedger
from agora_analytics.engine import open_ledger
from agora_analytics.engine.clock import SystemClock
from agora_analytics.engine.ledger import Budget, Grant, TooEarly
from agora_analytics.engine.network import postgres_connections
from agora_analytics.engine.network import redis as redis_ledger
from agora_analytics.engine.pace import Pace

A, B = Budget("account", "call/lists"), Budget("account", "call/sessions")
NOON = 1_795_089_600.0
TODAY = "2026-11-19"
now = SystemClock().monotonic


@pytest.fixture
async def ledger(served):
    ledger = served.kind(served.url)
    ledger.ahead = 60.0
    yield ledger
    await ledger.aclose()


async def reserve(ledger, budget=A, *, waiting=1, server_now=NOON, per_day=1_000, **pace):
    pace = {"requests": 100, "period": 1.0, "gap": 0.1} | pace
    return await ledger.reserve(
        budget, now=now(), server_now=server_now, pace=Pace(**pace), per_day=per_day, waiting=waiting
    )


async def slots(ledger, count, **options):
    return [(await reserve(ledger, **options)).slot for _ in range(count)]


@pytest.mark.parametrize("waiting", [1, 20])
async def test_daily_quota_is_exact(ledger, waiting):
    grants = [await reserve(ledger, per_day=7, gap=0.001, waiting=waiting) for _ in range(9)]
    assert [grant is not None for grant in grants] == [True] * 7 + [False] * 2
    assert await ledger.spent(A, TODAY) == (7, False)
    assert await reserve(ledger, server_now=NOON + 86_400, per_day=7, gap=0.001)


async def test_released_request_can_be_spent_again(ledger):
    grant = await reserve(ledger, per_day=1)
    assert await reserve(ledger, per_day=1) is None
    await ledger.release(A, grant)
    await ledger.aclose()
    assert await ledger.spent(A, TODAY) == (0, False)
    assert await reserve(ledger, per_day=1)


async def test_hold_applies_to_all_processes(served, ledger):
    await reserve(ledger)
    until = now() + 60.0
    await ledger.hold(A, until)
    other = served.kind(served.url)
    try:
        other.ahead = 120.0
        assert (await reserve(other)).slot >= until
    finally:
        await other.aclose()


async def test_hold_applies_to_slots_that_are_leased_already(ledger):
    ledger.ahead = 0.5
    assert await reserve(ledger, waiting=9, gap=0.0001)
    until = now() + 60.0
    await ledger.hold(A, until)
    refused = await reserve(ledger, waiting=9, gap=0.0001)
    assert isinstance(refused, TooEarly)
    assert refused.slot >= until
    await ledger.aclose()
    assert await ledger.spent(A, TODAY) == (1, False)


async def test_client_may_close_the_ledger_while_another_one_begins(ledger):
    await asyncio.gather(
        *(reserve(ledger, Budget("account", f"e{i}"), waiting=3, gap=0.001) for i in range(3)),
        ledger.aclose(),
        *(reserve(ledger, Budget("account", f"f{i}"), gap=0.001) for i in range(3)),
    )


def test_fenced_ledger_has_the_same_address(served):
    ledger = served.kind(served.url)
    assert repr(ledger.fenced("w", 1)) == repr(ledger)


async def test_fencing_tokens_belong_to_one_work(ledger):
    old, new = ledger.fenced("acme/harvest", 16), ledger.fenced("acme/harvest", 17)
    other = ledger.fenced("zeta/harvest", 1)
    try:
        assert await reserve(old)
        assert await reserve(new)
        with pytest.raises(FencedOff, match=r"acme/harvest \(fencing token 17, this one has 16\)") as caught:
            await reserve(old)
        assert (caught.value.token, caught.value.newest) == (16, 17)
        assert await reserve(other)
        assert await reserve(ledger)
    finally:
        for each in (old, new, other):
            await each.aclose()


async def test_holder_with_a_lease_is_fenced_off_when_it_is_used_up(ledger):
    old, new = ledger.fenced("w", 1), ledger.fenced("w", 2)
    try:
        await reserve(old, waiting=9, gap=0.0001)
        await reserve(new)
        with pytest.raises(FencedOff):
            await until_error(old)
    finally:
        await old.aclose()
        await new.aclose()


async def until_error(ledger):
    for _ in range(20):
        await reserve(ledger, waiting=9, gap=0.0001)


def test_processes_and_event_loops_share_one_queue(served):
    """Four threads with loops of their own, as blocking clients have; the ledger is one object."""
    ledger = served.kind(served.url)
    ledger.ahead = 60.0
    found = []

    async def work():
        try:
            found.extend(await slots(ledger, 25, gap=0.02, per_day=100))
            assert await reserve(ledger, gap=0.02, server_now=NOON + 86_400)
        finally:
            await ledger.aclose()

    threads = [threading.Thread(target=asyncio.run, args=[work()]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 100
    assert min(b - a for a, b in pairwise(sorted(found))) > 0


@pytest.mark.slow
def test_processes_share_a_day_exactly(served):
    script = Path(__file__).with_name("network_ledger_process.py")
    command = [sys.executable, str(script), served.url, "400", "1000"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    lines = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sum(line != "None" for each in lines for line in each) == 1_000
    assert all(each for each in lines)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_ledger_may_be_used_on_both_sides_of_a_fork(served):
    ledger = served.kind(served.url)

    async def use():
        try:
            return await reserve(ledger, gap=0.001) is not None
        finally:
            await ledger.aclose()

    assert asyncio.run(use())
    code = "child"
    child = os.fork()
    if child == 0:
        try:
            code = 0 if asyncio.run(use()) else 1
        finally:
            os._exit(code if isinstance(code, int) else 2)
    assert os.waitpid(child, 0)[1] == 0
    assert asyncio.run(use())


async def test_restarted_server_is_used_again(served, ledger):
    await reserve(ledger)
    served.server.stop()
    with pytest.raises(LedgerUnavailable):
        await reserve(ledger, B)
    served.server.start()
    assert await reserve(ledger)


async def test_frozen_network_ends_in_an_error_and_heals(served, proxy, monkeypatch):
    monkeypatch.setattr(postgres_connections, "_TIMEOUT", 0.5)
    monkeypatch.setattr(redis_ledger, "_TIMEOUT", 0.5)
    network = proxy(served.port)
    ledger = served.kind(served.url_at(network.port))
    try:
        assert await reserve(ledger)
        network.freeze()
        with pytest.raises(LedgerUnavailable, match=r"did not answer in 0\.5 s|unavailable"):
            await reserve(ledger)
        network.heal()
        assert await after_outage(ledger)
    finally:
        await ledger.aclose()


async def test_cut_connection_ends_in_an_error_and_the_next_request_connects_again(served, proxy):
    network = proxy(served.port)
    ledger = served.kind(served.url_at(network.port))
    try:
        assert await reserve(ledger)
        network.cut()
        assert await after_outage(ledger)
    finally:
        await ledger.aclose()


async def after_outage(ledger):
    """Return the next grant; each connection that was open may fail once."""
    for _ in range(10):
        try:
            return await reserve(ledger)
        except LedgerUnavailable:
            await asyncio.sleep(0.05)
    return None


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("postgresql://worker:hunter2@127.0.0.1:1/agora", "hunter2"),
        ("redis://:hunter2@127.0.0.1:1/0", "hunter2"),
        ("rediss://worker:hunter2@127.0.0.1:1/0", "hunter2"),
    ],
)
async def test_no_repr_and_no_error_shows_the_password(url, secret):
    pytest.importorskip("psycopg" if url.startswith("postgres") else "redis")
    ledger = open_ledger.open_ledger(url)
    try:
        with pytest.raises(LedgerUnavailable) as caught:
            await reserve(ledger)
    finally:
        await ledger.aclose()
    shown = repr(ledger) + str(caught.value) + repr(caught.value)
    assert secret not in shown
    assert "127.0.0.1" in shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@host:port/db",
        "postgresql://u@h/db?hunter2=1",
        "postgresql://u:p@hunter2@host/db",
        "postgresql://u:12/hunter2@host/db",
    ],
)
def test_invalid_connection_string_is_refused_without_repeating_it(url):
    pytest.importorskip("psycopg")
    with pytest.raises(ConfigurationError) as caught:
        PostgresLedger(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["redis://:hunter2@host:port/0", "redis://h/0?socket_timeout=hunter2", "redis://h/0?hunter2=1"]
)
def test_invalid_url_of_redis_is_refused_without_repeating_it(url):
    pytest.importorskip("redis")
    with pytest.raises(ConfigurationError) as caught:
        RedisLedger(url)
    assert "hunter2" not in str(caught.value)


def test_one_url_is_one_ledger(served):
    assert open_ledger.open_ledger(served.url) is open_ledger.open_ledger(served.url)


async def test_wrong_user_is_an_error_of_the_configuration(served):
    url = served.url.replace("postgres@", "nobody-here@").replace("redis://", "redis://user:wrong@")
    ledger = served.kind(url)
    try:
        with pytest.raises(ConfigurationError, match="refuses the client") as caught:
            await reserve(ledger)
    finally:
        await ledger.aclose()
    assert "wrong@" not in str(caught.value)


async def test_first_requests_of_several_processes_create_the_schema_once(postgres):
    ledgers = [PostgresLedger(postgres.dsn) for _ in range(6)]
    grants = await asyncio.gather(*(reserve(ledger, gap=0.001) for ledger in ledgers))
    assert all(isinstance(grant, Grant) for grant in grants)
    for ledger in ledgers:
        await ledger.aclose()


async def test_role_needs_no_privilege_but_the_use_of_the_schema(postgres):
    import psycopg

    owner = PostgresLedger(postgres.dsn)
    worker = PostgresLedger(postgres.dsn.replace("postgres@", "worker@"))
    role = "DROP ROLE IF EXISTS worker; CREATE ROLE worker LOGIN; "
    try:
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(role)
            with pytest.raises(ConfigurationError, match=r"GRANT USAGE ON SCHEMA agora_ledger"):
                await reserve(worker)  # it may not create the schema
            await owner.create_schema()
            with pytest.raises(ConfigurationError, match=r"GRANT USAGE ON SCHEMA agora_ledger"):
                await reserve(worker)
            connection.execute("GRANT USAGE ON SCHEMA agora_ledger TO worker")
            grant = await reserve(worker)
            await worker.postpone(A, grant)
            await worker.hold(A, now() + 0.1)
            await worker.close_day(B, TODAY)
            assert await worker.spent(A, TODAY) == (1, False)
            await worker.release(A, grant)
            await worker.aclose()
            assert await worker.spent(A, TODAY) == (0, False)
            with (
                psycopg.connect(postgres.dsn.replace("postgres@", "worker@")) as restricted,
                pytest.raises(psycopg.errors.InsufficientPrivilege),
            ):
                restricted.execute("SELECT * FROM agora_ledger.day")
            await worker.aclose()
            connection.execute("DROP OWNED BY worker; DROP ROLE worker")
    finally:
        await owner.aclose()
        await worker.aclose()


async def test_schema_of_a_newer_version_is_refused(postgres):
    import psycopg

    ledger = PostgresLedger(postgres.dsn)
    await ledger.create_schema()
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION agora_ledger.version() RETURNS int LANGUAGE sql AS 'SELECT 99'"
        )
    try:
        with pytest.raises(ConfigurationError, match=r"version 99 .* update agora-analytics"):
            await reserve(ledger)
    finally:
        await ledger.aclose()


async def test_server_that_is_read_only_after_a_failover_is_unavailable(postgres):
    import psycopg

    ledger = PostgresLedger(postgres.dsn)
    try:
        await reserve(ledger)
        await ledger.aclose()
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {postgres.name} SET default_transaction_read_only = on")
        with pytest.raises(LedgerUnavailable, match="read-only"):
            await reserve(ledger)
    finally:
        await ledger.aclose()


async def test_redis_without_memory_is_unavailable(redis_server):
    import redis

    ledger = RedisLedger(redis_server.url)
    with redis.Redis.from_url(redis_server.url) as client:
        await reserve(ledger)
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(LedgerUnavailable, match="maxmemory"):
                await reserve(ledger)
        finally:
            client.config_set("maxmemory", 0)
            await ledger.aclose()


async def test_keys_of_redis_expire(redis_server):
    import redis

    ledger = RedisLedger(redis_server.url)
    try:
        await reserve(ledger)
        await ledger.hold(B, now() + 1)
    finally:
        await ledger.aclose()
    with redis.Redis.from_url(redis_server.url) as client:
        keys = client.keys()
        assert len(keys) == 4
        assert all(0 < client.ttl(key) <= 3 * 86_400 for key in keys)


async def test_script_that_redis_forgot_is_loaded_again(redis_server):
    import redis

    ledger = RedisLedger(redis_server.url)
    try:
        await reserve(ledger)
        with redis.Redis.from_url(redis_server.url) as client:
            client.script_flush()
        assert await reserve(ledger)
    finally:
        await ledger.aclose()
