"""A query that is too long for a URL is refused before a request is spent, by the client of every vendor."""

import pytest

from agora_analytics.engine.transports.httpx import HttpxTransport
from agora_analytics.errors import InvalidRequest
from agora_analytics.messages import FailureKind
from tests.conftest import harness_of, ok
from tests.engine.test_transports import kind_of

LONG = "ä" * 12_000  # 72,000 characters in a URL
QUERIES = {
    "agora": lambda client: client.calls("6h", cname=LONG).collect(),
    "beta": lambda client: client.calls("6h", cname=LONG).collect(),
    "signaling": lambda client: client.history("u", LONG).collect(),
    "apsaravideo": lambda client: client.interaction_metrics("m", "6h", channel_id=LONG).collect(),
}


@pytest.mark.parametrize("vendor", QUERIES)
def test_query_that_is_too_long_is_refused_before_a_request_is_spent(vendor):
    harness = harness_of(vendor).scripted(ok())

    async def job(client):
        with pytest.raises(InvalidRequest, match=r"the URL would have 7\d,\d{3} characters") as caught:
            await QUERIES[vendor](client)
        return caught.value, [(quota.endpoint, quota.spent) for quota in await client.quota() if quota.spent]

    error, spent = harness.run(job, validate=False)
    assert (harness.transport.requests, spent, error.endpoint is None) == ([], [], False)


async def test_transport_does_not_report_a_long_url_as_a_dns_failure():
    transport = HttpxTransport()
    assert await kind_of(transport, f"http://127.0.0.1/{'x' * 65_536}") is FailureKind.PROTOCOL
    await transport.aclose()
