"""The world of the Agora simulator: the calls of one app, indexed, and their totals for tests to compare with."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any, Self

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.generator import SIMPLE, WorldConfig, generate_calls
from agora_analytics.simulator.ground_truth.records import CallTruth, SeriesTruth, SessionTruth, Totals
from agora_analytics.simulator.ground_truth.series import SampleTiming, points_of, sums_of
from agora_analytics.simulator.impairments.impairment import Impairment
from agora_analytics.simulator.impairments.rejoins import sessions_under
from agora_analytics.simulator.impairments.simulated_points import SimulatedPoints

DEMO_APP_ID = "d3m0a99000000000000000000000c0de"
"""The app id of the simulated project."""
DEMO_CREDENTIALS: Mapping[str, str] = {"demo-customer-id": "demo-customer-secret"}
"""The customer id and secret that the simulators of Agora accept."""

_ALWAYS = 1 << 40


class World:
    """The calls, sessions and points of one app. Points are generated on request and not stored.

    Args:
        calls: the calls with their sessions, in any order.
        app_id: the app of the calls.
        timing: how often sessions report.
        points: series by sid, for sessions whose points are given instead of generated.
        impairments: what statistics and Real-time add to the rates of the affected users.

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
        impairments: Sequence[Impairment] = (),
    ) -> None:
        self.app_id = app_id
        self.impairments = tuple(impairments)
        # The truth of a mapping needs its length, and that of simulated points all sessions of all calls.
        self._points: Mapping[str, Sequence[SeriesTruth]] = {} if points is None else points
        self.timing = timing or SampleTiming()
        # Newest first, as the API lists them. The id orders calls of the same second, so that pages never overlap.
        self._calls = sorted(calls, key=lambda call: (-call.created_ts, call.call_id))
        self._by_id = {call.call_id: call for call in self._calls}
        self._created = np.array([-call.created_ts for call in self._calls], dtype=np.int64)
        self._destroyed = np.array([call.destroyed_ts for call in self._calls], dtype=np.int64)
        self._by_cname: dict[str, list[int]] = {}
        for position, call in enumerate(self._calls):
            self._by_cname.setdefault(call.cname, []).append(position)

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
        impairments: Sequence[Impairment] = (),
        **knobs: Any,
    ) -> Self:
        """Generate a world from a seed. The same arguments give the same world on every machine.

        Args:
            seed: the seed of everything in the world.
            since, until: each call begins in [since, until), epoch seconds.
            calls: the number of calls.
            app_id: the app of the calls.
            simple: only short finished calls with 1 to 20 sessions; see `SIMPLE`.
            impairments: what goes wrong, for whom and when. With any, a model of the media generates the points of all
                calls, and not only the noise of the networks: capture, congestion control, loss, delay, playback.
            knobs: any field of `WorldConfig`, for example `long_share=0.1`.
        """
        config: WorldConfig = evolve(SIMPLE if simple else WorldConfig(), **knobs)
        # Two apps with one seed share no id.
        seed = int.from_bytes(blake2b(f"{seed}/{app_id}".encode(), digest_size=7).digest())
        drawn = generate_calls(seed=seed, since=int(since), until=int(until), config=config, count=calls)
        timing = SampleTiming(config.interval, config.gap_share, config.null_share, config.max_series)
        if not impairments:
            return cls(drawn, app_id=app_id, timing=timing)
        impaired = [
            evolve(call, sessions=partial(_impaired_sessions, call, tuple(impairments))) for call in drawn
        ]
        points = SimulatedPoints([(call, impairments) for call in impaired], timing)
        return cls(impaired, app_id=app_id, timing=timing, points=points, impairments=impairments)

    @property
    def calls(self) -> Sequence[CallTruth]:
        """All calls, newest first, including those in the future."""
        return self._calls

    def call(self, call_id: str) -> CallTruth | None:
        """Return the call with this id, or None."""
        return self._by_id.get(call_id)

    def points(self, session: SessionTruth, start: int = 0, end: int = _ALWAYS) -> list[SeriesTruth]:
        """Return the series of a session with start <= ts <= end. A session has the same points in every window."""
        if (given := self._points.get(session.sid)) is None:
            return points_of(session, start, end, self.timing)
        cut = [_between(series, start, end) for series in given]
        return [series for series in cut if len(series.ts)]

    def overlapping(self, start: int, end: int, now: float, cname: str | None = None) -> NDArray[np.int64]:
        """Return the positions in `calls` of the calls that overlap [start, end] and are visible at `now`, newest first."""
        first = int(np.searchsorted(self._created, -min(end, int(now)), side="left"))
        if cname is None:
            return first + np.flatnonzero(self._destroyed[first:] >= start)
        positions = np.array(self._by_cname.get(cname, ()), dtype=np.int64)
        positions = positions[positions >= first]
        overlapping: NDArray[np.int64] = positions[self._destroyed[positions] >= start]
        return overlapping

    def totals(self, now: float | None = None, *, server_users: bool = False) -> Totals:
        """Count and sum what is visible at `now`.

        Calls with created_ts <= now, sessions with join_ts <= now and points with ts <= now are visible; None
        includes the future. The plan's reach and delay are ignored: a harvest of the windows from `since` to a last
        `end_ts` returns exactly `totals(now=end_ts)`. Server users and their points count only with
        `server_users=True`, as in the API.
        """
        last = _ALWAYS if now is None else int(now)
        calls = sessions = points = ts_sum = 0
        value_sum = 0.0
        for call in self._calls:
            if call.created_ts > last:
                continue
            calls += 1
            for session in call.sessions:
                if session.join_ts > last or (session.server and not server_users):
                    continue
                sessions += 1
                counted, values, times = self._sums(session, last)
                points, value_sum, ts_sum = points + counted, value_sum + values, ts_sum + times
        return Totals(calls=calls, sessions=sessions, points=points, value_sum=value_sum, ts_sum=ts_sum)

    def _sums(self, session: SessionTruth, last: int) -> tuple[int, float, int]:
        if session.sid not in self._points:
            return sums_of(session, 0, last, self.timing)
        visible = self.points(session, 0, last)
        return (
            sum(len(series.ts) for series in visible),
            sum(float(np.nansum(series.value)) for series in visible),
            sum(int(series.ts.sum()) for series in visible),
        )


@lru_cache(maxsize=512)
def _impaired_sessions(call: CallTruth, impairments: tuple[Impairment, ...]) -> tuple[SessionTruth, ...]:
    return sessions_under(call, impairments)


def _between(series: SeriesTruth, start: int, end: int) -> SeriesTruth:
    kept = (series.ts >= start) & (series.ts <= end)
    return evolve(series, ts=series.ts[kept], value=series.value[kept])
