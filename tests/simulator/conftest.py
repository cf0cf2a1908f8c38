from contextlib import asynccontextmanager

import httpx
import pytest

from agora_analytics.simulator import CallTruth, SessionTruth, Simulator, World

T = 1_795_046_400  # 2026-11-19 00:00 UTC
AUTH = ("demo-customer-id", "demo-customer-secret")


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class ApiClient:
    """An in-process client with valid default parameters."""

    def __init__(self, sim: Simulator, http: httpx.AsyncClient) -> None:
        self.sim = sim
        self.http = http

    async def get(self, endpoint: str, **query) -> httpx.Response:
        (app_id,) = self.sim.worlds
        query = {"appid": app_id, "start_ts": T - 3600, "end_ts": T - 600} | query
        query = {name: value for name, value in query.items() if value is not None}
        return await self.http.get(f"/beta/analytics/{endpoint}", params=query)

    async def body(self, endpoint: str, **query):
        response = await self.get(endpoint, **query)
        assert response.status_code == 200
        return response.json()


@pytest.fixture
def t():
    return T


@pytest.fixture
def clock():
    return Clock(T)


@pytest.fixture
def small_world():
    """Three calls with round numbers: an old one, one of 10:00 to 10:30 before T, and one that ends after T."""

    def session(sid, join, leave, **more):
        return SessionTruth(
            sid=sid, uid=more.pop("uid", "7"), join_ts=join, leave_ts=leave, key=sum(sid.encode()), **more
        )

    def call(call_id, begin, end, *sessions):
        return CallTruth(
            call_id=call_id, cname=f"room-{call_id}", created_ts=begin, destroyed_ts=end, sessions=sessions
        )

    return World(
        [
            call("old", T - 7000, T - 6500, session("S-old", T - 7000, T - 6500)),
            call(
                "mid",
                T - 3000,
                T - 1200,
                session("S-1", T - 3000, T - 1200, uid="5000000000"),
                session("S-2", T - 2500, T - 1300, uid="alice-3", uid_is_number=False),
                session("S-bot", T - 2900, T - 1250, server=True, platform="Linux"),
            ),
            call("now", T - 700, T + 900, session("S-3", T - 700, T - 650), session("S-4", T - 690, T + 900)),
        ]
    )


@pytest.fixture
def connected():
    """Return a context manager that yields an `ApiClient` of a simulator."""

    @asynccontextmanager
    async def manager(sim: Simulator, auth=AUTH):
        transport = httpx.ASGITransport(app=sim.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://sim", auth=auth) as http:
            yield ApiClient(sim, http)

    return manager
