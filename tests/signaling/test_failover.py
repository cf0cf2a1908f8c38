"""Today's history fails over as every other request: primary, alternate after a DNS failure, then the neighbour."""

import json

import pytest

from agora_analytics import errors
from agora_analytics.engine.events import HostSwitched
from agora_analytics.messages import FailureKind, TransportFailure
from tests.conftest import response
from tests.signaling.harness import scripted

PRIMARY, ALTERNATE = "https://api.sd-rtn.com", "https://api.agora.io"
NEIGHBOUR = "https://api-cn-north-1.sd-rtn.com"
MESSAGES = {"messageList": [{"message": "hi", "publisher": "ann", "timestamp": 1}], "newStart": 0}
GOOD = response(json.dumps({"errorCode": 200, "data": MESSAGES}).encode())
NO_ROUTE = response({"message": "no Route matched with those values"}, status=404)


def fleet(**trouble):
    """Return a harness in which hosts fail: by a failure, or with a response."""

    def respond(request):
        outcome = trouble.get(
            request.base_url.removeprefix("https://").replace(".", "_").replace("-", "_"), GOOD
        )
        if isinstance(outcome, FailureKind):
            raise TransportFailure(outcome)
        return outcome

    return scripted(*[respond] * 20)


def hosts(harness):
    return [request.base_url for request in harness.transport.requests]


@pytest.mark.parametrize(
    ("kind", "then"),
    [(FailureKind.DNS, ALTERNATE), (FailureKind.CONNECT_TIMEOUT, NEIGHBOUR), (FailureKind.RESET, NEIGHBOUR)],
)
def test_history_fails_over(kind, then):
    harness = fleet(api_sd_rtn_com=kind)
    (message,) = harness.run(lambda c: c.history("ann", "room").collect())
    assert message.message == "hi"
    assert hosts(harness) == [PRIMARY, PRIMARY, then]
    assert [event.new for event in harness.events_of(HostSwitched)] == [then]


@pytest.mark.parametrize("region", ["global", "cn"])
def test_history_prefers_its_documented_host_in_every_region(region):
    harness = fleet()
    harness.run(lambda c: c.history("ann", "room").collect(), region=region)
    assert hosts(harness) == [PRIMARY]


@pytest.mark.parametrize("message", ["no Route matched with those values", "No route matched"])
def test_regional_host_without_the_history_is_skipped(message):
    no_route = response({"message": message}, status=404)
    harness = fleet(api_sd_rtn_com=FailureKind.RESET, api_cn_north_1_sd_rtn_com=no_route)
    assert len(harness.run(lambda c: c.history("ann", "room").collect())) == 1
    assert hosts(harness)[:3] == [PRIMARY, PRIMARY, NEIGHBOUR]
    assert hosts(harness)[3] not in {PRIMARY, NEIGHBOUR}


def test_history_that_no_primary_host_has_is_not_found():
    harness = fleet(api_sd_rtn_com=NO_ROUTE)
    with pytest.raises(errors.NotFound):
        harness.run(lambda c: c.history("ann", "room").collect())
    assert hosts(harness) == [PRIMARY]


def test_base_url_is_the_only_host():
    harness = fleet()
    harness.run(lambda c: c.history("ann", "room").collect(), base_url="http://127.0.0.1:9")
    assert hosts(harness) == ["http://127.0.0.1:9"]
