"""Ten thousand cancellations at any moment, in any trouble: nothing is left behind, and the next request works."""

import asyncio
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agora_analytics import AgoraAnalyticsError
from agora_analytics.agora.judge import open_fields, read_response
from agora_analytics.agora.operations import LISTS
from agora_analytics.core.verdicts import Payload
from agora_analytics.engine.api_request import ApiRequest
from agora_analytics.messages import FailureKind
from tests.conftest import nothing_runs, ok, response
from tests.faults.fleet import all_dead, ask, make_harness

READ = partial(read_response, open_body=open_fields)

EXAMPLES, CALLS = 100, 100

OUTCOMES = [
    None,
    None,
    ok(call_lists=[], total_size=3, page_size=1),
    FailureKind.CONNECT_TIMEOUT,
    FailureKind.READ_TIMEOUT,
    FailureKind.RESET,
    FailureKind.DNS,
    response({"message": "busy"}, 503),
    response({"code": 300, "message": "Service package limit check error, qps limit error"}),
    response({"message": "no Route matched with those values"}, 404),
]


def check_cancellations(random, plan):
    well_again = False

    def trouble(host, _seconds):
        return None if well_again else random.choice(OUTCOMES)

    async def job(client):
        nonlocal well_again
        loop, calls = asyncio.get_running_loop(), []
        for _ in range(CALLS):
            call = asyncio.create_task(client.calls("1h").collect())
            loop.call_later(random.uniform(0, random.choice([0.001, 0.1, 20.0])), call.cancel)
            calls.append(call)
            await asyncio.sleep(random.choice([0.0, 0.0, 0.03]))
        ended = await asyncio.gather(*calls, return_exceptions=True)
        for end in ended:
            assert isinstance(end, list | AgoraAnalyticsError | asyncio.CancelledError), repr(end)
        well_again = True
        await asyncio.sleep(3.1)  # the longest look at DNS
        assert harness.transport.in_flight == 0
        assert await nothing_runs()
        for limiter in client._engine._limiters.values():
            assert not limiter._turn.locked()
        await asyncio.sleep(200)  # what the limits and rests hold back is over
        assert (await ask(client))[1] < 1

    harness = make_harness(trouble, **({} if plan == "fast" else {"plan": plan}))
    harness.run(job)


CASES = given(st.randoms(use_true_random=False), st.sampled_from(["enterprise", "fast"]))


@settings(max_examples=EXAMPLES // 10)
@CASES
def test_cancelled_calls_leave_nothing_behind(random, plan):
    check_cancellations(random, plan)


@pytest.mark.slow
@settings(max_examples=EXAMPLES)
@CASES
def test_ten_thousand_cancelled_calls_leave_nothing_behind(random, plan):
    check_cancellations(random, plan)


@pytest.mark.parametrize("trouble", [None, *OUTCOMES[3:6]], ids=str)
@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.3, 1.5])
def test_closing_ends_every_call_and_sends_no_other(seconds, trouble):
    """Some wait for the pace by then, some for an answer, some back off."""

    async def job(client):
        listing = asyncio.create_task(client.calls("1h").collect())
        calls = [
            asyncio.create_task(
                client._engine.run(
                    ApiRequest(
                        endpoint=LISTS, build=lambda _, i=i: Payload(query=(("n", str(i)),)), read=READ
                    )
                )
            )
            for i in range(20)
        ]
        await asyncio.sleep(seconds)
        await client.aclose()
        sent = harness.transport.sent.total()
        assert (harness.transport.in_flight, client._engine._tasks, client._engine._calls) == (
            0,
            set(),
            set(),
        )
        ended = await asyncio.gather(*calls, listing, return_exceptions=True)
        errors = [end for end in ended if isinstance(end, BaseException)]
        assert errors
        assert all(isinstance(end, RuntimeError) and "closed" in str(end) for end in errors)
        await asyncio.sleep(600)
        assert harness.transport.sent.total() == sent
        return await nothing_runs()

    harness = make_harness(all_dead(trouble), plan="enterprise")
    assert harness.run(job)


def test_closing_leaves_the_task_of_a_caller_alone():
    async def job(client):
        async def caller():
            with pytest.raises(RuntimeError, match="closed while a request was in progress"):
                await client._engine.run(
                    ApiRequest(endpoint=LISTS, build=lambda _: Payload(query=()), read=READ)
                )
            await asyncio.sleep(1)
            return asyncio.current_task().cancelling()

        task = asyncio.create_task(caller())
        await asyncio.sleep(1)
        await client.aclose()
        return await task

    assert make_harness(all_dead()).run(job) == 0
