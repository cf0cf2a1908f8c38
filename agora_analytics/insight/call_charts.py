"""Charts of the users of a call over its time: loss, freeze, bitrates and delay.

Only sums by interval are kept, so even a call of a thousand users and a whole day needs little memory.
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from agora_analytics.agora.metric_ids import METRIC_IDS

if TYPE_CHECKING:
    from agora_analytics.agora.records import Call, Session
    from agora_analytics.core.columns import Series

Values = NDArray[np.float64]

_SAMPLE_GAP = 20  # seconds; the samples of a metric are 2 to 18 seconds apart


class Measure(Enum):
    """What a chart shows, with the metrics that it is computed from."""

    LOSS_UP = ("audio_uplink_loss", "video_uplink_loss")
    LOSS_DOWN = ("audio_end_to_end_loss", "video_end_to_end_loss")
    FREEZE = ("audio_render_freeze", "video_render_freeze")
    SENT = ("audio_send_bitrate", "video_send_bitrate", "video_low_stream_send_bitrate")
    RECEIVED = ("audio_receive_bitrate", "video_receive_bitrate", "video_low_stream_receive_bitrate")
    DELAY = ("router_round_trip",)


_RATES = (Measure.SENT, Measure.RECEIVED)
_OF_NAME = {name: measure for measure in Measure for name in measure.value}
_OF_MID = {mid: _OF_NAME[metric.name] for mid, metric in METRIC_IDS.items() if metric.name in _OF_NAME}


@frozen(kw_only=True)
class Axis:
    """The time of a call in `bins` equal intervals; `start` and `end` are UTC epoch seconds."""

    start: int
    end: int
    bins: int

    @property
    def seconds(self) -> float:
        """The length of one interval."""
        return (self.end - self.start + 1) / self.bins

    def intervals(self, ts: Any) -> NDArray[np.int64]:
        """Return the interval of each timestamp."""
        span = max(1, self.end - self.start + 1)
        interval: NDArray[np.int64] = (np.asarray(ts, np.int64) - self.start) * self.bins // span
        return np.clip(interval, 0, self.bins - 1)


@define
class UserCharts:
    """One user of a call: the sessions in order of time, and a value of each measure for each interval."""

    uid: str
    sessions: list["Session"]
    axis: Axis
    # Two rows for each stream, because streams add up: the sum of each interval, and its divisor. A long call has
    # several parts of a stream.
    _sums: dict[Measure, dict[tuple[int, str], Values]] = field(factory=dict)

    def add(self, series: "Series") -> None:
        """Add the samples of one series if a chart needs its metric."""
        measure = _OF_MID.get(series.mid)
        value = np.asarray(series.value)
        measured = ~np.isnan(value)
        if measure is None or not measured.any():
            return
        ts, value = np.asarray(series.ts)[measured], value[measured]
        intervals = self.axis.intervals(ts)
        total = np.bincount(intervals, value, self.axis.bins).astype(np.float64)
        count = np.bincount(intervals, minlength=self.axis.bins).astype(np.float64)
        if measure is Measure.FREEZE:  # milliseconds of the time that a sample covers
            each = (int(ts.max()) - int(ts.min())) / (len(ts) - 1) if len(ts) > 1 else 2.0
            total, count = total / 1000, count * max(each, 1.0)
        stream = (series.mid, series.peer_uid) if measure in _RATES else (0, "")
        sums = self._sums.setdefault(measure, {})
        sums[stream] = sums.get(stream, 0) + np.stack([total, count])

    def values(self, measure: Measure) -> Values:
        """Return the value of each interval, as a fraction of 1 or in Kbps; NaN where nothing was measured."""
        values = self._measured(measure)
        return np.full(self.axis.bins, np.nan) if values is None else _without_gaps(values, self.axis.seconds)

    def mean(self, measure: Measure) -> float | None:
        """Return the value over all sessions of the user; None where nothing was measured."""
        values = self._measured(measure)
        if values is None:
            return None
        if measure in _RATES:
            return float(np.nanmean(values))
        ((total, weight),) = self._sums[measure].values()
        return float(_as_fraction(np.array(total.sum() / weight.sum()), measure))

    def _measured(self, measure: Measure) -> Values | None:
        if measure not in self._sums:
            return None
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: nothing was measured
            streams = np.stack([total / weight for total, weight in self._sums[measure].values()])
        nothing = np.isnan(streams).all(axis=0)
        return _as_fraction(np.where(nothing, np.nan, np.nansum(streams, axis=0)), measure)

    @property
    def loss(self) -> Values:
        """The larger of the uplink and downlink loss in each interval."""
        return np.fmax(self.values(Measure.LOSS_UP), self.values(Measure.LOSS_DOWN))

    @property
    def present(self) -> Sequence[bool]:
        """Whether the user was in the call in each interval."""
        here = np.zeros(self.axis.bins, np.bool_)
        for session in self.sessions:
            first, last = self.axis.intervals([session.join_ts, session.leave_ts])
            here[first : last + 1] = True
        return here.tolist()

    @property
    def trouble(self) -> tuple[float, float]:
        """The sort key of the users: freeze, then loss."""
        losses = (self.mean(Measure.LOSS_UP) or 0, self.mean(Measure.LOSS_DOWN) or 0)
        return self.mean(Measure.FREEZE) or 0, max(losses)


def _without_gaps(values: Values, seconds: float) -> Values:
    """Return the values without the gaps that arise where an interval is shorter than the time between two samples."""
    known = np.flatnonzero(~np.isnan(values))
    closed = values.copy()
    for before, after in pairwise(known):
        if 1 < after - before <= _SAMPLE_GAP / seconds:
            closed[before + 1 : after] = values[before]
    return closed


def _as_fraction(values: Values, measure: Measure) -> Values:
    if measure in (Measure.LOSS_UP, Measure.LOSS_DOWN):
        return values / 100
    return np.minimum(values, 1.0) if measure is Measure.FREEZE else values


class CallCharts:
    """The users of one call and their charts of `bins` intervals."""

    def __init__(self, call: "Call", sessions: Iterable["Session"], *, bins: int) -> None:
        self.call = call
        self.sessions = sorted(sessions, key=lambda session: (session.join_ts, session.sid))
        end = max([call.destroyed_ts, *(session.leave_ts for session in self.sessions)])
        self.axis = Axis(start=call.created_ts, end=end, bins=bins)
        self._users: dict[str, UserCharts] = {}
        self._of_session: dict[str, UserCharts] = {}
        for session in self.sessions:
            user = self._users.setdefault(session.uid, UserCharts(session.uid, [], self.axis))
            user.sessions.append(session)
            self._of_session[session.sid] = user

    def add(self, series: Iterable["Series"]) -> None:
        """Add the series of a response."""
        for item in series:
            if (user := self._of_session.get(item.sid)) is not None:
                user.add(item)

    def worst_first(self) -> list[UserCharts]:
        """Return the users, those with the most freeze first, then those with the most loss."""
        return sorted(self._users.values(), key=lambda user: user.trouble, reverse=True)
