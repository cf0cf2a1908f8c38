"""Records of the ground truth: calls, sessions, series, and the totals that tests compare with."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray


@frozen(kw_only=True)
class Peer:
    """A remote user whose stream a session received, and when, in epoch seconds."""

    uid: str
    uid_is_number: bool
    join_ts: int
    leave_ts: int


@frozen(kw_only=True)
class SessionTruth:
    """One user's stay in a call. Times are UTC epoch seconds; both ends are included.

    Attributes:
        uid: the user id as text, for either type of the API.
        uid_is_number: whether the API returns it as a JSON number.
        server: whether it is a server user, a Linux session that `exclude_server_user` hides.
        video: whether the user had video, which determines the metrics.
        spells: the share of time with bad spells of the network at the busiest hour, from 0 to 1.
        strain: the network's factor on loss and delay; 1 for Ethernet.
        key: the seed of this session's points.
        joined: whether the user got in. A session of a failed attempt to join has no points.
        extra: further JSON fields, documented or not.
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
    joined: bool = True
    extra: Mapping[str, Any] = field(factory=dict, eq=False)

    def finished(self, now: float) -> bool:
        """Return whether the user has left by `now`."""
        return self.leave_ts <= now


@frozen(kw_only=True)
class CallTruth:
    """One call, from its first join to its last leave, in epoch seconds.

    `sessions` is a tuple or a function that returns it, so that a world of 50,000 calls needs little memory.

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
        """The sessions in order of generation, server users included."""
        return self._sessions() if callable(self._sessions) else self._sessions

    def finished(self, now: float) -> bool:
        """Return whether the call has ended by `now`; otherwise it is listed as ongoing."""
        return self.destroyed_ts <= now


@frozen(kw_only=True, eq=False)
class SeriesTruth:
    """The points of one metric of one session about one peer; "0" is the user's own stream.

    `ts` is in ascending epoch seconds. `value` has NaN where the API returns null. `whole` is whether the API writes
    the values as JSON integers; the default is whether all of them are whole.
    """

    mid: int
    peer_uid: str
    peer_is_number: bool = True
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    whole: bool = field()

    @whole.default
    def _all_whole(self) -> bool:
        present = self.value[~np.isnan(self.value)]
        return bool((present == np.rint(present)).all())


@frozen(kw_only=True)
class Totals:
    """Counts and sums of what is visible. `value_sum` skips null values, `ts_sum` includes the times of all points.

    Every generated value is a multiple of 0.25, so that `value_sum` is exact in any order of addition.
    """

    calls: int
    sessions: int
    points: int
    value_sum: float
    ts_sum: int
