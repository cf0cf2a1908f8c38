"""Responses with a wrong `Date`, for the clients of all vendors: which of them move the client's estimate of the time."""

from collections.abc import Awaitable, Callable
from email.utils import formatdate
from importlib import import_module
from typing import Any

import pytest
from attrs import evolve, frozen

from agora_analytics import errors
from agora_analytics.messages import Response
from tests.conftest import ok, response
from tests.harness import Harness, Scripted

HOUR, DAY, YEAR = 3600.0, 86_400.0, 365.25 * 86_400
# What a proxy may send, from hours off to dates that no computer has.
DATES = [
    -3 * HOUR, 3 * HOUR, -400 * DAY, 20 * YEAR,
    "Thu, 01 Jan 1970 00:00:10 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 -2359",
    "Mon, 01 Jan 0001 00:00:00 +2359", "Thu, 19 Nov 99999999 12:00:00 GMT",
]  # fmt: skip


@frozen
class Vendor:
    """A client, a request that it sends, and a good response to it."""

    folder: str
    ask: Callable[[Any], Awaitable[Any]]
    good: Response
    needs: tuple[str, ...] = ()

    def harness(self, *headers: dict[str, Any]) -> Harness:
        """Return a client whose requests get a response for each of the headers, and then good ones without a date."""
        for module in self.needs:
            pytest.importorskip(module)
        make = import_module(f"tests.{self.folder}.harness")
        harness: Harness = make.scripted(self.good)
        answers = [self.answer(harness, **fields) for fields in headers]
        harness.transport = Scripted(*answers, self.good)
        return harness

    def answer(self, harness: Harness, date: float | str, **fields: Any) -> Any:
        """Return a script line: the good response with other fields; `date` is a text, or seconds from now."""

        def line(_: Any) -> Response:
            text = formatdate(harness.clock.now() + date, usegmt=True) if isinstance(date, float) else date
            headers = {**self.good.headers, **fields.get("headers", {}), "date": text}
            return evolve(self.good, **(fields | {"headers": headers}))

        return line


VENDORS = [
    Vendor("agora", lambda c: c.calls("2h", "1h").collect(), ok(call_lists=[], total_size=0, has_more=False)),
    Vendor("beta", lambda c: c.calls("2h", "1h").collect(), ok(call_lists=[], has_more=False)),
    Vendor(
        "signaling",
        lambda c: c.peer_message("server", "ann", "hello"),
        response({"result": "success", "request_id": "r", "code": "message_delivered"}),
    ),
    Vendor(
        "opentok",
        lambda c: c.session_summaries("16d").collect(),
        response(
            {
                "data": {
                    "project": {
                        "sessionData": {
                            "sessionSummaries": {
                                "pageInfo": {"hasNextPage": False, "endCursor": None},
                                "totalCount": 0,
                                "resources": [],
                            }
                        }
                    }
                }
            }
        ),
        ("ariadne", "jwt"),
    ),
    Vendor(
        "apsaravideo",
        lambda c: c.interaction_metrics("CostTime", "1h").collect(),
        response({"Nodes": [], "RequestId": "r"}),
    ),
]
every_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=[vendor.folder for vendor in VENDORS])


def skews(vendor: Vendor, harness: Harness, times: int) -> list[float]:
    """Ask so many times, a minute apart, and return how far the server's clock seems to be ahead after each."""

    async def job(client: Any) -> list[float]:
        found = []
        for _ in range(times):
            try:
                await vendor.ask(client)
            except (errors.APIError, errors.DecodeError):
                assert harness.transport.requests  # a page of a proxy that is not retried
            found.append(round(client._engine.server_time.skew))
            harness.clock.suspend(61)
        return found

    return harness.run(job)


@every_vendor
@pytest.mark.parametrize("date", DATES)
@pytest.mark.parametrize("status", [502, 403, 200])
def test_page_of_a_proxy_teaches_nothing(vendor, date, status):
    page = {"date": date, "status": status, "body": b"<html>", "headers": {"content-type": "text/html"}}
    harness = vendor.harness(page, page)
    assert skews(vendor, harness, 3) == [0, 0, 0]


@every_vendor
@pytest.mark.parametrize("date", DATES[4:])
def test_impossible_date_of_a_good_response_teaches_nothing(vendor, date):
    harness = vendor.harness({"date": date}, {"date": date}, {"date": date})
    assert skews(vendor, harness, 4) == [0, 0, 0, 0]


@every_vendor
def test_response_from_a_cache_teaches_nothing(vendor):
    old = {"date": -3 * HOUR, "headers": {"age": "10800"}}
    assert skews(vendor, vendor.harness(old, old, old), 3) == [0, 0, 0]


@every_vendor
@pytest.mark.parametrize("ahead", [-3 * HOUR, 3 * HOUR])
def test_first_good_response_sets_the_clock(vendor, ahead):
    once = vendor.harness({"date": ahead}, {"date": ahead})
    assert skews(vendor, once, 1) == [ahead]


@every_vendor
@pytest.mark.parametrize("ahead", [-3 * HOUR, 3 * HOUR])
def test_one_later_response_does_not_move_the_clock(vendor, ahead):
    harness = vendor.harness({"date": 0.0}, {"date": ahead}, {"date": 0.0}, {"date": ahead}, {"date": 0.0})
    assert skews(vendor, harness, 6) == [0] * 6


@every_vendor
@pytest.mark.parametrize("ahead", [-3 * HOUR, 3 * HOUR])
def test_second_response_that_agrees_moves_the_clock(vendor, ahead):
    harness = vendor.harness({"date": 0.0}, {"date": ahead}, {"date": ahead})
    assert skews(vendor, harness, 3) == [0, 0, ahead]


@every_vendor
@pytest.mark.parametrize("ahead", [-45.0, 45.0])
def test_change_of_less_than_a_minute_needs_no_second_response(vendor, ahead):
    assert skews(vendor, vendor.harness({"date": 0.0}, {"date": ahead}), 2) == [0, ahead]


@every_vendor
@pytest.mark.parametrize("date", DATES[:4])
def test_wrong_date_of_the_first_response_is_forgotten_unless_it_is_confirmed(vendor, date):
    """The client may be unable to send a request with such a clock, so it does not wait for a better one."""
    harness = vendor.harness({"date": date})

    async def job(client: Any) -> Any:
        await vendor.ask(client)
        harness.clock.suspend(61)
        await vendor.ask(client)
        return client._engine.server_time.skew

    assert harness.run(job) == 0
