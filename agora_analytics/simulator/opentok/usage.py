"""Usage: a project's minutes, quality and errors on each Pacific day, and the minutes of meetings."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from random import Random

from attrs import frozen

from agora_analytics.simulator.opentok.generator import CLIENTS
from agora_analytics.simulator.opentok.ground_truth import ClientTruth, MeetingTruth, Stay

TIERS = (
    (1, 2), (1, 4), (1, 8), (1, 10), (1, 25), (3, 6), (3, 25), (5, 8), (7, 8),
    (9, 10), (11, 20), (11, 35), (21, 35), (26, 35), (36, 40), (36, None), (41, None),
)  # fmt: skip
LATENCY_MS = (50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000)
BITRATE_KBPS = (
    100, 200, 300, 400, 500, 600, 700, 800, 900, 1000,
    1200, 1400, 1600, 1800, 2000, 2250, 2500, 2750, 3000,
)  # fmt: skip
"""The upper bounds of the histograms' buckets."""
CALLS = ("connect", "publish", "subscribe")
MINUTES_OF_DAYS = (
    "experienceComposer",
    "experienceComposerArchive",
    "experienceComposerBroadcast",
    "individualArchiveMinutes",
    "sdArchiveComposedMinutes",
    "hdArchiveComposedMinutes",
    "sdBroadcastComposedMinutes",
    "hdBroadcastComposedMinutes",
    "hlsMinutes",
    "sipUserMinutes",
)
"""Minutes that are available by country, but not by client."""
_MINUTE = 60_000
_QUIET = 0.03


def tier_name(low: int, high: int | None) -> str:
    """Return the schema's name of a tier of participant minutes, for example `from1To2Publishers`."""
    return f"from{low}To{high}Publishers" if high else f"from{low}PlusPublishers"


def bucket(value: float, bounds: tuple[int, ...], unit: str) -> str:
    """Return the schema's name of the bucket that a value falls in, for example `ms200` or `kbps3000Plus`."""
    bound = next((bound for bound in bounds if value <= bound), None)
    return f"{unit}{bounds[-1]}Plus" if bound is None else f"{unit}{bound}"


@frozen(kw_only=True, eq=False)
class Cell:
    """One day of one kind of client. Amounts are additive; their names are paths such as `publisher/ms200`."""

    day: date
    client: ClientTruth
    amounts: Mapping[str, float]


@frozen(kw_only=True)
class ProjectDays:
    """The days of a project, from `first` to `last`. The same seed gives the same days."""

    seed: str
    first: date
    last: date

    def cells(self, days: Iterable[date]) -> Iterator[Cell]:
        """Yield the cells of the days that the project has, in order. Clients without activity have no cell."""
        for day in days:
            if self.first <= day <= self.last:
                yield from _cells(self.seed, day)


@lru_cache(maxsize=1024)
def _cells(seed: str, day: date) -> tuple[Cell, ...]:
    rng = Random(f"{seed}/{day}")
    present = [client for client in CLIENTS if rng.random() >= 0.15]
    return tuple(Cell(day=day, client=client, amounts=_amounts(rng)) for client in present)


def _amounts(rng: Random) -> Mapping[str, float]:
    amounts: dict[str, float] = defaultdict(float)
    quiet = rng.random() < _QUIET  # all attempts failed: no minutes
    for side in () if quiet else ("publisher", "subscriber"):
        for _ in range(rng.randint(3, 12)):
            _add_stream(amounts, side, rng)
    for call in CALLS:
        attempts = rng.randint(1, 60)
        amounts[f"{call}/attempts"] = attempts
        amounts[f"{call}/failures"] = attempts if quiet else sum(rng.random() < 0.03 for _ in range(attempts))
    if not quiet:
        for low, high in TIERS:
            if low <= 10:
                amounts[f"tier/{tier_name(low, high)}"] = round(rng.uniform(1, 400), 3)
        for name in MINUTES_OF_DAYS:
            amounts[f"day/{name}"] = round(rng.uniform(0, 60), 3)
    return amounts


def _add_stream(amounts: dict[str, float], side: str, rng: Random) -> None:
    minutes, kbps, latency = rng.uniform(1, 60), rng.lognormvariate(6.2, 0.7), rng.lognormvariate(4.6, 0.8)
    amounts[f"{side}/minutes"] += round(minutes, 3)
    amounts[f"{side}/kbps x minutes"] += minutes * kbps
    amounts[f"{side}/ms x minutes"] += minutes * latency
    amounts[f"{side}/streams"] += 1
    amounts[f"{side}/{bucket(latency, LATENCY_MS, 'ms')}"] += 1
    amounts[f"{side}/{bucket(kbps, BITRATE_KBPS, 'kbps')}"] += 1


def total_minutes(stays: Iterable[Stay], now_ms: int) -> float:
    """Return the minutes of all stays up to now."""
    return sum(_end(stay, now_ms) - stay.created_ms for stay in stays) / _MINUTE


def most_at_once(stays: Iterable[Stay], now_ms: int) -> int:
    """Return the most stays at the same time."""
    changes = sorted(change for stay in stays for change in ((stay.created_ms, 1), (_end(stay, now_ms), -1)))
    active = most = 0
    for _, step in changes:  # at equal times, ends are sorted before begins
        active += step
        most = max(most, active)
    return most


def participant_minutes(meetings: Iterable[MeetingTruth], now_ms: int) -> dict[str, float]:
    """Return the minutes of connections by the number of publishers at the time. Tiers overlap, as in rate plans."""
    tiers = {tier_name(low, high): 0.0 for low, high in TIERS}
    for meeting in meetings:
        for published, minutes in _by_publishers(meeting, now_ms):
            for low, high in TIERS:
                if low <= published <= (high or published):
                    tiers[tier_name(low, high)] += minutes
    return tiers


def _by_publishers(meeting: MeetingTruth, now_ms: int) -> Iterable[tuple[int, float]]:
    changes = sorted(
        (at, sign * connects, sign * publishes)
        for stays, connects, publishes in ((meeting.connections, 1, 0), (meeting.publishers, 0, 1))
        for stay in stays
        if stay.created_ms <= now_ms
        for at, sign in ((stay.created_ms, 1), (_end(stay, now_ms), -1))
    )
    connections = publishers = before = 0
    for at, connected, published in changes:
        yield publishers, connections * (at - before) / _MINUTE
        connections, publishers, before = connections + connected, publishers + published, at


def _end(stay: Stay, now_ms: int) -> int:
    return now_ms if stay.destroyed_ms is None else min(stay.destroyed_ms, now_ms)
