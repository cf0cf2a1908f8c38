"""Simulated OpenTok Insights, and somebody who asks it with good tokens unless a test gives others."""

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
class Asker:
    """Asks one simulator; `now` is its time."""

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
        """Return what an answer without errors says about the project."""
        response = await self.ask(query, **variables)
        answer = response.json()
        assert response.status_code == 200, answer
        assert "errors" not in answer, answer
        return answer["data"]["project"]

    async def codes(self, query: str, **variables: Any) -> list[int]:
        """Return the codes of an answer's errors."""
        return [error["errorCode"] for error in (await self.ask(query, **variables)).json()["errors"]]


@asynccontextmanager
async def asking(
    world: Any = WORLD, *, now: float = NOW, address: str = "10.0.0.1", **settings: Any
) -> AsyncIterator[Asker]:
    """Serve a world in process, at a time that stands still unless `asker.now` is moved."""
    asker: Asker
    sim = OpenTokSimulator(world, now=lambda: asker.now, **settings)
    transport = httpx.ASGITransport(app=sim.app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://sim") as http:
        asker = Asker(http, sim, now)
        yield asker
