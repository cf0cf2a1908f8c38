"""Two harvests of one store that fetch the same call with different session lists, interleaved at chosen responses."""

import asyncio
import json
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
from attrs import define, evolve, field

from agora_analytics.agora.plans import STANDARD
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.engine.transports.asgi import AsgiTransport
from agora_analytics.harvest import HarvestReport, harvest
from agora_analytics.simulator import DEMO_APP_ID, CallTruth, SessionTruth, World
from agora_analytics.simulator.ground_truth.series import SampleTiming
from agora_analytics.store import open_store
from agora_analytics.testing import run_virtual
from tests.harvest.harness import UNTIL as NOW
from tests.harvest.harness import HarvestHarness, contents, make_harness, truth
from tests.harvest.test_ongoing_calls import samples

HOUR, DAY = 3600, 86_400
SETTLED = 20
"""Seconds after which a harvest has sent all requests that do not wait for a held response."""


def world_of(created: float, destroyed: float, sessions: list[tuple[float, float]]) -> World:
    """Return a world with one call; each session is (join, leave)."""
    members = tuple(
        SessionTruth(sid=f"s{i:04d}", uid=str(1000 + i), join_ts=int(join), leave_ts=int(leave), key=i + 1)
        for i, (join, leave) in enumerate(sessions)
    )
    call = CallTruth(
        call_id="call",
        cname="room",
        created_ts=int(created),
        destroyed_ts=int(destroyed),
        sessions=members,
        extra={"call_acu": len(members)},
    )
    return World((call,), timing=SampleTiming(interval=60, gap_share=0, null_share=0, max_series=4))


@define
class SlowServer:
    """Sends requests to the simulated API, and holds responses until they are released.

    Attributes:
        inner: the transport to the simulated API.
        held: the endpoints whose responses are held, each with the number of responses that are not.
        unlisted: the ids of the sessions that the server does not list yet.
    """

    inner: AsgiTransport
    held: Mapping[str, int]
    unlisted: Collection[str] = ()
    _gates: dict[str, asyncio.Event] = field(factory=dict)
    _sent: Counter[str] = field(factory=Counter)

    reports_sent = True

    def release(self, endpoint: str) -> None:
        """Pass on all responses of an endpoint."""
        self._gate(endpoint).set()

    def _gate(self, endpoint: str) -> asyncio.Event:
        return self._gates.setdefault(endpoint, asyncio.Event())

    async def send(self, request):
        endpoint = next(
            name for name in ("call/lists", "call/sessions", "call/metrics") if name in request.url
        )
        self._sent[endpoint] += 1
        free = self._sent[endpoint] <= self.held.get(endpoint, self._sent[endpoint])
        response = await self.inner.send(request)
        if endpoint == "call/sessions" and self.unlisted:
            body = json.loads(response.body)
            kept = [session for session in body["call_info"] if session["sid"] not in self.unlisted]
            body |= {"call_info": kept, "total_size": len(kept)}
            response = evolve(response, body=json.dumps(body).encode())
        if not free:
            await self._gate(endpoint).wait()
        return response

    async def aclose(self) -> None:
        """There is nothing to close."""


@define
class TwoHarvests:
    """Two harvests of one store, each with a transport of its own."""

    harness: HarvestHarness
    servers: tuple[SlowServer, SlowServer]
    reports: list[HarvestReport] = field(factory=list)

    def run(self, interleave) -> None:
        """Run `interleave(start)`, where `start(server)` starts the harvest that uses this server."""

        async def one(server: SlowServer) -> None:
            async with self.harness.client(ledger=MemoryLedger(), transport=server) as client:
                now = self.harness.clock.now()
                store = open_store(self.harness.store, create=True, durable=False)
                self.reports.append(
                    await harvest(client, since=now - DAY, until=now, store=store, compact=False)
                )

        async def job() -> None:
            async with asyncio.TaskGroup() as group:

                async def start(server: SlowServer) -> asyncio.Task[None]:
                    task = group.create_task(one(server))
                    await asyncio.sleep(SETTLED)
                    return task

                await interleave(start)

        run_virtual(job(), self.harness.clock)

    def check(self, *, now: float) -> None:
        """Check that the store has every row once now, and after another run as well, without leftovers."""
        harness = self.harness
        assert contents(harness.tables) == truth(harness.world, now)
        assert all("another harvest" in skip.reason for report in self.reports for skip in report.skipped)
        report = harness.harvest(since=now - DAY, until=now)
        assert (report.complete, report.damaged) == (True, ())
        assert contents(harness.tables) == truth(harness.world, now)
        assert not any(harness.tables.writer.units(DEMO_APP_ID).pending.values())


def two_harvests(
    harness: HarvestHarness,
    first: Mapping[str, int],
    second: Mapping[str, int],
    *,
    unlisted: Collection[str] = (),
) -> TwoHarvests:
    """Return two harvests that hold these responses; the first one does not see the sessions `unlisted`."""
    api = harness.transport
    return TwoHarvests(harness, (SlowServer(api, first, unlisted), SlowServer(api, second)))


@pytest.fixture
def store(tmp_path) -> Path:
    return tmp_path / "store"


@pytest.mark.parametrize("snapshot", [True, False])
@pytest.mark.parametrize("held", ["call/sessions", "call/metrics"])
def test_session_list_is_not_replaced_by_the_snapshot_of_another_harvest(store, snapshot, held):
    """The earlier harvest saw the call ongoing, and discards the pending units of the later one."""
    created, ended = NOW - 2 * HOUR, NOW + HOUR
    world = world_of(created, ended, [(created, ended)] * 3 + [(NOW + 600, ended)] * 2)
    harness = make_harness(world, store, now=NOW - HOUR)
    if snapshot:
        harness.harvest(since=NOW - DAY, until=NOW - HOUR)
    harness.clock.step(HOUR)
    both = two_harvests(harness, {"call/lists": 0, held: 0}, {"call/metrics": 0})
    early, late = both.servers

    async def interleave(start):
        await start(early)
        harness.clock.step(2 * HOUR)
        finished = await start(late)  # its session list is stored
        early.release("call/lists")
        await asyncio.sleep(SETTLED)  # the earlier harvest has discarded it, and then perhaps stored its own
        late.release("call/metrics")
        await finished
        early.release(held)

    both.run(interleave)
    both.check(now=NOW + 3 * HOUR)


def test_call_is_published_with_the_session_list_of_its_metrics(store):
    """The server lists two sessions late. The harvest that does not see them stores its list last."""
    created, ended = NOW - 2 * HOUR, NOW - HOUR
    world = world_of(created, ended, [(created, ended)] * 5)
    harness = make_harness(world, store, now=NOW)
    both = two_harvests(
        harness,
        {"call/sessions": 0, "call/metrics": 0},
        {"call/metrics": 0},
        unlisted=("s0001", "s0004"),
    )
    early, late = both.servers

    async def interleave(start):
        await start(early)
        finished = await start(late)
        early.release("call/sessions")
        await asyncio.sleep(SETTLED)
        late.release("call/metrics")
        await finished
        early.release("call/metrics")

    both.run(interleave)
    both.check(now=NOW)


@pytest.mark.parametrize("passed", [1, 2])
def test_call_never_mixes_the_batches_of_two_session_lists(store, passed):
    """The lists differ in the first session, so that every batch has other sessions. Both harvests store some."""
    created, ended = NOW - 2 * HOUR, NOW - HOUR
    world = world_of(created, ended, [(created, ended)] * 45)
    harness = make_harness(world, store, now=NOW)
    both = two_harvests(
        harness,
        {"call/sessions": 0, "call/metrics": passed},
        {"call/metrics": passed},
        unlisted=("s0000",),
    )
    early, late = both.servers

    async def interleave(start):
        await start(early)
        finished = await start(late)
        early.release("call/sessions")
        await asyncio.sleep(SETTLED)
        late.release("call/metrics")
        await finished
        early.release("call/metrics")

    both.run(interleave)
    both.check(now=NOW)


def test_interrupted_harvests_with_two_session_lists_are_completed(store):
    """Both are cancelled when each has stored a list and some batches; the older list is stored last."""
    created, ended = NOW - 2 * HOUR, NOW - HOUR
    world = world_of(created, ended, [(created, ended)] * 45)
    harness = make_harness(world, store, now=NOW)
    both = two_harvests(
        harness,
        {"call/sessions": 0, "call/metrics": 2},
        {"call/metrics": 1},
        unlisted=("s0000",),
    )
    early, late = both.servers

    async def interleave(start):
        tasks = [await start(early), await start(late)]
        early.release("call/sessions")
        await asyncio.sleep(SETTLED)
        for task in tasks:
            task.cancel()

    both.run(interleave)
    assert harness.tables.counts()["calls"] == 0
    assert harness.harvest(since=NOW - DAY, until=NOW).complete
    both.check(now=NOW)


def test_samples_that_have_left_the_retention_are_not_replaced(store):
    """The second harvest requests the same batches an hour later, when the first hour has left the retention."""
    created, ended = NOW - DAY + 600, NOW - DAY + 3 * HOUR
    world = world_of(created, ended, [(created, ended)] * 45)
    harness = make_harness(world, store, now=NOW, plan=STANDARD)
    both = two_harvests(harness, {"call/metrics": 2}, {"call/sessions": 0})
    early, late = both.servers
    before = set[tuple[object, ...]]()

    async def interleave(start):
        await start(late)
        await start(early)
        before.update(samples(store.glob("_pending/metrics/*/*/*")))
        harness.clock.step(HOUR)
        late.release("call/sessions")
        await asyncio.sleep(SETTLED)
        early.release("call/metrics")

    both.run(interleave)
    assert before
    assert before <= samples(harness.tables.files("metrics"))
    contents(harness.tables)


def test_batches_do_not_depend_on_which_harvest_listed_a_session(store):
    """One harvest takes a session of the second batch from the list of the other, and makes the same batches from it."""
    created, ended = NOW - 2 * HOUR, NOW - HOUR
    world = world_of(created, ended, [(created, ended)] * 45)
    harness = make_harness(world, store, now=NOW)
    both = two_harvests(harness, {"call/sessions": 0}, {"call/metrics": 2}, unlisted=("s0030",))
    early, late = both.servers

    async def interleave(start):
        await start(early)
        (await start(late)).cancel()  # it has stored its list and two batches
        early.release("call/sessions")

    both.run(interleave)
    assert contents(harness.tables) == truth(world, NOW)
    assert not any(harness.tables.writer.units(DEMO_APP_ID).pending.values())
