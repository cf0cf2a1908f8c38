"""The HTTP server: in the running event loop, in a thread, and as a program that stops on a signal."""

import os
import signal
import socket
import threading

import httpx
import pytest

from agora_analytics.simulator import Simulator, World, run, serve, serve_in_thread

AUTH = ("demo-customer-id", "demo-customer-secret")


@pytest.fixture
def query(small_world, t):
    return {"appid": small_world.app_id, "start_ts": t - 7100, "end_ts": t - 600}


async def test_serve_listens_until_the_block_ends(small_world, clock, query):
    sim = Simulator(small_world, now=clock)
    async with serve(sim) as url:
        async with httpx.AsyncClient(base_url=url, auth=AUTH) as http:
            bodies = [(await http.get("/beta/analytics/call/lists", params=query)).json() for _ in range(3)]
        assert [body["total_size"] for body in bodies] == [3, 3, 3]
    async with httpx.AsyncClient(base_url=url) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("/")
    assert sim.seen.worst_window("call/lists") == 3


async def test_large_body_arrives_whole(t, clock):
    world = World.generate(
        since=t - 20_000, until=t - 10_000, calls=1, simple=True, minutes=45, sigma=0.01, session_range=(20, 20),
        full_stay=True, rhythm=False,
    )  # fmt: skip
    (call,) = world.calls
    sids = ",".join(session.sid for session in call.sessions)
    sim = Simulator(world, now=clock)
    async with serve(sim) as url, httpx.AsyncClient(base_url=url, auth=AUTH) as http:
        params = {
            "appid": world.app_id,
            "start_ts": t - 20_000,
            "end_ts": t - 1000,
            "call_id": call.call_id,
            "sids": sids,
        }
        response = await http.get("/beta/analytics/call/metrics", params=params)
    points = sum(len(series["kvs"]) for session in response.json()["metrics"] for series in session["data"])
    assert points == world.totals().points == sim.seen.points["call/metrics"]
    assert points > 50_000


def test_serve_in_thread_serves_blocking_clients(small_world, clock, query):
    sim = Simulator(small_world, now=clock)
    others = threading.enumerate()
    with serve_in_thread(sim) as url, httpx.Client(base_url=url, auth=AUTH) as http:
        assert http.get("/beta/analytics/call/lists", params=query).json()["code"] == 200
    for thread in threading.enumerate():
        if thread.name == "agora-simulator" and thread not in others:  # it ends a little after its event loop
            thread.join(20)
            assert not thread.is_alive()


def test_port_in_use_is_an_error(small_world):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"), serve_in_thread(Simulator(small_world), port=port):
            pass
        with pytest.raises(OSError, match="in use"):
            run(Simulator(small_world), port=port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_returns_after_a_signal_and_restores_the_handlers(small_world, number):
    before = signal.getsignal(number)
    urls = []

    def started(url):
        urls.append(url)
        threading.Timer(0.02, os.kill, (os.getpid(), number)).start()

    run(Simulator(small_world), port=0, on_start=started)
    assert urls[0].startswith("http://127.0.0.1:")
    assert signal.getsignal(number) is before
