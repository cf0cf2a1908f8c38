"""The sessions of a world as columns: user, call, times, place and quality. Statistics are computed from them."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
from attrs import fields, frozen
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.records import CallTruth, SessionTruth

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


@frozen(eq=False)
class Participants:
    """Sessions as columns, without server users. Times are epoch seconds, the end excluded.

    Attributes:
        user: a number for each user of each call. A user who joins twice has one number.
        call: a number for each call.
        first: whether it is the user's first session of the call. Its groups apply to the user's other sessions too.
        tries, quick: the attempts to join, and the joins within 5 seconds.
        audio, video: the share of time that froze, from 0 to 1.
        delay: the share of time with a high delay, from 0 to 1.
        has_video: whether the user had video.
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
    product: Texts
    groups: dict[str, Texts]

    def __len__(self) -> int:
        return len(self.user)

    def only(self, kept: NDArray[np.bool_]) -> "Participants":
        """Return the sessions that a mask selects."""
        columns = {name: getattr(self, name)[kept] for name in _PLAIN}
        return Participants(**columns, groups={name: column[kept] for name, column in self.groups.items()})


_PLAIN = tuple(attribute.name for attribute in fields(Participants) if attribute.name != "groups")


def participants_of(calls: Iterable[tuple[CallTruth, Sequence[SessionTruth]]]) -> Participants:
    """Return the participants of calls with their sessions."""
    rows: list[tuple[object, ...]] = []
    users: dict[tuple[str, str], tuple[int, SessionTruth]] = {}
    for number, (call, sessions) in enumerate(calls):
        people = [session for session in sessions if not session.server]
        size = _size(len({session.uid for session in people}))
        for session in people:
            key = (call.call_id, session.uid)
            is_first = key not in users
            user, as_first = users.setdefault(key, (len(users), session))
            rows.append((user, number, call.cname, is_first, session, *_facts(session, as_first), size))
    return _columns(rows)


def _facts(session: SessionTruth, as_first: SessionTruth) -> tuple[object, ...]:
    """Return place, attempts to join and freezes, from the session and a hash of its id."""
    dice = blake2b(session.sid.encode(), digest_size=4).digest()
    place = PLACES[blake2b(session.uid.encode(), digest_size=1).digest()[0] % len(PLACES)]
    trouble = min(1.0, session.spells * (0.5 + dice[0] / 255))
    return (
        *place,
        1 + (dice[1] % 17 == 0),
        int(dice[2] % 9 != 0),
        round(0.3 * trouble, 4),
        round(0.5 * trouble, 4),
        round(min(1.0, session.strain / 40 * (0.5 + dice[3] / 255)), 4),
        as_first,
    )


def _columns(rows: list[tuple[object, ...]]) -> Participants:
    user, call, cname, first, session, country, region, tries, quick, audio, video, delay, as_first, size = (
        zip(*rows, strict=True) if rows else ((),) * 14
    )

    def of(name: str, sessions: Sequence[object]) -> Texts:
        return np.array([getattr(each, name) for each in sessions], dtype=np.str_)

    platform = of("platform", as_first)
    network, sdk = of("network", as_first), of("sdk_version", as_first)
    return Participants(
        user=np.array(user, dtype=np.int64),
        call=np.array(call, dtype=np.int64),
        uid=of("uid", session),
        cname=np.array(cname, dtype=np.str_),
        join=np.array([each.join_ts for each in session], dtype=np.int64),
        leave=np.array([each.leave_ts for each in session], dtype=np.int64),
        first=np.array(first, dtype=np.bool_),
        tries=np.array(tries, dtype=np.int64),
        quick=np.array(quick, dtype=np.int64),
        audio=np.array(audio, dtype=np.float64),
        video=np.array(video, dtype=np.float64),
        delay=np.array(delay, dtype=np.float64),
        has_video=np.array([each.video for each in session], dtype=np.bool_),
        product=np.where(platform == "Web", "WebRTC", "Native"),
        groups={
            "country": np.array(country, dtype=np.str_),
            "region": np.array(region, dtype=np.str_),
            "net": network,
            "network": network,
            "sdk": sdk,
            "sdkVersion": sdk,
            "os": platform,
            "device": of("device_type", as_first),
            "channelSize": np.array(size, dtype=np.str_),
        },
    )


def _size(users: int) -> str:
    return next(name for most, name in SIZES if users <= most)
