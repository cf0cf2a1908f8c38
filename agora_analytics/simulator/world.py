"""A world: the calls of one app, found quickly, and the truth about them for tests to compare with."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Self

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.calls import CallGenerator
from agora_analytics.simulator.ground_truth.records import CallTruth, SeriesTruth, SessionTruth, Totals
from agora_analytics.simulator.ground_truth.series import SampleTiming, points_of, sums_of
from agora_analytics.simulator.ground_truth.sessions import SessionGenerator
from agora_analytics.simulator.ground_truth.world_config import SIMPLE, WorldConfig

DEMO_APP_ID = "d3m0a99000000000000000000000c0de"

_ALWAYS = 1 << 40


class World:
    """The calls, sessions and points of one app. Points are made when they are asked for and never kept.

    Args:
        calls: the truth, in any order; sessions come with the calls.
        app_id: the app that they belong to.
        timing: how often sessions report.
        points: series by sid, for sessions whose points are given instead of made.

    Example:
        >>> world = World.generate(seed=7, since=1_795_000_000, until=1_795_086_400, calls=20)
        >>> len(world.calls), world.totals().calls
        (20, 20)
    """

    def __init__(
        self,
        calls: Iterable[CallTruth],
        *,
        app_id: str = DEMO_APP_ID,
        timing: SampleTiming | None = None,
        points: Mapping[str, Sequence[SeriesTruth]] | None = None,
    ) -> None:
        self.app_id = app_id
        self._points = dict(points or {})
        self.timing = timing or SampleTiming()
        # Newest first, as the API lists them; the id settles equal seconds, so that pages never overlap.
        self._calls = sorted(calls, key=lambda call: (-call.created_ts, call.call_id))
        self._by_id = {call.call_id: call for call in self._calls}
        self._created = np.array([-call.created_ts for call in self._calls], dtype=np.int64)
        self._destroyed = np.array([call.destroyed_ts for call in self._calls], dtype=np.int64)
        self._rooms: dict[str, list[int]] = {}
        for position, call in enumerate(self._calls):
            self._rooms.setdefault(call.cname, []).append(position)

    @classmethod
    def generate(
        cls,
        *,
        seed: int = 7,
        since: float,
        until: float,
        calls: int = 500,
        app_id: str = DEMO_APP_ID,
        simple: bool = False,
        **knobs: Any,
    ) -> Self:
        """Make a world from a seed: the same arguments give the same world on every machine.

        Args:
            seed: where everything comes from.
            since, until: each call begins in [since, until), epoch seconds.
            calls: how many.
            app_id: the app that they belong to.
            simple: short finished calls with 1 to 20 sessions and nothing special.
            knobs: any field of `WorldConfig`, for example `long_share=0.1`.
        """
        config: WorldConfig = evolve(SIMPLE if simple else WorldConfig(), **knobs)
        # Two apps of one seed are two worlds: they share no id.
        seed = int.from_bytes(blake2b(f"{seed}/{app_id}".encode(), digest_size=7).digest())
        maker = CallGenerator(
            seed=seed,
            since=int(since),
            until=int(until),
            config=config,
            sessions=SessionGenerator(seed, config),
        )
        timing = SampleTiming(config.interval, config.gap_share, config.null_share, config.max_series)
        return cls(maker.calls(calls), app_id=app_id, timing=timing)

    @property
    def calls(self) -> Sequence[CallTruth]:
        """All calls of the truth, newest first, whatever the time is."""
        return self._calls

    def call(self, call_id: str) -> CallTruth | None:
        """Return the call with this id, or None."""
        return self._by_id.get(call_id)

    def sessions(self, call: CallTruth) -> tuple[SessionTruth, ...]:
        """Return all sessions of a call, server users included."""
        return call.sessions

    def points(
        self, call: CallTruth, session: SessionTruth, start: int = 0, end: int = _ALWAYS
    ) -> list[SeriesTruth]:
        """Return the series of a session with start <= ts <= end; the same points in whatever windows."""
        del call
        if (given := self._points.get(session.sid)) is None:
            return points_of(session, start, end, self.timing)
        cut = [_between(series, start, end) for series in given]
        return [series for series in cut if len(series.ts)]

    def overlapping(self, start: int, end: int, now: float, cname: str | None = None) -> NDArray[np.int64]:
        """Return the positions in `calls` of those that overlap [start, end] and are visible at `now`, newest first."""
        first = int(np.searchsorted(self._created, -min(end, int(now)), side="left"))
        if cname is None:
            return first + np.flatnonzero(self._destroyed[first:] >= start)
        room = np.array(self._rooms.get(cname, ()), dtype=np.int64)
        room = room[room >= first]
        found: NDArray[np.int64] = room[self._destroyed[room] >= start]
        return found

    def totals(self, now: float | None = None, *, server_users: bool = False) -> Totals:
        """Count and sum what is visible as of `now`, points made anew and dropped again.

        Visible are calls with created_ts <= now, sessions with join_ts <= now, and points with ts <= now;
        None means all of the truth. Reach and delay play no part: a client that harvests windows from the world's
        `since` up to a last `end_ts` gets exactly `totals(now=end_ts)`. Server users and their points count only
        with `server_users=True`, as in the API.
        """
        last = _ALWAYS if now is None else int(now)
        calls = sessions = points = ts_sum = 0
        value_sum = 0.0
        for call in self._calls:
            if call.created_ts > last:
                continue
            calls += 1
            for session in self.sessions(call):
                if session.join_ts > last or (session.server and not server_users):
                    continue
                sessions += 1
                counted, values, times = self._sums(session, last)
                points, value_sum, ts_sum = points + counted, value_sum + values, ts_sum + times
        return Totals(calls=calls, sessions=sessions, points=points, value_sum=value_sum, ts_sum=ts_sum)

    def _sums(self, session: SessionTruth, last: int) -> tuple[int, float, int]:
        if (given := self._points.get(session.sid)) is None:
            return sums_of(session, 0, last, self.timing)
        cut = [_between(series, 0, last) for series in given]
        return (
            sum(len(series.ts) for series in cut),
            sum(float(np.nansum(series.value)) for series in cut),
            sum(int(series.ts.sum()) for series in cut),
        )


def _between(series: SeriesTruth, start: int, end: int) -> SeriesTruth:
    kept = (series.ts >= start) & (series.ts <= end)
    return evolve(series, ts=series.ts[kept], value=series.value[kept])
