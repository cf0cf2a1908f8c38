"""The `data` of answers about statistics, Data Insights and Real-time, tallied from a world's roster."""

import random
from typing import Any

import numpy as np
from attrs import define, field

from agora_analytics.simulator.aggregates import RATES, aggregate, by_group, keep
from agora_analytics.simulator.ground_truth.participants import Participants, participants_of
from agora_analytics.simulator.query_params import StatisticsQuery
from agora_analytics.simulator.world import World

SECONDS = {"1d": 86_400, "1h": 3600, "1m": 60}
LIVE = 20
TOP, TOP_DEVICES = 20, 50
BUCKETS = ((0.03, "[0%,3%)"), (0.05, "[3%,5%)"), (0.10, "[5%,10%)"), (1.01, "[10%,100%)"))


@define
class Statistics:
    """Answers for one world. Its roster is made when it is first needed, and kept."""

    world: World
    day_begins: int = 16 * 3600  # seconds behind 00:00 UTC: the vendor's sample of daily rows is at 16:00
    _roster: Participants | None = field(default=None, init=False)

    def answer(self, asked: StatisticsQuery, now: float) -> Any:
        """Return the `data` of an answer, as of `now`."""
        group, _, rest = asked.endpoint.partition("/")
        if group == "call":
            return self._of_call(asked, now)
        people = self._people(asked, now)
        if rest.endswith("top20"):
            return _top(people, asked)
        if rest.endswith("aggregation"):
            return _totals(people, asked)
        if group == "realtime":
            return _live(people, asked)
        return self._by_time(people, asked)

    def _all(self) -> Participants:
        if self._roster is None:
            self._roster = participants_of((call, self.world.sessions(call)) for call in self.world.calls)
        return self._roster

    def _people(self, asked: StatisticsQuery, now: float) -> Participants:
        people = self._all()
        people = people.only(
            (people.join < now) & (people.leave > asked.start - 86_400) & (people.join <= asked.end + 86_400)
        )
        return keep(
            people,
            (people.product, [asked.product] if asked.product else None),
            (people.cname, [asked.cname] if asked.cname else None),
            (people.groups["country"], [asked.country] if asked.country else None),
            (people.groups[asked.dimension or "os"], asked.values),
        )

    def _by_time(self, people: Participants, asked: StatisticsQuery) -> list[dict[str, Any]]:
        """Rows for the days or hours that begin within the range, both ends included."""
        step = SECONDS[asked.granularity]
        shift = self.day_begins if step == 86_400 else 0
        first = -(-(asked.start - shift) // step) * step + shift
        rows = []
        for ts in range(first, asked.end + 1, step):
            value, _ = aggregate(people, asked.metric, ts, ts + step)
            rows.append({"ts": ts, asked.metric: value})
        return rows

    def _of_call(self, asked: StatisticsQuery, now: float) -> list[dict[str, Any]]:
        call = self.world.call(asked.call_id)
        if call is None:
            return []
        people = participants_of([(call, self.world.sessions(call))])
        people = people.only((people.join <= min(asked.end, now)) & (people.leave >= asked.start))
        frozen = people.video if asked.metric.startswith("video") else people.audio
        shuffled = random.Random(f"{asked.call_id}{asked.metric}")
        if asked.endpoint == "call/statistics":
            rows = _groups_of_call(people, asked)
        elif asked.endpoint == "call/freeze/bucket":
            rows = _buckets(frozen[people.first])
        else:
            minutes = range(asked.start // 60 * 60, int(min(asked.end, now)) + 1, 60)
            rows = [{"ts": ts, "value": _minute(people, asked.metric, ts)} for ts in minutes]
        shuffled.shuffle(rows)  # the server does not sort them
        return rows


def _groups_of_call(people: Participants, asked: StatisticsQuery) -> list[dict[str, Any]]:
    metric = "videoFreezeRate" if asked.metric.startswith("video") else "audioFreezeRate"
    column = people.groups[asked.dimension or "os"]
    return [
        {
            "dimension_value": group,
            "user_count": len(np.unique(people.user[column == group])),
            "value": aggregate(people.only(column == group), metric, asked.start, asked.end + 1)[0],
        }
        for group in np.unique(column).tolist()
    ]


def _buckets(rates: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    low = 0.0
    for high, name in BUCKETS:
        if users := int(((rates >= low) & (rates < high)).sum()):
            rows.append({"bucket": name, "user_count": users})
        low = high
    return rows


def _minute(people: Participants, metric: str, ts: int) -> float | None:
    there = people.only((people.join < ts + 60) & (people.leave > ts))
    if metric == "user_count":
        return len(np.unique(there.user))
    frozen = there.video if metric.startswith("video") else there.audio
    if metric.endswith("user_count"):
        return len(np.unique(there.user[frozen >= 0.03]))
    return round(float(frozen.mean()), 4) if len(there) else None


def _totals(people: Participants, asked: StatisticsQuery) -> list[dict[str, Any]]:
    start, end = asked.start, asked.end + 1
    if asked.dimension is None:
        value, taken_from = aggregate(people, asked.metric, start, end)
        rows: list[tuple[dict[str, str], float | None, float]] = [({}, value, taken_from)]
    else:
        most = TOP_DEVICES if asked.dimension == "device" else TOP
        groups = by_group(people, asked.dimension, asked.metric, start, end, most)
        rows = [({asked.dimension: group}, value, taken_from) for group, value, taken_from in groups]
    return [
        {**group, asked.metric: value, **({"refUsage": taken_from} if asked.metric in RATES else {})}
        for group, value, taken_from in rows
    ]


def _live(people: Participants, asked: StatisticsQuery) -> list[dict[str, Any]]:
    """Rows for the windows from the one that holds the start to the one before the end. Quality has no row where nobody was."""
    windows = range(asked.start // LIVE * LIVE, asked.end // LIVE * LIVE, LIVE)
    people = people.only((people.join < windows.stop) & (people.leave > windows.start))
    if asked.uids:
        mine = [(uid, people.only(people.uid == uid)) for uid in asked.uids]
        return [
            {"uid": int(uid) if uid.isdigit() else uid, "values": _windows(users, asked, windows)}
            for uid, users in mine
            if len(users)
        ]
    if asked.dimension is None:
        return _windows(people, asked, windows)
    rows = []
    for ts in windows:
        for group, value, _ in by_group(people, asked.dimension, asked.metric, ts, ts + LIVE, TOP):
            rows.append({"ts": ts, asked.metric: value, asked.dimension: group})
    return rows


def _windows(people: Participants, asked: StatisticsQuery, windows: range) -> list[dict[str, Any]]:
    values = ((ts, aggregate(people, asked.metric, ts, ts + LIVE)[0]) for ts in windows)
    return [{"ts": ts, asked.metric: value} for ts, value in values if value is not None]


def _top(people: Participants, asked: StatisticsQuery) -> dict[str, Any]:
    start = asked.start // LIVE * LIVE
    end = start + LIVE
    dimension = asked.dimension or "os"
    users = {g: v for g, v, _ in by_group(people, dimension, "userCount", start, end, 1 << 20)}
    rows: list[dict[str, Any]] = []
    for group, value, _ in by_group(people, dimension, asked.metric, start, end, TOP):
        more = {"userCount": users[group]} if asked.with_users or asked.metric == "userCount" else {}
        window = {"windowStartTs": start, "windowEndTs": end}
        rows.append({dimension: group, asked.metric: value, **more, **window})
    return {"list": rows}
