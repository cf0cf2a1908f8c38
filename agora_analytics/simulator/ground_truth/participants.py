"""The sessions of a world as columns: user, call, times, place and quality. Statistics are computed from them."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.records import CallTruth, SessionTruth

if TYPE_CHECKING:
    from agora_analytics.simulator.impairments.impairment import Impairment

Texts = NDArray[np.str_]
Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

PLACES = (
    ("India", "Maharashtra"),
    ("India", "Karnataka"),
    ("United States", "California"),
    ("United States", "Texas"),
    ("Germany", "Bavaria"),
    ("Brazil", "Bahia"),
)
"""The countries and regions of users."""
SIZES = ((2, "1-2"), (5, "3-5"), (17, "6-17"), (1 << 40, "18+"))
"""The sizes of channels: the most users and the name of the group."""


def place_of(uid: str) -> tuple[str, str]:
    """Return the country and the region of a user, which depend on a hash of the id."""
    return PLACES[blake2b(uid.encode(), digest_size=1).digest()[0] % len(PLACES)]


@frozen(eq=False)
class Participants:
    """Sessions as columns, without server users and failed attempts to join. Times are epoch seconds, the end excluded.

    Attributes:
        user: a number for each user of each call. A user who joins twice has one number.
        call: a number for each call.
        first: whether it is the user's first session of the call. Its groups apply to the user's other sessions too.
        tries, quick: the attempts to join, and the joins within 5 seconds.
        audio, video: the share of time that froze, from 0 to 1.
        delay: the share of time with a high delay, from 0 to 1.
        has_video: whether the user had video.
        impaired: for each session and each of the world's `impairments`, whether it acts on the session; 2-D.
        impairments: the impairments of the world.
        groups: the group of each session, by dimension in the spelling of the API.
    """

    user: Whole
    call: Whole
    uid: Texts
    cname: Texts
    join: Whole
    leave: Whole
    first: NDArray[np.bool_]
    tries: Whole
    quick: Whole
    audio: Floats
    video: Floats
    delay: Floats
    has_video: NDArray[np.bool_]
    impaired: NDArray[np.bool_]
    product: Texts
    impairments: "Sequence[Impairment]"
    groups: dict[str, Texts]

    def __len__(self) -> int:
        return len(self.user)

    def only(self, kept: NDArray[np.bool_]) -> "Participants":
        """Return the sessions that a mask selects."""
        columns = {name: getattr(self, name)[kept] for name in (*_DTYPES, "impaired")}
        groups = {name: column[kept] for name, column in self.groups.items()}
        return Participants(**columns, impairments=self.impairments, groups=groups)


_DTYPES: dict[str, type[np.generic]] = {
    **dict.fromkeys(("user", "call", "join", "leave", "tries", "quick"), np.int64),
    **dict.fromkeys(("audio", "video", "delay"), np.float64),
    **dict.fromkeys(("first", "has_video"), np.bool_),
    **dict.fromkeys(("uid", "cname", "product"), np.str_),
}
_DIMENSIONS = ("country", "region", "net", "network", "sdk", "sdkVersion", "os", "device", "channelSize")


def participants_of(calls: Iterable[CallTruth], impairments: "Sequence[Impairment]" = ()) -> Participants:
    """Return the participants of calls."""
    sessions: list[SessionTruth] = []
    rows: list[dict[str, Any]] = []
    users: dict[tuple[str, str], tuple[int, SessionTruth]] = {}
    for number, call in enumerate(calls):
        people = [session for session in call.sessions if session.joined and not session.server]
        size = len({session.uid for session in people})
        for session in people:
            key = (call.call_id, session.uid)
            is_first = key not in users
            user, first_session = users.setdefault(key, (len(users), session))
            ids = {"user": user, "call": number, "cname": call.cname, "first": is_first}
            sessions.append(session)
            rows.append(ids | _facts(session) | _groups(first_session, size))

    def column(name: str, dtype: type[np.generic]) -> NDArray[Any]:
        return np.array([row[name] for row in rows], dtype=dtype)

    impaired = [[each.acts_on(session) for each in impairments] for session in sessions]
    return Participants(
        **{name: column(name, dtype) for name, dtype in _DTYPES.items()},
        impaired=np.array(impaired, dtype=np.bool_).reshape(len(rows), len(impairments)),
        impairments=impairments,
        groups={name: column(name, np.str_) for name in _DIMENSIONS},
    )


def _facts(session: SessionTruth) -> dict[str, Any]:
    """Return the columns of a session. Attempts to join and freezes depend on a hash of its id."""
    dice = blake2b(session.sid.encode(), digest_size=4).digest()
    trouble = min(1.0, session.spells * (0.5 + dice[0] / 255))
    return {
        "uid": session.uid,
        "join": session.join_ts,
        "leave": session.leave_ts,
        "tries": 1 + (dice[1] % 17 == 0),
        "quick": int(dice[2] % 9 != 0),
        "audio": round(0.3 * trouble, 4),
        "video": round(0.5 * trouble, 4),
        "delay": round(min(1.0, session.strain / 40 * (0.5 + dice[3] / 255)), 4),
        "has_video": session.video,
    }


def _groups(session: SessionTruth, users: int) -> dict[str, str]:
    """Return the groups of a user from the first session. `users` is the number of users of the call."""
    country, region = place_of(session.uid)
    return {
        "product": "WebRTC" if session.platform == "Web" else "Native",
        "country": country,
        "region": region,
        "net": session.network,
        "network": session.network,
        "sdk": session.sdk_version,
        "sdkVersion": session.sdk_version,
        "os": session.platform,
        "device": session.device_type,
        "channelSize": next(name for most, name in SIZES if users <= most),
    }
