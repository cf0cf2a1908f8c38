"""Injected faults: what a client sees over a socket and in process, and what the counters show."""

import asyncio
import errno
import socket
from contextlib import suppress

import anyio
import httpx
import pytest
from starlette.datastructures import Headers, QueryParams

from agora_analytics.simulator import Faults, Simulator, serve, serve_in_thread
from agora_analytics.simulator.simulated_api import Arrival

AUTH = ("demo-customer-id", "demo-customer-secret")
LISTS = "/beta/analytics/call/lists"


def faulty(world, clock, *script, **more):
    return Simulator(world, now=clock, faults=Faults(script=script), **more)


def query(world, clock):
    return {"appid": world.app_id, "start_ts": int(clock.now) - 7100, "end_ts": int(clock.now) - 600}


def asgi_scope(params, **state):
    return {
        "type": "http",
        "method": "GET",
        "path": LISTS,
        "query_string": str(httpx.QueryParams(params)).encode(),
        "headers": [(b"authorization", b"Basic ZGVtby1jdXN0b21lci1pZDpkZW1vLWN1c3RvbWVyLXNlY3JldA==")],
        "state": state,
    }


def client(url, timeout=5.0):
    return httpx.AsyncClient(base_url=url, auth=AUTH, timeout=timeout)


async def test_reset_is_a_tcp_reset(small_world, clock):
    async with serve(faulty(small_world, clock, "reset")) as url, client(url) as http:
        with pytest.raises(httpx.ReadError):  # an orderly close would be a RemoteProtocolError
            await http.get(LISTS, params=query(small_world, clock))
        assert (await http.get(LISTS, params=query(small_world, clock))).json()["code"] == 200


def test_reset_is_econnreset_on_a_bare_socket(small_world, clock):
    sim = faulty(small_world, clock, "reset")
    with serve_in_thread(sim) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as bare:
            head = f"GET {LISTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ZGVtby1jdXN0b21lci1pZDpkZW1vLWN1c3RvbWVyLXNlY3JldA==\r\n\r\n"
            bare.sendall(head.encode())
            with pytest.raises(ConnectionResetError) as caught:
                bare.recv(100)
    assert caught.value.errno == errno.ECONNRESET
    assert sim.seen.faults == {"reset": 1}


async def test_cut_off_response_has_the_whole_length_and_half_the_body(small_world, clock):
    async with serve(faulty(small_world, clock, "cut-off", None)) as url, client(url) as http:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            await http.get(LISTS, params=query(small_world, clock))
        assert (await http.get(LISTS, params=query(small_world, clock))).json()["total_size"] == 3


async def test_cut_off_response_can_be_read_up_to_the_cut(small_world, clock):
    async with serve(faulty(small_world, clock, "cut-off")) as url, client(url) as http:
        received = b""
        async with http.stream("GET", LISTS, params=query(small_world, clock)) as response:
            length = int(response.headers["content-length"])
            with suppress(httpx.RemoteProtocolError):
                async for chunk in response.aiter_raw():
                    received += chunk
    assert len(received) == length // 2
    assert received.startswith(b'{"code":200')


@pytest.mark.parametrize(
    ("kind", "status", "content_type"),
    [("500", 500, "application/json"), ("429", 429, "application/json"), ("503-html", 503, "text/html"), ("504-html", 504, "text/html")],
)  # fmt: skip
async def test_gateway_errors_have_their_own_format(small_world, clock, kind, status, content_type):
    async with serve(faulty(small_world, clock, kind)) as url, client(url) as http:
        response = await http.get(LISTS, params=query(small_world, clock))
    assert (response.status_code, response.headers["content-type"]) == (status, content_type)
    assert response.headers["x-request-id"]
    if content_type == "text/html":
        assert response.text.startswith("<html>")
    else:
        assert set(response.json()) == {"message"}


async def test_broken_json_is_a_complete_200_that_cannot_be_parsed(small_world, clock):
    async with serve(faulty(small_world, clock, "broken-json")) as url, client(url) as http:
        response = await http.get(LISTS, params=query(small_world, clock))
    assert response.status_code == 200
    with pytest.raises(ValueError, match=r"."):
        response.json()


async def test_hang_lasts_until_the_client_disconnects(small_world, clock):
    sim = faulty(small_world, clock, "hang")
    async with serve(sim) as url, client(url, timeout=20) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.get(LISTS, params=query(small_world, clock), timeout=httpx.Timeout(20, read=0.2))
        assert (await http.get(LISTS, params=query(small_world, clock))).json()["code"] == 200
    assert sim.seen.faults == {"hang": 1}


@pytest.mark.parametrize("waits", [True, False])
async def test_hang_is_bounded_even_if_receive_does_not_block(small_world, clock, monkeypatch, waits):
    monkeypatch.setattr("agora_analytics.simulator.faults.HANG_SECONDS", 0.02)
    aborted = []

    async def receive():
        if waits:
            await anyio.sleep_forever()
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = asgi_scope(query(small_world, clock), abort=lambda: aborted.append(True))
    await faulty(small_world, clock, "hang").app(scope, receive, None)
    assert aborted == [True]


async def test_server_stops_during_a_hanging_response(small_world, clock):
    sim = faulty(small_world, clock, "hang")
    async with asyncio.timeout(20):
        async with serve(sim) as url:
            http = client(url, timeout=30)
            hanging = asyncio.create_task(http.get(LISTS, params=query(small_world, clock)))
            while not sim.seen.faults:  # noqa: ASYNC110 - a counter has no event
                await asyncio.sleep(0.01)
        with pytest.raises(httpx.ReadError):
            await hanging
        await http.aclose()


async def test_failed_request_is_counted_and_spends_quota(small_world, clock, connected):
    sim = Simulator(small_world, "standard", now=clock, faults=Faults(script=("500",)))
    async with connected(sim) as api:
        assert (await api.get("call/lists")).status_code == 500
        assert (await api.body("call/lists"))["code"] == 300
    assert sim.seen.requests["call/lists"] == 2
    assert sim.seen.accepted["call/lists"] == 1


async def test_in_process_transport_offers_abort(small_world, clock):
    """With `abort`, a reset sends nothing, and a cut-off sends the headers and half of the body."""
    for kind, types in (("reset", []), ("cut-off", ["http.response.start", "http.response.body"])):
        sim, sent, aborted = faulty(small_world, clock, kind), [], []
        scope = asgi_scope(query(small_world, clock), abort=lambda aborted=aborted: aborted.append(True))

        async def send(message, sent=sent):
            sent.append(message)

        await sim.app(scope, anyio.sleep_forever, send)
        assert aborted == [True]
        assert [message["type"] for message in sent] == types
        if sent:
            whole = int(dict(sent[0]["headers"])[b"content-length"])
            assert sent[1]["more_body"] is True
            assert len(sent[1]["body"]) == whole // 2


async def test_reset_without_abort_raises(small_world, clock, connected):
    async with connected(faulty(small_world, clock, "reset")) as api:
        with pytest.raises(ConnectionResetError):
            await api.get("call/lists")


def test_repr_of_an_arrival_hides_headers():
    headers, query = Headers({"authorization": "hush-hush"}), QueryParams()
    request = {"endpoint": "e", "number": 1, "now": 0.0, "headers": headers, "query": query}
    assert "hush" not in repr(Arrival(**request, method="GET", parts={}, body=b""))


async def test_latency_passes_half_before_and_half_after_the_count(small_world, connected, monkeypatch):
    waits, now = [], [1_795_046_400.0]

    async def sleep(seconds):
        waits.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("agora_analytics.simulator.simulated_api.anyio.sleep", sleep)
    sim = Simulator(small_world, now=lambda: now[0], latency=(0.4, 0.4))
    async with connected(sim) as api:
        await api.get("call/lists")
    assert waits == [0.2, 0.2]
    assert sim.seen.arrivals["call/lists"] == [1_795_046_400.2]


def test_faults_follow_from_their_seed():
    def thrown(**more):
        throw = Faults(**{"share": 0.3, "seed": 4} | more).dice()
        return [throw("call/lists") for _ in range(300)]

    assert thrown() == thrown()
    assert thrown() != thrown(seed=5)
    assert 50 < sum(kind is not None for kind in thrown()) < 130
    assert set(thrown()) == {None, "reset", "500", "503-html", "cut-off", "broken-json", "hang"}
    assert thrown(kinds=("429",), share=1.0, first=2)[:4] == ["429", "429", None, None]
    assert thrown(script=(None, "hang"), share=0)[:3] == [None, "hang", None]
    more = thrown(share=0.6)
    assert all(more[n] == kind for n, kind in enumerate(thrown()) if kind), (
        "a greater share keeps the faults of a smaller one"
    )


def test_faults_can_be_limited_to_endpoints():
    throw = Faults(share=1.0, kinds=("500",), only={"call/metrics"}).dice()
    assert [throw("call/lists"), throw("call/metrics")] == [None, "500"]


def test_unknown_fault_is_an_error():
    with pytest.raises(ValueError, match="earthquake"):
        Faults(kinds=("earthquake",))
    with pytest.raises(ValueError, match="earthquake"):
        Faults(script=("earthquake",))
