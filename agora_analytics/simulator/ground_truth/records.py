"""The values that the truth is told in: calls, sessions, series, and the totals that tests compare with."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray


@frozen(kw_only=True)
class Peer:
    """A remote user whose stream a session received, and while when (epoch seconds)."""

    uid: str
    uid_is_number: bool
    join_ts: int
    leave_ts: int


@frozen(kw_only=True)
class SessionTruth:
    """One user's stay in a call. All times are epoch seconds, UTC; both ends belong to the stay.

    Attributes:
        uid: the user id as text, whatever type the API shows it as.
        uid_is_number: whether the API shows it as a JSON number.
        server: a server user: a Linux session that `exclude_server_user` hides.
        video: whether the user had video; it decides which metrics exist.
        spells: the share of time in which the network misbehaves at the busiest hour (0 to 1).
        strain: a factor on loss and delay that the network brings (1 is a good cable).
        key: the seed of this session's points.
        extra: further JSON fields, known and unknown ones.
    """

    sid: str
    uid: str
    uid_is_number: bool = True
    join_ts: int
    leave_ts: int
    network: str = "Wi-Fi"
    platform: str = "Android"
    speaker: bool = True
    sdk_version: str = "4.5.0"
    device_type: str = ""
    server: bool = False
    video: bool = True
    spells: float = 0.02
    strain: float = 2.0
    peers: tuple[Peer, ...] = ()
    key: int = 1
    extra: Mapping[str, Any] = field(factory=dict, eq=False)

    def finished(self, now: float) -> bool:
        """Return whether the user has left by `now`."""
        return self.leave_ts <= now


@frozen(kw_only=True)
class CallTruth:
    """One call, from its first join to its last leave, in epoch seconds.

    `sessions` may be given as a tuple or as a function that makes it, so that a world of 50,000 calls stays small.

    Example:
        >>> call = CallTruth(call_id="c1", cname="room", created_ts=100, destroyed_ts=160, sessions=())
        >>> call.finished(now=159), call.finished(now=160)
        (False, True)
    """

    call_id: str
    cname: str
    created_ts: int
    destroyed_ts: int
    extra: Mapping[str, Any] = field(factory=dict, eq=False)
    _sessions: tuple[SessionTruth, ...] | Callable[[], tuple[SessionTruth, ...]] = field(repr=False, eq=False)

    @property
    def sessions(self) -> tuple[SessionTruth, ...]:
        """The sessions in the order they were made, server users included."""
        return self._sessions() if callable(self._sessions) else self._sessions

    def finished(self, now: float) -> bool:
        """Return whether the call has ended by `now`; one that has not is listed as ongoing."""
        return self.destroyed_ts <= now


@frozen(kw_only=True, eq=False)
class SeriesTruth:
    """The points of one metric of one session about one peer ("0" is the user himself).

    `ts` is ascending, epoch seconds; `value` has NaN where the API says null. `whole` says whether the API writes
    the values as JSON integers; left out, they decide.
    """

    mid: int
    peer_uid: str
    peer_is_number: bool = True
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    whole: bool = field()

    @whole.default
    def _all_whole(self) -> bool:
        given = self.value[~np.isnan(self.value)]
        return bool((given == np.rint(given)).all())


@frozen(kw_only=True)
class Totals:
    """Counts and sums over what is visible. Both sums skip NaN points' values, `ts_sum` counts every point.

    Every value that the generator makes is a multiple of 0.25, so `value_sum` is exact in any order of adding.
    """

    calls: int
    sessions: int
    points: int
    value_sum: float
    ts_sum: int
