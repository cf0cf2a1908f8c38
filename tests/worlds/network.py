"""The network between the processes of a world and the simulated API: a response may arrive after its client was killed."""

import asyncio
import contextvars
from typing import Any

from attrs import define, field

from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.messages import Request, Response, TransportFailure
from tests.worlds.process import Killed, Process
from tests.worlds.scheduler import WorldLoop


@define(eq=False)
class Sent:
    """One request: what it asked, when it was sent, and when its process had the response (seconds of the loop)."""

    endpoint: str
    query: tuple[tuple[str, str], ...]
    sent_at: float
    delivered_at: float | None = None
    status: int = 0


@define
class Network:
    """The transport of the client of one process.

    Attributes:
        process: the process; None: a client that is never killed.
        sent: its requests, in order.
        urls: the URL of every request.
    """

    app: Any
    loop: WorldLoop
    process: Process
    sent: list[Sent] = field(factory=list)
    urls: list[str] = field(factory=list)

    reports_sent = True

    async def send(self, request: Request) -> Response:
        """See `Transport.send`. The server continues if the client is cancelled or killed."""
        if self.process.killed:
            raise Killed
        self.urls.append(request.url)
        endpoint = request.path.rsplit("analytics/", 1)[-1]
        sent = Sent(endpoint, tuple(request.query), self.loop.time())
        self.sent.append(sent)
        self.loop.note(self.process.name, f"sends {endpoint} {dict(request.query)}")
        context = contextvars.copy_context()
        context.run(Process.current.set, None)
        transport = AsgiTransport(self.app)
        serving = context.run(self.loop.create_task, transport.send(request))
        serving.add_done_callback(_retrieve)
        try:
            response = await asyncio.shield(serving)
        except TransportFailure as failure:
            self.loop.note(self.process.name, f"has no response to {endpoint}: {failure.kind.name}")
            raise
        self.loop.note(
            self.process.name,
            f"has the response to {endpoint}: {response.status}, {len(response.body)} bytes",
        )
        sent.delivered_at, sent.status = self.loop.time(), response.status
        return response

    async def aclose(self) -> None:
        """Nothing to close."""


def _retrieve(task: "asyncio.Task[Response]") -> None:
    if not task.cancelled():
        task.exception()
