"""Several simulators behind one address: each request goes to the one that knows its path."""

from typing import Protocol

from starlette.applications import Starlette
from starlette.routing import Match
from starlette.types import Receive, Scope, Send


class Application(Protocol):
    """What can be served: a simulator."""

    @property
    def app(self) -> Starlette:
        """The ASGI application."""
        ...


class CombinedSimulator:
    """Plays several vendors at once. Each simulator counts for itself; the first answers what none of them knows.

    Example:
        >>> sim = CombinedSimulator(Simulator(world), OpenTokSimulator(sessions), ApsaraVideoSimulator(metrics))
        >>> with serve_in_thread(sim) as base_url: ...
    """

    def __init__(self, *simulators: Application) -> None:
        self._apps = [simulator.app for simulator in simulators]
        self.app = Starlette()
        self.app.router.default = self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        knows = (
            app for app in self._apps if any(route.matches(scope)[0] is Match.FULL for route in app.routes)
        )
        await next(knows, self._apps[0])(scope, receive, send)
