"""The spans of requests and attempts, against the simulator over a socket."""

import asyncio
from collections import Counter

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.semconv.attributes import (
    error_attributes,
    http_attributes,
    server_attributes,
    url_attributes,
)
from opentelemetry.trace import SpanKind, StatusCode

from agora_analytics import AsyncAgora, RetryPolicy
from agora_analytics.blocking import Agora
from agora_analytics.messages import FailureKind
from agora_analytics.simulator import Faults, Simulator, serve, serve_in_thread
from tests.agora.harness import SINCE, UNTIL, make_harness, scripted
from tests.conftest import CUSTOMER, SECRET, harness_of, response
from tests.faults.fleet import NEIGHBOUR, PRIMARY, ask, dead
from tests.faults.fleet import make_harness as make_fleet

ATTEMPT = "GET /beta/analytics/call/lists"
AT_ONCE = RetryPolicy(backoff=())
RANGE = ("4h", "30m")


def options(world, url, **more):
    return {"app_id": world.app_id, "plan": "enterprise", "base_url": url, "retry": AT_ONCE} | more


async def calls(telemetry, world, *, page_size=100, client=None, **simulator):
    """List calls over a socket with the observer."""
    async with serve(Simulator(world, **simulator)) as url:
        settings = options(world, url, observer=telemetry.observer, **(client or {}))
        async with AsyncAgora(CUSTOMER, SECRET, **settings) as agora:
            return url, await agora.calls(*RANGE, page_size=page_size).collect()


async def test_request_has_a_span_and_a_child_for_its_attempt(telemetry, world):
    url, _ = await calls(telemetry, world)
    attempt, request = telemetry.spans
    assert (request.name, request.kind, request.parent) == ("call/lists", SpanKind.INTERNAL, None)
    assert (attempt.name, attempt.kind) == (ATTEMPT, SpanKind.CLIENT)
    assert telemetry.children(request) == [attempt]
    assert request.status.status_code is attempt.status.status_code is StatusCode.UNSET
    found = dict(attempt.attributes)
    size, start, end = (
        found.pop(f"agora_analytics.{name}") for name in ("response.size", "window.start", "window.end")
    )
    assert size > 100
    assert end - start == pytest.approx(3.5 * 3600, abs=2)
    full = found.pop(url_attributes.URL_FULL)
    assert full.startswith(f"{url}/beta/analytics/call/lists?")
    assert found == {
        "agora_analytics.endpoint": "call/lists",
        http_attributes.HTTP_REQUEST_METHOD: "GET",
        http_attributes.HTTP_RESPONSE_STATUS_CODE: 200,
        server_attributes.SERVER_ADDRESS: "127.0.0.1",
        server_attributes.SERVER_PORT: int(url.rpartition(":")[2]),
        "url.template": "/beta/analytics/call/lists",
    }


async def test_no_attribute_has_a_secret_an_id_or_a_value_of_the_query(telemetry, world):
    _, found = await calls(telemetry, world)
    text = str([dict(span.attributes) for span in telemetry.spans])
    assert found[0].call_id not in text
    assert not any(secret in text for secret in (CUSTOMER, SECRET, world.app_id))
    assert "start_ts=REDACTED" in text


async def test_retries_are_children_with_their_errors(telemetry, world):
    await calls(telemetry, world, faults=Faults(script=("reset", "503-html")))
    (request,) = telemetry.named("call/lists")
    attempts = telemetry.children(request)
    assert [attempt.attributes.get(error_attributes.ERROR_TYPE) for attempt in attempts] == [
        "connection_reset",
        "ServerError",
        None,
    ]
    assert [attempt.status.status_code for attempt in attempts] == [
        StatusCode.ERROR,
        StatusCode.ERROR,
        StatusCode.UNSET,
    ]
    assert [attempt.attributes.get(http_attributes.HTTP_RESPONSE_STATUS_CODE) for attempt in attempts] == [
        None,
        503,
        200,
    ]
    assert [attempt.attributes.get("http.request.resend_count") for attempt in attempts] == [None, 1, 2]
    assert request.status.status_code is StatusCode.UNSET
    assert request.attributes["agora_analytics.request.attempts"] == 3
    waits = [event.attributes["agora_analytics.wait.reason"] for event in request.events]
    assert waits == ["back_off"] * 2


def test_limit_error_in_a_200_body_is_an_error_of_the_attempt(telemetry):
    """The server enforces a lower plan than the client knows."""
    harness = make_harness(server_plan="standard")
    harness.run(lambda client: client.calls(SINCE, UNTIL, page_size=5).collect(), observer=telemetry.observer)
    refused = [
        span for span in telemetry.named(ATTEMPT) if span.attributes.get("error.type") == "RateLimited"
    ]
    assert refused
    assert {span.attributes[http_attributes.HTTP_RESPONSE_STATUS_CODE] for span in refused} == {200}
    assert {span.status.status_code for span in refused} == {StatusCode.ERROR}
    assert {span.status.status_code for span in telemetry.named("call/lists")} == {StatusCode.UNSET}


def test_limit_error_of_every_attempt_is_the_error_of_the_request(telemetry):
    harness = scripted(response({"code": 429, "message": "request too frequent"}))
    with pytest.raises(Exception, match="too frequent"):
        harness.run(lambda client: client.calls("2h", "1h").collect(), observer=telemetry.observer)
    (request,) = telemetry.named("call/lists")
    assert request.attributes["error.type"] == "RateLimited"
    assert request.status.status_code is StatusCode.ERROR


def test_failover_shows_both_hosts(telemetry):
    harness = make_fleet(dead(PRIMARY, by=FailureKind.REFUSED))
    harness.run(ask, observer=[telemetry.observer, harness.events.append])
    (request,) = telemetry.named("call/lists")
    failed, *_, good = telemetry.children(request)
    assert failed.attributes["server.address"] == PRIMARY.removeprefix("https://")
    assert failed.attributes["error.type"] == "connection_refused"
    assert good.attributes["server.address"] == NEIGHBOUR.removeprefix("https://")
    assert good.attributes["server.port"] == 443
    assert "host_switched" in {event.name for event in request.events}
    assert harness.events  # the user's own observer


async def test_cancelled_call_ends_its_spans(telemetry, world):
    def started(event):
        if telemetry.observer._attempts:
            arrived.set()

    arrived = asyncio.Event()
    async with serve(Simulator(world, faults=Faults(script=("hang",)))) as url:
        settings = options(world, url, observer=[telemetry.observer, started])
        async with AsyncAgora(CUSTOMER, SECRET, **settings) as agora:
            with telemetry.tracers.get_tracer("test").start_as_current_span("job"):
                job = asyncio.create_task(agora.calls(*RANGE).collect())
            await arrived.wait()
            job.cancel()
            with pytest.raises(asyncio.CancelledError):
                await job
            assert trace.get_current_span() is trace.INVALID_SPAN
    assert [span.attributes["error.type"] for span in telemetry.spans if span.name != "job"] == [
        "cancelled"
    ] * 2
    assert telemetry.observer._requests == telemetry.observer._attempts == {}


async def test_parallel_pages_have_the_span_of_the_caller_as_parent(telemetry, world):
    with telemetry.tracers.get_tracer("test").start_as_current_span("job"):
        _, found = await calls(telemetry, world, page_size=2, latency=(0.01, 0.02))
    (job,) = telemetry.named("job")
    requests = telemetry.named("call/lists")
    assert len(found) == len(world.calls)
    assert telemetry.children(job) == sorted(requests, key=lambda span: span.start_time)
    assert len(requests) >= 6
    assert {len(telemetry.children(request)) for request in requests} == {1}


async def test_span_of_the_attempt_is_current_while_the_request_is_sent(telemetry, world):
    """So the spans of an instrumentation of httpx are its children."""

    async def instrumentation(request):
        with telemetry.tracers.get_tracer("httpx").start_as_current_span("httpx"):
            pass

    async with httpx.AsyncClient(event_hooks={"request": [instrumentation]}) as http:
        await calls(telemetry, world, client={"http_client": http})
    (attempt,) = telemetry.named(ATTEMPT)
    assert [span.name for span in telemetry.children(attempt)] == ["httpx"]


def test_blocking_client_has_the_span_of_the_calling_thread_as_parent(telemetry, world):
    tracer = telemetry.tracers.get_tracer("test")
    with serve_in_thread(Simulator(world)) as url:
        settings = options(world, url, observer=telemetry.observer)
        with Agora(CUSTOMER, SECRET, **settings) as agora:
            for page_size, name in ((50, "first"), (60, "second")):
                with tracer.start_as_current_span(name):
                    assert agora.calls(*RANGE, page_size=page_size).collect()
    for name in ("first", "second"):
        (job,) = telemetry.named(name)
        assert [span.name for span in telemetry.children(job)] == ["call/lists"]


REQUESTS = {
    "beta": lambda client: client.calls("20h", "10h").collect(),
    "signaling": lambda client: client.peer_message("server", "ann", "hello"),
    "opentok": lambda client: client.session_summaries("16d").collect(),
    "apsaravideo": lambda client: client.interaction_metrics("VideoStuckRate", "1h").collect(),
}


@pytest.mark.parametrize("vendor", REQUESTS)
def test_clients_of_all_vendors_are_traced(vendor, telemetry):
    if vendor == "opentok":
        pytest.importorskip("jwt")
        pytest.importorskip("ariadne")
    harness_of(vendor).make_harness().run(REQUESTS[vendor], observer=telemetry.observer)
    kinds = Counter(span.kind for span in telemetry.spans)
    assert kinds[SpanKind.CLIENT] >= kinds[SpanKind.INTERNAL] >= 1
    attempts = [span for span in telemetry.spans if span.kind is SpanKind.CLIENT]
    assert all(span.parent is not None for span in attempts)
    urls = [span.attributes[url_attributes.URL_FULL] for span in attempts]
    assert not any(word in url for url in urls for word in ("{", "ann"))
