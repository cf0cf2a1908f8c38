"""An in-process HTTP client of the OpenTok simulator, with valid tokens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
from attrs import define

from agora_analytics.simulator import DEMO_PROJECT, OpenTokSimulator, OpenTokWorld

NOW = 1_795_089_600  # 2026-11-19 12:00 UTC
DAY = 86_400
((KEY, SECRET),) = DEMO_PROJECT.items()
WORLD = OpenTokWorld.generate(seed=7, since=NOW - 15 * DAY, until=NOW, sessions=12)
SESSIONS = (
    "query($ids: [String]!) {project(projectId: 45000001) {sessionData {sessions(sessionIds: $ids) %s}}}"
)


def token(
    key: str = KEY, secret: str = SECRET, *, now: float = NOW, algorithm: str = "HS256", **claims: Any
) -> str:
    return jwt.encode(
        {"iss": key, "ist": "project", "iat": int(now), "exp": int(now) + 180} | claims,
        secret,
        algorithm=algorithm,
    )


@define
class InsightsClient:
    """A client of one simulator. `now` is the simulator's time."""

    http: httpx.AsyncClient
    sim: OpenTokSimulator
    now: float

    def headers(self, content_type: str | None = "application/json") -> dict[str, str]:
        made = {"X-OPENTOK-AUTH": token(now=self.now)}
        return made | {"Content-Type": content_type} if content_type else made

    async def ask(self, query: str, path: str = "/graphql", **variables: Any) -> httpx.Response:
        body = {"query": query, "variables": variables}
        return await self.http.post(path, json=body, headers=self.headers())

    async def project(self, query: str, **variables: Any) -> Any:
        """Return the project of a response without errors."""
        response = await self.ask(query, **variables)
        answer = response.json()
        assert response.status_code == 200, answer
        assert "errors" not in answer, answer
        return answer["data"]["project"]

    async def codes(self, query: str, **variables: Any) -> list[int]:
        """Return the error codes of a response."""
        return [error["errorCode"] for error in (await self.ask(query, **variables)).json()["errors"]]


@asynccontextmanager
async def connected(
    world: Any = WORLD, *, now: float = NOW, address: str = "10.0.0.1", **settings: Any
) -> AsyncIterator[InsightsClient]:
    """Serve a world in process. Time stands still unless a test sets `client.now`."""
    client: InsightsClient
    sim = OpenTokSimulator(world, now=lambda: client.now, **settings)
    transport = httpx.ASGITransport(app=sim.app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://sim") as http:
        client = InsightsClient(http, sim, now)
        yield client
