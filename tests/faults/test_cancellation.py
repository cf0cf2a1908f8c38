"""Ten thousand cancellations at any moment, in any trouble: nothing is left behind, and the next request works."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from agora_analytics import AgoraAnalyticsError
from agora_analytics.messages import FailureKind
from tests.conftest import nothing_runs, ok, response
from tests.faults.fleet import Crew, ask

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


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(["enterprise", "fast"]))
def test_cancelled_calls_leave_nothing_behind(random, plan):
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
        assert crew.fleet.under_way == 0
        assert await nothing_runs()
        for limiter in client._connection._limiters.values():
            assert not limiter._turn.locked()
        await asyncio.sleep(200)  # what the limits and rests hold back is over
        assert (await ask(client))[1] < 1

    crew = Crew(trouble, **({} if plan == "fast" else {"plan": plan}))
    crew.run(job)
