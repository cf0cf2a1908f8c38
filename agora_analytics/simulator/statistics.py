"""The `data` of responses about call statistics, Data Insights and Real-time, computed from a world's participants."""

import random
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from attrs import define
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.participants import Floats, Participants, participants_of
from agora_analytics.simulator.query_params import QUALITY, USAGE, Query
from agora_analytics.simulator.world import World

SECONDS = {"1d": 86_400, "1h": 3600, "1m": 60}
LIVE = 20
_DAY_BEGINS = 16 * 3600  # seconds after 00:00 UTC: daily rows of the vendor's sample are at 16:00
TOP, TOP_DEVICES = 20, 50
BUCKETS = {"[0%,3%)": 0.03, "[3%,5%)": 0.05, "[5%,10%)": 0.10, "[10%,100%)": 1.01}
"""The buckets of freeze rates and their upper bounds, which are excluded."""
_FREEZES = frozenset({"uplink_loss", "downlink_loss", "low_bitrate", "cpu", "reconnects", "server_loss"})
IMPAIRED_BY: Mapping[str, frozenset[str]] = {
    "audioFreezeRate": _FREEZES - {"cpu"},
    "videoFreezeRate": _FREEZES,
    "networkDelay": frozenset({"high_delay"}),
}
"""The causes of impairments that add to a rate of all users."""
IMPAIRED_SHARE = 0.4
"""The share of bad time that an impairment of severity 1 adds."""
Aggregate = tuple[float | None, float]
"""A value (None if there was nothing to measure) and its weight: sessions, attempts to join, or minutes."""


@define
class Statistics:
    """Computes the statistics of one world. Its participants are collected at the first request and kept."""

    world: World

    def data(self, endpoint: str, query: Query, now: float) -> Any:
        """Return the `data` of a response, as of `now`."""
        group, _, rest = endpoint.partition("/")
        if group == "call":
            return self._of_call(endpoint, query, now)
        people = self._selected(query, now)
        if rest.endswith("top20"):
            return _top(people, query)
        if rest.endswith("aggregation"):
            return _totals(people, query)
        if group == "realtime":
            return _live(people, query)
        return _by_time(people, query)

    @cached_property
    def _participants(self) -> Participants:
        return participants_of(self.world.calls, self.world.impairments)

    def _selected(self, query: Query, now: float) -> Participants:
        people = self._participants
        people = people.only(
            (people.join < now) & (people.leave > query.start - 86_400) & (people.join <= query.end + 86_400)
        )
        kept = np.ones(len(people), dtype=np.bool_)
        for column, value in (
            (people.product, query.product),
            (people.cname, query.cname),
            (people.groups["country"], query.country),
        ):
            if value:
                kept &= column == value
        if query.values is not None:
            kept &= np.isin(people.groups[query.dimension or "os"], query.values)
        return people.only(kept)

    def _of_call(self, endpoint: str, query: Query, now: float) -> list[dict[str, Any]]:
        call = self.world.call(query.call_id)
        if call is None:
            return []
        people = participants_of([call], self.world.impairments)
        people = people.only((people.join <= min(query.end, now)) & (people.leave >= query.start))
        freezes = people.video if query.metric.startswith("video") else people.audio
        if endpoint == "call/statistics":
            rows = _groups_of_call(people, query)
        elif endpoint == "call/freeze/bucket":
            rows = _buckets(freezes[people.first])
        else:
            minutes = range(query.start // 60 * 60, int(min(query.end, now)) + 1, 60)
            rows = [{"ts": ts, "value": _minute(people, query.metric, ts)} for ts in minutes]
        # The server does not sort the rows.
        random.Random(f"{query.call_id}{query.metric}").shuffle(rows)
        return rows


def _by_time(people: Participants, query: Query) -> list[dict[str, Any]]:
    """Return a row for each day or hour that begins within the range, both ends included."""
    step = SECONDS[query.granularity]
    shift = _DAY_BEGINS if step == 86_400 else 0
    first = -(-(query.start - shift) // step) * step + shift
    return [
        {"ts": ts, query.metric: aggregate(people, query.metric, ts, ts + step)[0]}
        for ts in range(first, query.end + 1, step)
    ]


def _groups_of_call(people: Participants, query: Query) -> list[dict[str, Any]]:
    metric = "videoFreezeRate" if query.metric.startswith("video") else "audioFreezeRate"
    column = people.groups[query.dimension or "os"]
    return [
        {
            "dimension_value": group,
            "user_count": len(np.unique(people.user[column == group])),
            "value": aggregate(people.only(column == group), metric, query.start, query.end + 1)[0],
        }
        for group in np.unique(column).tolist()
    ]


def _buckets(rates: Floats) -> list[dict[str, Any]]:
    counts = np.histogram(rates, bins=[0.0, *BUCKETS.values()])[0].tolist()
    return [
        {"bucket": name, "user_count": users} for name, users in zip(BUCKETS, counts, strict=True) if users
    ]


def _minute(people: Participants, metric: str, ts: int) -> float | None:
    present = people.only((people.join < ts + 60) & (people.leave > ts))
    if metric == "user_count":
        return len(np.unique(present.user))
    freezes = present.video if metric.startswith("video") else present.audio
    if metric.endswith("user_count"):
        return len(np.unique(present.user[freezes >= 0.03]))
    return round(float(freezes.mean()), 4) if len(present) else None


def _totals(people: Participants, query: Query) -> list[dict[str, Any]]:
    start, end = query.start, query.end + 1
    if query.dimension is None:
        value, weight = aggregate(people, query.metric, start, end)
        rows: list[tuple[dict[str, str], float | None, float]] = [({}, value, weight)]
    else:
        most = TOP_DEVICES if query.dimension == "device" else TOP
        groups = _by_group(people, query.dimension, query.metric, start, end, most)
        rows = [({query.dimension: group}, value, weight) for group, value, weight in groups]
    return [
        {**group, query.metric: value, **({"refUsage": weight} if query.metric in QUALITY else {})}
        for group, value, weight in rows
    ]


def _live(people: Participants, query: Query) -> list[dict[str, Any]]:
    """Return rows for the windows from that of the start to the last that ends before the end.

    Quality has no row for a window without users.
    """
    windows = range(query.start // LIVE * LIVE, query.end // LIVE * LIVE, LIVE)
    people = people.only((people.join < windows.stop) & (people.leave > windows.start))
    if query.uids:
        by_user = [(uid, people.only(people.uid == uid)) for uid in query.uids]
        return [
            {"uid": int(uid) if uid.isdigit() else uid, "values": _windows(sessions, query, windows)}
            for uid, sessions in by_user
            if len(sessions)
        ]
    if query.dimension is None:
        return _windows(people, query, windows)
    return [
        {"ts": ts, query.metric: value, query.dimension: group}
        for ts in windows
        for group, value, _ in _by_group(people, query.dimension, query.metric, ts, ts + LIVE, TOP)
    ]


def _windows(people: Participants, query: Query, windows: range) -> list[dict[str, Any]]:
    values = ((ts, aggregate(people, query.metric, ts, ts + LIVE)[0]) for ts in windows)
    return [{"ts": ts, query.metric: value} for ts, value in values if value is not None]


def _top(people: Participants, query: Query) -> dict[str, Any]:
    start = query.start // LIVE * LIVE
    end = start + LIVE
    dimension = query.dimension or "os"
    users = {g: v for g, v, _ in _by_group(people, dimension, "userCount", start, end, 1 << 20)}
    rows: list[dict[str, Any]] = []
    for group, value, _ in _by_group(people, dimension, query.metric, start, end, TOP):
        more = {"userCount": users[group]} if query.with_users or query.metric == "userCount" else {}
        window = {"windowStartTs": start, "windowEndTs": end}
        rows.append({dimension: group, query.metric: value, **more, **window})
    return {"list": rows}


def aggregate(people: Participants, metric: str, start: int, end: int) -> Aggregate:
    """Return a metric over start <= t < end, of the sessions that overlap it."""
    people = people.only((people.join < end) & (people.leave > start))
    overlap: Floats = (np.minimum(people.leave, end) - np.maximum(people.join, start)).astype(np.float64)
    if metric in USAGE:
        return _usage(people, metric, overlap), float(len(people))
    return _rate(people, metric, overlap, start, end)


def _usage(people: Participants, metric: str, overlap: Floats) -> float:
    match metric:
        case "userCount":
            return len(np.unique(people.user))
        case "sessionCount":
            return len(people)
        case "channelCount":
            return len(np.unique(people.call))
        case "peakConcurrentUsers":
            return _peak(people.join, people.leave, people.user)
        case "peakConcurrentChannels":
            return _peak(people.join, people.leave, people.call)
        case "totalVideoDuration":
            minutes = overlap[people.has_video].sum() / 60
        case "totalAudioDuration":
            minutes = overlap[~people.has_video].sum() / 60
        case _:
            minutes = overlap.sum() / 60
    return round(float(minutes), 2)


def _peak(join: NDArray[np.int64], leave: NDArray[np.int64], ids: NDArray[np.int64]) -> int:
    """Return the most ids that were present at the same time. An id that leaves and returns counts throughout."""
    if not len(ids):
        return 0
    unique, position = np.unique(ids, return_inverse=True)
    begin = np.full(len(unique), np.iinfo(np.int64).max)
    end = np.zeros(len(unique), dtype=np.int64)
    np.minimum.at(begin, position, join)
    np.maximum.at(end, position, leave)
    begin.sort()
    end.sort()
    arrived = np.arange(1, len(begin) + 1)
    return int((arrived - np.searchsorted(end, begin, side="right")).max())


def _rate(people: Participants, metric: str, overlap: Floats, start: int, end: int) -> Aggregate:
    if metric.startswith("joinSuccess"):
        joined = people.only((people.join >= start) & (people.join < end))
        tries = int(joined.tries.sum())
        good = len(joined) if metric == "joinSuccessRate" else int(joined.quick.sum())
        return (round(good / tries, 4) if tries else None), float(tries)
    column = {"audioFreezeRate": people.audio, "videoFreezeRate": people.video}.get(metric, people.delay)
    if people.impairments:
        column = _impaired(people, metric, column, overlap, start, end)
    weight = np.where(people.has_video, overlap, 0.0) if metric == "videoFreezeRate" else overlap
    total = float(weight.sum())
    return (round(float((column * weight).sum()) / total, 4) if total else None), round(total / 60, 2)


def _impaired(
    people: Participants, metric: str, shares: Floats, overlap: Floats, start: int, end: int
) -> Floats:
    """Return the shares of bad time with those that the impairments add while they act."""
    total = shares.copy()
    for number, each in enumerate(people.impairments):
        if each.cause in IMPAIRED_BY[metric]:
            first, last = max(start, each.since), min(end, each.until)
            seconds = np.clip(np.minimum(people.leave, last) - np.maximum(people.join, first), 0, None)
            share = np.divide(seconds, overlap, out=np.zeros_like(overlap), where=overlap > 0)
            total += people.impaired[:, number] * each.severity * IMPAIRED_SHARE * share
    return np.minimum(total, 1.0)


def _by_group(
    people: Participants, dimension: str, metric: str, start: int, end: int, most: int
) -> list[tuple[str, float | None, float]]:
    """Return (group, value, weight) of the largest groups, the largest first."""
    groups: list[tuple[str, float | None, float]] = []
    column = people.groups[dimension]
    for group in np.unique(column).tolist():
        members = people.only(column == group)
        if not ((members.join < end) & (members.leave > start)).any():
            continue
        groups.append((group, *aggregate(members, metric, start, end)))
    groups.sort(key=lambda row: (-row[2] if metric in QUALITY else -(row[1] or 0), row[0]))
    return groups[:most]
