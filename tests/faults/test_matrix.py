"""The fault matrix over real sockets: the shipped names, TLS with a throw-away CA, and two classes of calls."""

import asyncio
from functools import partial

import pytest

from agora_analytics import errors
from agora_analytics.agora.credentials import Basic, in_headers
from agora_analytics.agora.domains import host_table
from agora_analytics.agora.judge import open_fields, read_response
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.limits import Limits
from agora_analytics.core.verdicts import Payload
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.engine import Engine, EngineOptions
from agora_analytics.engine.retry_policy import RetryPolicy
from agora_analytics.engine.transports.httpx import HttpxTransport
from agora_analytics.messages import FailureKind
from tests.conftest import SECRET
from tests.faults.faults_page import PAGE, page
from tests.faults.fleet import ALTERNATE, NEIGHBOUR, NEIGHBOUR_2, PRIMARY
from tests.faults.matrix import FAULTS, LARGEST_BODY, Then
from tests.faults.network import Host, network, trusting

PATIENCE = RetryPolicy(timeout=2.0, deadline=60, backoff=(0.01, 0.02), attempts=4, rate_attempts=2)
QUERY = Endpoint(name="a query", path="/query")
MESSAGE = Endpoint(name="a message", method="POST", path="/message", replayable=False)
LIMITS = Limits(requests=1000, per_day=10_000, reach=86_400, span=None, delay=60)
EXPECTED = {
    Then.NEIGHBOUR: ([PRIMARY, PRIMARY, NEIGHBOUR], True),
    Then.ALTERNATE: ([PRIMARY, PRIMARY, ALTERNATE], True),
    Then.SAME_HOST: ([PRIMARY] * PATIENCE.attempts, False),
    Then.TWICE: ([PRIMARY] * 2, False),
    Then.WAITS: ([PRIMARY] * PATIENCE.rate_attempts, False),
    Then.ONCE: ([PRIMARY], False),
    Then.NEXT_HOST: ([PRIMARY, PRIMARY, NEIGHBOUR, NEIGHBOUR_2], True),
}


READ = partial(read_response, open_body=open_fields)


AUTHENTICATION = in_headers(Basic("id", SECRET))


async def call(net, endpoint) -> ApiResponse | errors.AgoraAnalyticsError:
    transport = HttpxTransport(resolve=net.resolve, ssl_context=trusting(), largest_body=LARGEST_BODY)
    engine = Engine(
        hosts=host_table("agora.io", regional=True),
        account="id",
        limits={endpoint.name: LIMITS},
        authentication=AUTHENTICATION,
        options=EngineOptions(transport=transport, retry=PATIENCE),
    )
    try:
        return await engine.run(
            ApiRequest(endpoint=endpoint, build=lambda _: Payload(query=(("appid", "a"),)), read=READ)
        )
    except errors.AgoraAnalyticsError as error:
        return error
    finally:
        await engine.aclose()
        await transport.aclose()


@pytest.mark.parametrize("endpoint", [QUERY, MESSAGE], ids=lambda endpoint: endpoint.name)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.layer}: {fault.name} at {fault.at}")
async def test_every_fault_ends_as_the_matrix_says(fault, endpoint):
    where = {"the primary": PRIMARY, "the neighbour": NEIGHBOUR}[fault.at].removeprefix("https://")
    others = {} if fault.at == "the primary" else {PRIMARY.removeprefix("https://"): Host(listens="no")}
    async with network(**{where: fault.host}, **others) as net:
        before = asyncio.all_tasks()
        outcome = await call(net, endpoint)
        hosts, answered = EXPECTED[fault.query if endpoint is QUERY else fault.message]
        assert [attempt.host for attempt in outcome.trail] == hosts
        assert isinstance(outcome, ApiResponse) == answered
        if not answered:
            classified = outcome.kind if isinstance(fault.classified, FailureKind) else type(outcome)
            assert classified is fault.classified
        elif isinstance(fault.classified, FailureKind):
            assert fault.classified in outcome.trail[0].outcome
        assert {task for task in asyncio.all_tasks() - before if "serve" not in repr(task)} == set()


def test_faults_page_is_up_to_date():
    assert PAGE.read_text() == page(), "run python -m tests.faults.faults_page"


def test_matrix_covers_every_failure_kind():
    assert set(FailureKind) - {fault.classified for fault in FAULTS} == {FailureKind.NO_ROOM}
