"""Many simulated accounts on virtual time: simulators that are selected by the port of the base URL."""

from typing import Any
from urllib.parse import urlsplit

from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.messages import Request, Response


class ByPort:
    """A transport to several simulators. Port 1 is the first one."""

    reports_sent = True

    def __init__(self, *simulators: Any) -> None:
        self.inner = {port: AsgiTransport(each.app) for port, each in enumerate(simulators, 1)}

    async def send(self, request: Request) -> Response:
        return await self.inner[urlsplit(request.url).port].send(request)

    async def aclose(self) -> None:
        for inner in self.inner.values():
            await inner.aclose()
