"""The test harness: a simulated API or a scripted transport, a virtual clock, and the clients of one vendor.

`tests/<vendor>/harness.py` builds one with the defaults of its vendor; docs/contributing/testing.md has examples.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define, field

from agora_analytics.core.verdicts import Exchange, Payload
from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.messages import FailureKind, Request, Response, TransportFailure
from agora_analytics.testing import VirtualClock, run_virtual

ScriptLine = Response | bytes | tuple[int, bytes] | Exception | FailureKind | Callable[[Request], Response]


class Scripted:
    """A transport that replays a script, one line for each request. `requests` has the requests.

    Args:
        script: responses (a `Response`, a JSON body, or a status and a body), failures, or functions of the request.
        seconds: how long each response takes.
        repeat: repeat the last line; otherwise a request after the last line is an error.
    """

    def __init__(self, *script: ScriptLine, seconds: float = 0.0, repeat: bool = True) -> None:
        self._script = script
        self._seconds = seconds
        self._repeat = repeat
        self.requests: list[Request] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.closed = False

    async def send(self, request: Request) -> Response:
        line = self._next_line()
        self.requests.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self.in_flight -= 1
        if isinstance(line, FailureKind):
            raise TransportFailure(line)
        if isinstance(line, TransportFailure):
            raise TransportFailure(line.kind, line.detail)
        if isinstance(line, Exception):
            raise line
        if isinstance(line, Response):
            return line
        if callable(line):
            return line(request)
        status, body = line if isinstance(line, tuple) else (200, line)
        return Response(status=status, headers={"content-type": "application/json"}, body=body)

    def _next_line(self) -> ScriptLine:
        number = len(self.requests)
        if self._script and self._repeat:
            number = min(number, len(self._script) - 1)
        if number >= len(self._script):
            raise AssertionError(
                f"the script has {len(self._script)} lines and no response for one more request"
            )
        return self._script[number]

    async def aclose(self) -> None:
        self.closed = True


@define
class Harness:
    """Clients of one vendor, and the API that they call.

    Attributes:
        client_class: the async client of the vendor.
        credentials: its positional arguments, unless a test passes others.
        settings: its keyword arguments, which a test can override.
        clock: the virtual clock of the client and of the simulator.
        simulator: the simulated API; None if the transport is scripted.
        transport: what the client sends its requests through; by default the simulator, in process.
        events: what the observer of the clients received.
        world: the ground truth that the simulator serves, if the vendor's tests look at it.
    """

    client_class: Callable[..., Any]
    credentials: tuple[Any, ...]
    settings: dict[str, Any]
    clock: VirtualClock
    simulator: Any = None
    transport: Any = None
    events: list[Any] = field(factory=list)
    world: Any = None

    def __attrs_post_init__(self) -> None:
        if self.transport is None:
            self.transport = AsgiTransport(self.simulator.app)

    def client(self, *credentials: Any, **settings: Any) -> Any:
        """Return a client; arguments override the defaults of the harness."""
        if not credentials and "credentials" not in settings:
            credentials = self.credentials
        defaults = {"transport": self.transport, "clock": self.clock, "observer": self.events.append}
        return self.client_class(*credentials, **(defaults | self.settings | settings))

    def run(self, job: Callable[[Any], Awaitable[Any]], *credentials: Any, **settings: Any) -> Any:
        """Run `job(client)` on virtual time with an open client, and return its result."""

        async def with_client() -> Any:
            async with self.client(*credentials, **settings) as client:
                return await job(client)

        return run_virtual(with_client(), self.clock)

    def events_of(self, kind: type) -> list[Any]:
        """Return the events of a class, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def requests(self) -> Counter[str]:
        """Return how many requests the simulated API received, by endpoint."""
        return self.simulator.seen.requests.copy()

    @property
    def refusals(self) -> Counter[tuple[str, str]]:
        """Return how many requests the simulated API refused, by endpoint and message."""
        return self.simulator.seen.refused.copy()


def exchange(
    outcome: Any, endpoint: Any, *, now: float = 0.0, sent_at: float | None = None, **fields: Any
) -> Exchange:
    """Return an attempt that ended with a response or a failure at `now`, as a vendor's `read` receives it."""
    sent_at = now if sent_at is None else sent_at
    defaults = {
        "endpoint": endpoint,
        "payload": Payload(),
        "outcome": outcome,
        "sent_at": sent_at,
        "now": now,
    }
    return Exchange(**(defaults | fields))
