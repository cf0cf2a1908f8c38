"""Callers of identical requests that are cancelled, run out of time, fail, or change what they get."""

import asyncio
import gc
import itertools
import random
import tracemalloc
from copy import deepcopy

import pytest

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.plans import Plan
from agora_analytics.agora.records import Call
from agora_analytics.engine.shared_requests import SharedRequests
from agora_analytics.errors import AgoraAnalyticsError, DeadlineExceeded
from agora_analytics.messages import FailureKind, Response, TransportFailure
from agora_analytics.testing import VirtualClock
from tests.conftest import NOW, limits, nothing_runs, ok, response, slow
from tests.harness import Harness, Scripted

LISTS, SESSIONS, METRICS = "call/lists", "call/sessions", "call/metrics"
CALL = {
    "call_id": "c" * 20 + "1",
    "cname": "r",
    "created_ts": int(NOW) - 7000,
    "destroyed_ts": int(NOW) - 6000,
    "finished": True,
    "unknown": {"nested": [1]},
}
CALLERS = 50


class Server:
    """Answers each channel in its own way: in a time that its name says, or with an error that it names."""

    def __init__(self):
        self.requests, self.in_flight = [], 0

    async def send(self, request):
        seconds, status = map(float, dict(request.query)["cname"].split("-"))
        self.requests.append(request)
        self.in_flight += 1
        try:
            await asyncio.sleep(min(seconds, request.timeout))
        finally:
            self.in_flight -= 1
        if seconds > request.timeout:
            raise TransportFailure(FailureKind.READ_TIMEOUT)
        if status != 200:
            return response({"code": int(status), "message": "no"}, status=int(status))
        return ok(call_lists=[CALL], total_size=1)


def make_harness(transport, **settings):
    rows = {name: limits(requests=500, per_day=100_000) for name in (LISTS, SESSIONS, METRICS)}
    plan = Plan(name="p", limits=rows)
    settings = {"app_id": "a", "plan": plan, "base_url": "http://127.0.0.1:9"} | settings
    return Harness(AsyncAgora, ("x", "y"), settings, VirtualClock(NOW), transport=transport)


def ask(client, **options):
    return client.calls(NOW - 7200, NOW - 3700, **options).collect()


async def one_caller(client, plan):
    """Return the outcome of a caller, and whether it ended in its time."""
    start, cname, options, cancel_after = plan
    await asyncio.sleep(start)
    call = asyncio.create_task(ask(client, cname=cname, **options))
    begun = asyncio.get_running_loop().time()
    await asyncio.wait([call], timeout=cancel_after)
    call.cancel()
    await asyncio.wait([call])
    took = asyncio.get_running_loop().time() - begun
    in_time = took <= min(options.get("deadline") or 1e9, cancel_after or 1e9) + 0.01
    if call.cancelled():
        return "cancelled" if cancel_after is not None else "cancelled by another", in_time
    return call.exception() or call.result(), in_time


def plans_of_callers(chance):
    for _ in range(CALLERS):
        options = {}
        if chance.random() < 0.6:
            options["deadline"] = chance.choice([None, 0.2, 0.5, 1.0, 1.0, 3.0, 8.0])
        if chance.random() < 0.2:
            options["max_wait"] = chance.choice([0.1, 1.0])
        channel = chance.choice(["0.3-200", "0.3-200", "1-200", "1-200", "2.5-200", "0.2-400", "0.1-500"])
        start = chance.choice([0.0, 0.0, 0.5, 1.0, chance.uniform(0, 2)])
        yield start, channel, options, chance.choice([None, None, 0.0, 0.5, chance.uniform(0, 3)])


def run_callers(seed):
    async def job(client):
        plans = plans_of_callers(random.Random(seed))
        outcomes = await asyncio.gather(*(one_caller(client, plan) for plan in plans))
        assert (await nothing_runs(), harness.transport.in_flight) == (True, 0)
        assert client._engine.shared._flights == {}
        assert client._engine._tasks == set()
        return outcomes

    harness = make_harness(Server())
    return harness.run(job), len(harness.transport.requests)


@pytest.mark.parametrize("seeds", [range(3), *map(slow, [range(3, 60)])])
def test_callers_get_the_result_or_an_error_of_their_own(seeds, monkeypatch):
    for seed in seeds:
        outcomes, sent = run_callers(seed)
        for outcome, in_time in outcomes:
            assert in_time
            assert outcome == "cancelled" or isinstance(outcome, list | AgoraAnalyticsError)
        results = [outcome for outcome, _ in outcomes if not isinstance(outcome, str)]
        assert len({id(result) for result in results}) == len(results)
        with monkeypatch.context() as separate:
            separate.setattr(SharedRequests, "run", lambda self, request: self._sender.run(request))
            alone, most = run_callers(seed)
        assert sent <= most
        assert sent < CALLERS
        # A short deadline of its own can be too short for a second attempt, if the first had the time of another caller.
        for (*_, options, cancel_after), (outcome, _), (single, _) in zip(
            plans_of_callers(random.Random(seed)), outcomes, alone, strict=True
        ):
            if cancel_after is None and options.get("deadline") is None and isinstance(single, list):
                assert outcome == single


@pytest.mark.parametrize(
    ("seconds", "steps"), [(1.0 - 1e-9, 0), *((1.0, steps) for steps in range(12))], ids=str
)
def test_caller_that_joins_when_the_deadline_of_another_passes_is_served(seconds, steps):
    """At each step of the loop while the request in progress ends, and directly before."""

    async def job(client):
        async def late():
            await asyncio.sleep(seconds)
            for _ in range(steps):
                await asyncio.sleep(0)
            return await ask(client, cname="2-200", deadline=9)

        first = ask(client, cname="2-200", deadline=1)
        return await asyncio.gather(first, late(), return_exceptions=True)

    harness = make_harness(Server())
    error, result = harness.run(job)
    assert isinstance(error, DeadlineExceeded)
    assert len(result) == 1
    assert len(harness.transport.requests) == 2


# ---- nothing is shared but the request


def sessions_response():
    session = {"sid": "S" * 32, "uid": 1, "join_ts": int(NOW) - 7000, "leave_ts": int(NOW) - 6000}
    return ok(call_info=[session | {"finished": True, "unknown": {"nested": [1]}}], total_size=1)


@pytest.mark.parametrize("question", ["calls", "sessions", "find_call"])
@pytest.mark.parametrize("cache_bytes", [0, 1_000_000])
def test_records_of_one_caller_are_not_those_of_another(question, cache_bytes):
    def ask_for(client):
        match question:
            case "calls":
                return ask(client)
            case "sessions":
                return client.sessions(CALL["call_id"], NOW - 7000, NOW - 6000).collect()
        return client.find_call(CALL["call_id"], around=NOW - 7000)

    async def job(client):
        together = await asyncio.gather(*(ask_for(client) for _ in range(10)))
        return [*together, await ask_for(client), await ask_for(client)]

    line = sessions_response() if question == "sessions" else ok(call_lists=[CALL], total_size=1)
    results = make_harness(Scripted(line, seconds=0.1), cache_bytes=cache_bytes).run(job)
    records = [result if question == "find_call" else result[0] for result in results]
    before = deepcopy(records)
    assert before[0].extra
    for index in (0, -2):  # of simultaneous requests, and of one whose response is kept
        records[index].extra["unknown"]["nested"].append("changed")
        records[index].extra["added"] = True
        records[index] = before[index]
        assert records == before


class OddError(Exception):
    """An error of a caller's code; `copy.copy` cannot create it again."""

    def __init__(self, name, number):
        super().__init__(f"{name} {number}")


@pytest.mark.parametrize("error", [lambda: OddError("a", 1), lambda: ValueError("no")], ids=["odd", "plain"])
def test_error_of_the_callers_code_reaches_every_caller(error):
    def fail(_request):
        raise error()

    async def job(client):
        calls = (ask(client) for _ in range(5))
        return await asyncio.gather(*calls, return_exceptions=True)

    errors = make_harness(Scripted(fail, seconds=0.1)).run(job)
    assert [(type(each), str(each)) for each in errors] == [(type(error()), str(error()))] * 5


def test_error_of_each_caller_has_the_cause_and_notes_of_its_own():
    def fail(_request):
        error = ValueError("no")
        error.add_note("of the transport")
        raise error from KeyError("cause")

    async def job(client):
        calls = (ask(client) for _ in range(3))
        return await asyncio.gather(*calls, return_exceptions=True)

    first, *others = make_harness(Scripted(fail, seconds=0.1)).run(job)
    first.add_note("of one caller")
    assert first.__notes__ == ["of the transport", "of one caller"]
    assert [(each.__notes__, repr(each.__cause__)) for each in others] == [
        (["of the transport"], "KeyError('cause')")
    ] * 2


def test_clients_of_two_projects_share_nothing():
    async def job(client):
        async with harness.client(app_id="b") as other:
            return await asyncio.gather(*(ask(each, cname="1-200") for each in (client, other, client)))

    harness = make_harness(Server())
    harness.run(job)
    assert [dict(request.query)["appid"] for request in harness.transport.requests] == ["a", "b"]


# ---- the cache


def settled_call(number):
    return Call(
        call_id=f"{number:032}", cname="r", created_ts=int(NOW) - 7000, destroyed_ts=int(NOW) - 6000, finished=True
    )  # fmt: skip


def cached_harness(**settings):
    headers = {f"x-header-{i}": "v" * 40 + str(i) for i in range(12)}
    numbers = itertools.count()

    def line(_request):
        body = sessions_response().body
        return Response(
            status=200,
            headers={"content-type": "application/json", "x-request-id": f"{next(numbers):032}", **headers},
            body=body,
        )

    return make_harness(Scripted(line), **settings)


def test_thousands_of_small_responses_stay_within_the_bytes_of_the_cache():
    async def job(client):
        cache = client._engine.shared.final
        for number in range(60):
            await client.sessions(settled_call(number)).collect()
        small = cache.size
        for number in range(60, 400):
            await client.sessions(settled_call(number)).collect()
            assert cache.size <= 300_000
        assert len(cache._entries) < 60
        return small

    assert cached_harness(cache_bytes=300_000).run(job) <= 300_000


def test_size_of_the_cache_is_not_less_than_its_memory():
    async def job(client):
        await client.sessions(settled_call(0)).collect()
        cache = client._engine.shared.final
        gc.collect()
        tracemalloc.start()
        try:
            for number in range(1, 101):
                await client.sessions(settled_call(number)).collect()
            size = cache.size
            gc.collect()
            full, _ = tracemalloc.get_traced_memory()
            cache._entries.clear()
            gc.collect()
            return size, full - tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    size, memory = cached_harness().run(job)
    assert memory <= size
