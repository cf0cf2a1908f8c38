"""The settings of a world, drawn from its seed."""

from random import Random

from attrs import evolve, field, frozen

from agora_analytics.agora.plans import CALL_LISTS, CALL_METRICS, CALL_SESSIONS, ENTERPRISE, Plan
from agora_analytics.simulator import CallTruth, Dirt, Faults, SessionTruth
from agora_analytics.simulator.dirt import DIRT_KINDS, LOSSES, DirtKind
from agora_analytics.simulator.faults import FaultKind
from agora_analytics.simulator.ground_truth.records import Peer
from tests.worlds.process import Kill

MIDNIGHT = 1_795_132_800  # 2026-11-20 00:00 UTC
DAY = 86_400

_FAULTS: tuple[FaultKind, ...] = (
    "reset", "500", "503-html", "504-html", "429", "cut-off", "broken-json", "hang", "lost-answer"
)  # fmt: skip
_HARMLESS_DIRT: tuple[DirtKind, ...] = tuple(
    kind for kind in DIRT_KINDS if kind not in LOSSES and kind not in {"gzip-bomb", "cookie"}
)
_AHEAD = (0.0, 0.0, 0.0, 0.0, 1.5, -1.5, 30.0, -30.0, 400.0, -400.0, 7_200.0, -7_200.0)


@frozen(kw_only=True)
class WorldSettings:
    """What happens in a world, apart from the order of its steps.

    Attributes:
        start: when the first harvest starts (UTC epoch seconds, the right time).
        until: the end of the harvested range; every call has ended by then.
        calls: the calls.
        interval: the mean seconds between two samples.
        page_size, sids_in_a_request: smaller than the API's limits, so that a few records take several requests.
        requests_a_second, requests_a_day: the limits of every endpoint.
        latency: the least and the most seconds of a request.
        faults, dirt: see the simulator.
        ahead: seconds by which the clock of the machine is ahead at first.
        clock_steps: when the clock is set (seconds from the start), and by how much.
        kills: for each harvest, when its processes are killed, one after another.
        gaps: for each harvest, the seconds before each of its runs.
        snapshots: how many more runs a harvest has before all calls have ended.
        last_known: the `leave_ts` of an ongoing session that the server sends: the time, an old time, or 0.
        shared_ledger: count in a file; otherwise in the memory of the only process.
        compactions: after how many renames of files each compaction starts, and when it is killed.
        compacts_after_kill: compact whenever a harvest was killed.
        readers: after how many renames each query starts.
        lookups, web_requests: how many of these happen at the same time.
        durable: flush files to the disk.
        slow_share: the share of tasks and threads that are slow.
    """

    seed: int
    start: float
    until: int
    calls: tuple[CallTruth, ...] = field(repr=False)
    interval: int
    page_size: int
    sids_in_a_request: int
    requests_a_second: int
    requests_a_day: int
    latency: tuple[float, float]
    faults: Faults
    dirt: Dirt | None
    ahead: float
    clock_steps: tuple[tuple[float, float], ...]
    kills: tuple[tuple[Kill, ...], ...]
    gaps: tuple[tuple[float, ...], ...]
    snapshots: int
    last_known: str
    shared_ledger: bool
    compactions: tuple[tuple[int, Kill | None], ...]
    compacts_after_kill: bool
    readers: tuple[int, ...]
    lookups: int
    web_requests: int
    durable: bool
    slow_share: float

    @property
    def harvests(self) -> int:
        """The number of harvests that run at the same time."""
        return len(self.kills)

    @property
    def since(self) -> int:
        """The start of the harvested range."""
        return min(int(self.start) - 600, *(call.created_ts for call in self.calls))

    @property
    def plan(self) -> Plan:
        """The plan of the account."""
        rows = {name: ENTERPRISE.limits[name] for name in (CALL_LISTS, CALL_SESSIONS, CALL_METRICS)}
        numbers = {"requests": self.requests_a_second, "per_day": self.requests_a_day}
        return evolve(ENTERPRISE, limits={name: evolve(row, **numbers) for name, row in rows.items()})

    @property
    def has_right_clock(self) -> bool:
        """Whether the clock of the machine is right all the time."""
        return self.ahead == 0 and not self.clock_steps

    @classmethod
    def draw(cls, seed: int) -> "WorldSettings":
        """Draw the settings of a world."""
        dice = Random(f"settings of {seed}")
        start = _start(dice)
        # a list of sessions has to fit into a day's quota, because it is stored as a whole
        quota = dice.choice((10_000, 10_000, 10_000, 10_000, 10))
        interval = dice.choice((5, 40, 40, 90))
        count = dice.choice((1, 2, 3, 3, 4, 5))
        calls = tuple(_call(dice, number, int(start), interval) for number in range(count))
        harvests = dice.choice((1, 1, 1, 2, 2, 3))
        lookups = dice.choice((0, 0, 0, 3))
        web_requests = dice.choice((0, 0, 0, 0, 6))
        is_dirty = dice.random() < 0.15
        return cls(
            seed=seed,
            start=start,
            until=max(int(start), *(call.destroyed_ts + 1 for call in calls)),
            calls=calls,
            interval=interval,
            page_size=100 if quota < 100 else dice.choice((1, 2, 100)),
            sids_in_a_request=dice.choice((1, 2, 20)),
            requests_a_second=dice.choice((2, 3, 10)),
            requests_a_day=quota,
            latency=dice.choice(((0.0, 0.0), (0.02, 0.08), (0.02, 0.2))),
            faults=Faults(
                share=dice.choice((0.0, 0.0, 0.1, 0.3)),
                kinds=tuple(dice.sample(_FAULTS, dice.randint(1, 3))),
                seed=seed,
                first=40,
            ),
            dirt=Dirt(
                share=dice.choice((0.1, 0.4)),
                kinds=tuple(dice.sample(_HARMLESS_DIRT, 5))
                + (("milliseconds", "unreadable-key") if dice.random() < 0.5 else ()),
                seed=seed,
            )
            if is_dirty
            else None,
            ahead=dice.choice(_AHEAD),
            clock_steps=tuple(
                (dice.uniform(0, dice.choice((3, 60))), dice.choice((-90.0, -30.0, -3.0, 3.0, 30.0, 90.0)))
                for _ in range(dice.choice((0, 0, 0, 0, 1, 2)))
            ),
            kills=tuple(
                tuple(_kill(dice) for _ in range(dice.choice((0, 1, 1, 2)))) for _ in range(harvests)
            ),
            gaps=tuple(
                tuple(dice.choice((0.0, 0.5, 30.0, 1_500.0)) for _ in range(12)) for _ in range(harvests)
            ),
            snapshots=dice.choice((0, 0, 1, 2, 3)),
            last_known=dice.choice(("now", "now", "joined", "zero")),
            shared_ledger=harvests > 1 or bool(lookups or web_requests) or dice.random() < 0.5,
            compactions=tuple(
                (dice.randint(1, 60), _kill(dice) if dice.random() < 0.3 else None)
                for _ in range(dice.choice((0, 0, 1, 3)))
            ),
            compacts_after_kill=dice.random() < 0.3,
            readers=tuple(dice.randint(1, 60) for _ in range(dice.choice((0, 0, 0, 0, 2)))),
            lookups=lookups,
            web_requests=web_requests,
            durable=dice.random() < 0.2,
            slow_share=dice.choice((0.0, 0.1, 0.4)),
        )


def _start(dice: Random) -> float:
    """Return when the first harvest starts: often shortly before midnight, or after it, when most calls are of a closed day."""
    match dice.choice(("day", "day", "day", "before", "after", "after")):
        case "before":
            return MIDNIGHT - dice.uniform(0.2, dice.choice((6, 60)))
        case "after":
            return MIDNIGHT + dice.uniform(5, 7_200)
        case _:
            return MIDNIGHT - dice.uniform(0, DAY / 2)


def _kill(dice: Random) -> Kill:
    """Return when a process is killed: early and late steps are equally likely."""
    if dice.random() < 0.4:
        return Kill(int(10 ** dice.uniform(0, 1.6)), renames=True)
    return Kill(int(10 ** dice.uniform(0.5, 3.1)))


def _call(dice: Random, number: int, start: int, interval: int) -> CallTruth:
    began, ended = _times(dice, start, interval / 40)
    users = dice.choice((1, 1, 2, 3, 5))
    stays = [(began, ended)]
    for _ in range(users - 1):
        joined = dice.randint(began, ended)
        stays.append((joined, dice.choice((ended, dice.randint(joined, ended)))))
    sessions = tuple(
        SessionTruth(
            sid=f"{number}-{user}".encode().hex().rjust(32, "0").upper(),
            uid=str(user + 1),
            join_ts=joined,
            leave_ts=left,
            key=dice.getrandbits(32),
            video=False,
            peers=(Peer(uid="1", uid_is_number=True, join_ts=began, leave_ts=ended),)
            if user and dice.random() < 0.3
            else (),
        )
        for user, (joined, left) in enumerate(stays)
    )
    return CallTruth(
        call_id=f"call-{number}-{dice.getrandbits(32):08x}",
        cname=f"channel-{number}",
        created_ts=began,
        destroyed_ts=ended,
        sessions=sessions,
        extra={"call_acu": users, "call_pcu": users},
    )


def _times(dice: Random, start: int, scale: float) -> tuple[int, int]:
    """Return when a call begins and ends. `scale` keeps the number of samples within bounds."""
    match dice.choice(("ended", "ended", "ongoing", "ongoing", "later", "instant", "long")):
        case "ongoing":
            began = start - dice.uniform(60, 150 + 600 * scale)
            ended = start + dice.uniform(10, 1_500 * scale)
        case "later":
            began = start + dice.uniform(0, 1_000)
            ended = began + dice.uniform(10, 500 * scale)
        case "instant":
            ended = began = start - dice.uniform(100, 90_000)
        case "long" if scale >= 1:  # in two windows of the plan
            began = start - dice.uniform(30_000, 90_000)
            ended = began + dice.uniform(22_000, 25_000)
        case _:
            began = start - dice.choice((900, 9_000, 90_000)) * dice.uniform(0.5, 1)
            ended = min(began + dice.uniform(30, 1_500 * scale), start - 1)
    return int(began), int(ended)
