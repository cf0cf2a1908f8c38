"""One short conversation with each endpoint of each vendor's simulator, whose responses can be changed on their way."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from attrs import evolve, frozen

from agora_analytics import RetryPolicy
from agora_analytics.messages import Request, Response
from tests.agora import harness as agora
from tests.apsaravideo import harness as apsaravideo
from tests.beta import harness as beta
from tests.harness import Harness
from tests.opentok import harness as opentok
from tests.signaling import harness as signaling

Change = Callable[[bytes], bytes]


@frozen
class Conversation:
    """A client's question.

    Attributes:
        name: the name.
        harness: makes the simulated API.
        ask: sends the requests and returns what was read.
        members: the lists of the last response whose members become records, such as `$.data.list[*]`.
        requests: how many requests it takes.
    """

    name: str
    harness: Callable[[], Harness]
    ask: Callable[[Any], Awaitable[Any]]
    members: str = ""
    requests: int = 1

    def run(self, change: Change) -> Any:
        """Run the conversation with every body changed, and return what was read."""
        harness = self.harness()
        harness.transport = _Changed(harness.transport, change)
        retry = RetryPolicy(backoff=(), attempts=2, rate_attempts=2, deadline=60)
        return harness.run(self.ask, retry=retry)


@frozen
class _Changed:
    transport: Any
    change: Change

    @property
    def reports_sent(self) -> bool:
        return getattr(self.transport, "reports_sent", False)

    async def send(self, request: Request) -> Response:
        response = await self.transport.send(request)
        return evolve(response, body=self.change(response.body))

    async def aclose(self) -> None:
        await self.transport.aclose()


@cache
def _agora_world() -> Any:
    return agora.small_world(calls=12, interval=60)


def _agora() -> Harness:
    return agora.make_harness(_agora_world())


@cache
def _days_world() -> Any:
    return agora.small_world(since=int(agora.NOW) - 4 * 86_400, calls=20, interval=600)


def _days() -> Harness:
    return agora.make_harness(_days_world())


@cache
def _live_world() -> Any:
    return agora.small_world(since=int(agora.NOW) - 3600, until=int(agora.NOW), calls=80, interval=60)


def _live() -> Harness:
    return agora.make_harness(_live_world())


@cache
def _beta_world() -> Any:
    return beta.make_world(12)


def _beta() -> Harness:
    return beta.make_harness(world=_beta_world())


def _signaling() -> Harness:
    harness = signaling.make_harness()
    signaling.log_in(harness, 20)
    return harness


def _opentok() -> Harness:
    harness = opentok.make_harness()
    harness.transport = harness.transport.transport  # the schema is checked elsewhere
    return harness


def _call() -> Any:
    return agora.call_with_most_sessions(_agora_world())


def _pages(listing: Callable[[Any], Any]) -> Callable[[Any], Awaitable[Any]]:
    async def ask(client: Any) -> Any:
        return [page async for page in listing(client).pages()]

    return ask


def _of_call(method: str, **more: Any) -> Callable[[Any], Any]:
    call = _call()
    return lambda client: getattr(client, method)(call.call_id, call.created_ts, call.destroyed_ts, **more)


def _rows(method: str, *metrics: str) -> Callable[[Any], Awaitable[Any]]:
    call = _call()

    async def ask(client: Any) -> Any:
        return await getattr(client, method)(
            call.call_id, *metrics, since=call.created_ts, until=call.destroyed_ts
        )

    return ask


async def _messages(client: Any) -> Any:
    sent = await client.channel_message("me", "room", "hello", historical=True)
    return sent, [page async for page in client.history("me", "room").pages()]


async def _events(client: Any) -> Any:
    return await anext(client.user_events(), None)


def _beta_call() -> Any:
    return _beta_world().calls[0]


CONVERSATIONS = [
    Conversation("agora calls", _agora, _pages(lambda client: client.calls(agora.SINCE, agora.UNTIL)), members="$.call_lists[*]"),
    Conversation("agora sessions", _agora, _pages(_of_call("sessions")), members="$.call_info[*]"),
    Conversation("agora metrics", _agora, _pages(_of_call("metrics")), members="$.metrics[*].data[*]", requests=2),
    Conversation("agora statistics", _agora, _rows("statistics", "video_freeze_rate"), members="$.data[*]"),
    Conversation("agora freeze distribution", _agora, _rows("freeze_distribution", "video_freeze_rate"), members="$.data[*]"),
    Conversation("agora statistics over time", _agora, _rows("statistics_over_time"), members="$.data[*]"),
    Conversation("agora usage", _days, lambda client: client.insights.usage("userCount", "4d", "2d"), members="$.data[*]"),
    Conversation(
        "agora quality totals",
        _days,
        lambda client: client.insights.quality_totals("audioFreezeRate", "4d", "2d", by="os"), members="$.data[*]"),
    Conversation("agora realtime", _live, lambda client: client.realtime.quality("audioFreezeRate"), members="$.data[*]"),
    Conversation("agora top", _live, lambda client: client.realtime.top_usage("os"), members="$.data.list[*]"),
    Conversation("beta calls", _beta, _pages(lambda client: client.calls(beta.SINCE, beta.UNTIL))),
    Conversation(
        "beta details",
        _beta,
        _pages(
            lambda client: client.details(
                _beta_call().call_id, _beta_call().created_ts, _beta_call().destroyed_ts
            )
        )),
    Conversation("beta usage", _beta, lambda client: client.usage(since=beta.SINCE, until=beta.UNTIL)),
    Conversation(
        "beta diagnosis",
        _beta,
        _pages(lambda client: client.live_diagnosis()),
    ),
    Conversation("signaling messages", _signaling, _messages),
    Conversation("signaling events", _signaling, _events, members="$.events[*]"),
    Conversation(
        "opentok summaries", _opentok, _pages(lambda client: client.session_summaries("2d")), members="$.data.project.sessionData.sessionSummaries.resources[*]"),
    Conversation(
        "opentok connections",
        _opentok,
        _pages(lambda client: client.connections(opentok.IDS[:2])), members="$.data.project.sessionData.sessions.resources[*].meetings.resources[*].connections.resources[*]"),
    Conversation(
        "opentok samples", _opentok, _pages(lambda client: client.stream_stats(opentok.IDS[:1]))
    ),
    Conversation("opentok days", _opentok, _pages(lambda client: client.project_data("4d", "1d")), members="$.data.project.projectData.resources[*]"),
    Conversation(
        "apsaravideo points",
        apsaravideo.make_harness,
        _pages(lambda client: client.interaction_metrics("VideoStuckRate", "6h")), members="$.Nodes[*]"),
]  # fmt: skip
