"""A text that cannot be the id of a call is refused before the search for the call sends a request."""

import pytest

from agora_analytics.cli.commands.calls import CallSearch
from agora_analytics.errors import InvalidRequest
from tests.agora.harness import SINCE, make_harness

IMPOSSIBLE = [
    "",
    " ",
    "stand up",
    "room/1",
    "https://console.agora.io/x",
    "a,b",
    "id\n",
    "x" * 129,
    "\u00e4" * 24,
]


@pytest.mark.parametrize("options", [{}, {"since": str(SINCE)}, {"around": str(SINCE + 60)}])
@pytest.mark.parametrize("call_id", IMPOSSIBLE)
def test_impossible_call_id_takes_no_request(call_id, options):
    harness = make_harness()
    with pytest.raises(InvalidRequest, match="cannot be a call id"):
        harness.run(lambda client: CallSearch(**options).find(client, call_id))
    assert harness.requests == {}


@pytest.mark.parametrize("call_id", ["standup", "room-12", "a-long-name-of-a-channel-without-digits"])
def test_text_that_looks_like_no_call_id_takes_no_request_without_a_range(call_id):
    harness = make_harness()
    with pytest.raises(InvalidRequest, match=r"does not look like a call id.*--around TIME to search anyway"):
        harness.run(lambda client: CallSearch().find(client, call_id))
    assert harness.requests == {}
    with pytest.raises(InvalidRequest, match="no call with the id"):
        harness.run(lambda client: CallSearch(around=str(SINCE + 3600)).find(client, call_id))
    assert harness.requests["call/lists"] == 1


def test_real_call_id_is_found():
    harness = make_harness()
    wanted = harness.world.calls[3].call_id
    found = harness.run(lambda client: CallSearch().find(client, wanted))
    assert found.call_id == wanted


@pytest.mark.parametrize("call_id", ["", "stand up", "id\n", "x" * 1025])
def test_client_refuses_an_impossible_call_id(call_id):
    async def job(client):
        ends = (SINCE, SINCE + 600)
        for ask in (client.sessions, client.metrics):
            with pytest.raises(InvalidRequest, match="cannot be a call id"):
                await ask(call_id, *ends).collect()
        for ask in (client.statistics, client.freeze_distribution, client.statistics_over_time):
            with pytest.raises(InvalidRequest, match="cannot be a call id"):
                await ask(call_id, since=ends[0], until=ends[1])

    harness = make_harness()
    harness.run(job)
    assert harness.requests == {}
