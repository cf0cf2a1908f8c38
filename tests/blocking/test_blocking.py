"""The blocking client against the simulator, over a socket."""

import asyncio
import gc
import inspect
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextvars import ContextVar

import pytest

from agora_analytics import AsyncAgora, InvalidRequest, SqliteLedger
from agora_analytics.blocking import Agora, OpenTok
from agora_analytics.simulator import Faults, Simulator, serve_in_thread
from tests.blocking.conftest import CUSTOMER, MIDNIGHT, SETTINGS, Shifted

RANGE = (MIDNIGHT - 6 * 3600, MIDNIGHT)


def threads() -> set[threading.Thread]:
    """Return the threads of the process. Those of earlier tests may still end, so only new ones count."""
    return set(threading.enumerate())


def test_records_pages_and_all_at_once_are_the_same(client, world):
    listing = client.calls(*RANGE, page_size=10)
    by_record = [call.call_id for call in listing]
    pages = list(listing.pages())
    assert len(by_record) == len(world.calls)
    assert [call.call_id for page in pages for call in page.records] == by_record
    assert [call.call_id for call in listing.collect()] == by_record
    assert [page.meta.status for page in pages] == [200, 200, 200]
    assert len(client.calls(*RANGE, page_size=10, resume=pages[0].resume_token).collect()) == 20


def test_sessions_and_metrics_of_a_call(client, world):
    call = client.calls(*RANGE).collect()[0]
    sessions = client.sessions(call).collect()
    assert {session.sid for session in sessions} == {
        session.sid for session in world.call(call.call_id).sessions if not session.server
    }
    assert sum(len(series) for series in client.metrics(call, sids=sessions)) > 0
    pytest.importorskip("pyarrow")
    assert client.calls(*RANGE).to_arrow().num_rows == len(world.calls)


def test_methods_without_a_request_return_immediately(client):
    assert client.settings.app_id == SETTINGS["app_id"]
    assert {quota.spent for quota in client.quota()} == {0}
    assert not client.sent
    assert "***" in repr(client)
    assert repr(client).startswith("Agora(")
    listing = client.calls(1_795_046_400_000)
    with pytest.raises(InvalidRequest, match="milliseconds"):
        listing.collect()


def test_an_error_of_the_coroutine_is_raised_here(base_url):
    with (
        Agora("demo-customer-id", "wrong", **SETTINGS, base_url=base_url, clock=Shifted()) as client,
        pytest.raises(Exception, match="Invalid authentication credentials"),
    ):
        client.calls(*RANGE).collect()


def test_leaving_the_block_leaves_no_thread(base_url):
    before = threads()
    with Agora(*CUSTOMER, **SETTINGS, base_url=base_url, clock=Shifted()) as client:
        assert not threads() - before  # no request was sent yet
        client.calls(*RANGE).collect()
        assert "agora-analytics" in {thread.name for thread in threads() - before}
    assert not threads() - before
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.calls(*RANGE).collect()


def test_a_client_with_a_ledger_in_a_thread_leaves_no_thread_either(base_url, tmp_path):
    before = threads()
    environment = {
        "AGORA_CUSTOMER_ID": CUSTOMER[0],
        "AGORA_CUSTOMER_SECRET": CUSTOMER[1],
        "AGORA_APP_ID": SETTINGS["app_id"],
        "AGORA_LEDGER": str(tmp_path / "ledger.db"),
    }
    options = {"plan": "enterprise", "base_url": base_url, "clock": Shifted()}
    with Agora.from_env(environment, **options, ledger=SqliteLedger(tmp_path / "ledger.db")) as client:
        assert isinstance(client, Agora)
        client.calls(*RANGE).collect()
        assert client.quota()[0].spent == client.sent.total()
    assert (tmp_path / "ledger.db").exists()
    assert not threads() - before
    with Agora.from_env(environment) as unused:
        assert unused.settings.plan.name == "standard"
    assert not threads() - before


def test_listing_left_early_cancels_its_requests(world):
    """The pages that are fetched ahead never arrive, so nothing else ends their requests before the attempt does."""
    simulator = Simulator(world, now=Shifted().now, faults=Faults(script=(None, *["hang"] * 4)))

    async def requests_have_ended():
        async with asyncio.timeout(20):  # an attempt has 30 s
            while client._worker.client._engine._tasks:  # noqa: ASYNC110 - a task has no event for its end
                await asyncio.sleep(0.005)

    with (
        serve_in_thread(simulator) as url,
        Agora(*CUSTOMER, **SETTINGS, base_url=url, clock=Shifted()) as client,
    ):
        for _ in client.calls(*RANGE, page_size=5):
            break
        client._worker.run(requests_have_ended)
        assert simulator.seen.requests["call/lists"] <= 5


def test_many_threads_share_a_client(client, world):
    def job(_: int) -> int:
        return sum(1 for _ in client.calls(*RANGE, page_size=30))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(job, range(8))) == [len(world.calls)] * 8


def test_inside_a_running_loop_as_in_a_notebook(client, world):
    import asyncio

    async def cell() -> int:
        return len(client.calls(*RANGE).collect())

    assert asyncio.run(cell()) == len(world.calls)


def test_closing_ends_the_wait_of_another_thread(world):
    simulator = Simulator(world, now=Shifted().now, faults=Faults(script=("hang",)))
    with serve_in_thread(simulator) as url, ThreadPoolExecutor(1) as pool:
        client = Agora(*CUSTOMER, **SETTINGS, base_url=url, clock=Shifted())
        waiting = pool.submit(client.calls(*RANGE).collect)
        while not simulator.seen.requests["call/lists"]:
            time.sleep(0.005)
        client.close()
        wait_for([waiting], 20)
        with pytest.raises(RuntimeError, match="closed while"):
            waiting.result(0)


def test_the_loops_own_thread_cannot_wait_for_itself(base_url):
    messages = []

    def observer(event):
        try:
            client.quota()
        except RuntimeError as error:
            messages.append(str(error))

    with Agora(*CUSTOMER, **SETTINGS, base_url=base_url, clock=Shifted(), observer=observer) as client:
        client.calls(*RANGE).collect()
    assert "event loop thread" in messages[0]


def test_unclosed_client_warns_and_its_thread_ends(base_url):
    before = threads()
    client = Agora(*CUSTOMER, **SETTINGS, base_url=base_url, clock=Shifted())
    iterator = iter(client.calls(*RANGE, page_size=5))
    next(iterator)
    (thread,) = (each for each in threads() - before if each.name == "agora-analytics")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del client, iterator
        gc.collect()
    assert [str(warning.message).startswith("unclosed Agora(") for warning in caught] == [True]
    assert issubclass(caught[0].category, ResourceWarning)
    assert "***" in str(caught[0].message)
    thread.join(20)
    assert not thread.is_alive()


def test_wrong_kind_of_with_names_the_right_one(client):
    async def with_await():
        async with client:
            pass

    with pytest.raises(TypeError, match=r"use `with Agora\.\.\.`, or AsyncAgora of agora_analytics"):
        asyncio.run(with_await())
    with (
        pytest.raises(
            TypeError, match=r"use `async with AsyncAgora\.\.\.`, or Agora of agora_analytics\.blocking"
        ),
        AsyncAgora(*CUSTOMER, app_id="app"),
    ):
        pass


def test_unused_client_is_collected_without_a_warning():
    Agora(*CUSTOMER, **SETTINGS)
    gc.collect()


def test_the_signature_is_the_one_of_the_original():
    assert inspect.signature(Agora).parameters.keys() == inspect.signature(AsyncAgora).parameters.keys()
    assert inspect.signature(Agora.calls).return_annotation == "Pages[Call]"
    assert str(inspect.signature(OpenTok.sessions).return_annotation).startswith(
        "agora_analytics.blocking.wrappers.Pages["
    )


def test_a_ledger_of_ones_own_stays_open(base_url, tmp_path):
    ledger = SqliteLedger(tmp_path / "ledger.db")
    for spent in (1, 2):
        with Agora(*CUSTOMER, **SETTINGS, base_url=base_url, clock=Shifted(), ledger=ledger) as client:
            client.calls(*RANGE).collect()
            assert client.quota()[0].spent == spent
    ledger.close()


def test_a_whole_harvest(client, world, tmp_path):
    pytest.importorskip("pyarrow")
    from agora_analytics.blocking import estimate, harvest

    third = world.calls[2].created_ts
    since, until = third, MIDNIGHT
    cost = estimate(client, since=since, until=until)
    report = harvest(client, since=since, until=until, store=tmp_path / "calls.store")
    assert report.complete
    assert (report.calls, report.points > 0) == (cost.calls, True)


def test_call_has_the_context_variables_of_its_caller(base_url):
    """The first call starts the thread; calls of several threads may be submitted together."""
    caller, seen, barrier = ContextVar("caller", default=-1), [], threading.Barrier(8)
    options = {**SETTINGS, "base_url": base_url, "clock": Shifted()}
    with Agora(*CUSTOMER, **options, observer=lambda _: seen.append(caller.get())) as client:

        def call(name):
            caller.set(name)
            barrier.wait()
            client.calls(*RANGE, page_size=40 + name).collect()  # an identical request would be shared

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(call, range(8)))
    assert set(seen) == set(range(8))
