"""What the users of one call met with over its time: loss, freeze and bitrates, gathered as the answers come.

Only sums by stretch of time are kept, so a call of a thousand users and a day takes no memory worth mentioning.
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

_BETWEEN_SAMPLES = 20  # seconds: samples come every 2 to 6, some metrics at each second or third of them


class Measure(Enum):
    """What is drawn: the metrics that it is made of."""

    LOSS_UP = ("audio_uplink_loss", "video_uplink_loss")
    LOSS_DOWN = ("audio_end_to_end_loss", "video_end_to_end_loss")
    FREEZE = ("audio_render_freeze", "video_render_freeze")
    SENT = ("audio_send_bitrate", "video_send_bitrate", "video_low_stream_send_bitrate")
    RECEIVED = ("audio_receive_bitrate", "video_receive_bitrate", "video_low_stream_receive_bitrate")


_RATES = (Measure.SENT, Measure.RECEIVED)
_OF_NAME = {name: measure for measure in Measure for name in measure.value}
_OF_MID = {mid: _OF_NAME[metric.name] for mid, metric in METRIC_IDS.items() if metric.name in _OF_NAME}


@frozen(kw_only=True)
class Axis:
    """The time of a call cut into `bins` equal stretches; `start` and `end` are UTC epoch seconds."""

    start: int
    end: int
    bins: int

    @property
    def seconds(self) -> float:
        """The length of one stretch."""
        return (self.end - self.start + 1) / self.bins

    def places(self, ts: Any) -> NDArray[np.int64]:
        """Return the stretch that each moment is in."""
        span = max(1, self.end - self.start + 1)
        found: NDArray[np.int64] = (np.asarray(ts, np.int64) - self.start) * self.bins // span
        return np.clip(found, 0, self.bins - 1)


@define
class _Sums:
    """What was measured in each stretch, and what it is divided by."""

    total: Values
    weight: Values

    def add(self, total: Values, weight: Values) -> None:
        self.total += total
        self.weight += weight

    @property
    def quotient(self) -> Values:
        found = np.full(len(self.total), np.nan)
        np.divide(self.total, self.weight, out=found, where=self.weight > 0)
        return found


@define
class UserCharts:
    """One user of a call: the stays, and a value of each measure for each stretch of time.

    Attributes:
        uid: the user.
        sessions: the stays, the first one first.
        axis: the time of the call.
    """

    uid: str
    sessions: list["Session"]
    axis: Axis
    # Of bitrates each stream has sums of its own, since streams add up, and a long call's come in parts.
    _sums: dict[Measure, dict[tuple[int, str], _Sums]] = field(factory=dict)

    def add(self, series: "Series") -> None:
        """Add the samples of one series, if it is of interest."""
        measure = _OF_MID.get(series.mid)
        value = np.asarray(series.value)
        known = ~np.isnan(value)
        if measure is None or not known.any():
            return
        ts, value = np.asarray(series.ts)[known], value[known]
        places = self.axis.places(ts)
        total = np.bincount(places, value, self.axis.bins).astype(np.float64)
        count = np.bincount(places, minlength=self.axis.bins).astype(np.float64)
        if measure is Measure.FREEZE:  # milliseconds of the time that a sample is about
            each = (int(ts.max()) - int(ts.min())) / (len(ts) - 1) if len(ts) > 1 else 2.0
            total, count = total / 1000, count * max(each, 1.0)
        stream = (series.mid, series.peer_uid) if measure in _RATES else (0, "")
        sums = self._sums.setdefault(measure, {})
        if stream not in sums:
            sums[stream] = _Sums(np.zeros(self.axis.bins), np.zeros(self.axis.bins))
        sums[stream].add(total, count)

    def values(self, measure: Measure) -> Values:
        """Return the value of each stretch: fractions of 1, or Kbps; NaN where nothing was measured."""
        found = self._known(measure)
        return np.full(self.axis.bins, np.nan) if found is None else _bridged(found, self.axis.seconds)

    def mean(self, measure: Measure) -> float | None:
        """Return the value over the whole stay; None where nothing was measured."""
        found = self._known(measure)
        if found is None:
            return None
        if measure in _RATES:
            return float(np.nanmean(found))
        (sums,) = self._sums[measure].values()
        return float(_as_fraction(np.array(sums.total.sum() / sums.weight.sum()), measure))

    def _known(self, measure: Measure) -> Values | None:
        if measure not in self._sums:
            return None
        streams = np.array([sums.quotient for sums in self._sums[measure].values()])
        nothing = np.isnan(streams).all(axis=0)
        return _as_fraction(np.where(nothing, np.nan, np.nansum(streams, axis=0)), measure)

    @property
    def loss(self) -> Values:
        """The worse of the losses up and down, for each stretch."""
        return np.fmax(self.values(Measure.LOSS_UP), self.values(Measure.LOSS_DOWN))

    @property
    def present(self) -> Sequence[bool]:
        """Whether the user was in the call, for each stretch."""
        here = np.zeros(self.axis.bins, np.bool_)
        for session in self.sessions:
            first, last = self.axis.places([session.join_ts, session.leave_ts])
            here[first : last + 1] = True
        return here.tolist()

    @property
    def trouble(self) -> tuple[float, float]:
        """How bad it was: freeze first, then loss."""
        losses = (self.mean(Measure.LOSS_UP) or 0, self.mean(Measure.LOSS_DOWN) or 0)
        return self.mean(Measure.FREEZE) or 0, max(losses)


def _bridged(values: Values, seconds: float) -> Values:
    """Return values with the short gaps closed that come from stretches shorter than the time between two samples."""
    known = np.flatnonzero(~np.isnan(values))
    closed = values.copy()
    for before, after in pairwise(known):
        if 1 < after - before <= _BETWEEN_SAMPLES / seconds:
            closed[before + 1 : after] = values[before]
    return closed


def _as_fraction(values: Values, measure: Measure) -> Values:
    if measure in (Measure.LOSS_UP, Measure.LOSS_DOWN):
        return values / 100
    return np.minimum(values, 1.0) if measure is Measure.FREEZE else values


class CallCharts:
    """The users of one call, and their charts.

    Args:
        call: the call.
        sessions: who was in it.
        bins: how many stretches its time is cut into.
    """

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
        """Add the series of an answer."""
        for one in series:
            if (user := self._of_session.get(one.sid)) is not None:
                user.add(one)

    def worst_first(self) -> list[UserCharts]:
        """Return the users, those with the most freeze first, then those with the most loss."""
        return sorted(self._users.values(), key=lambda user: user.trouble, reverse=True)
