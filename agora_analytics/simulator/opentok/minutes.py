"""Sums over those who were in a meeting: minutes, the most at once, and the tiers of participant minutes."""

from collections.abc import Iterable
from typing import Protocol

from agora_analytics.simulator.opentok.ground_truth import MeetingTruth
from agora_analytics.simulator.opentok.usage import TIERS, tier_name

_MINUTE = 60_000


class Stay(Protocol):
    """Somebody or something that was there from one time to another, in epoch milliseconds; None: it still is."""

    @property
    def created_ms(self) -> int: ...  # noqa: D102
    @property
    def destroyed_ms(self) -> int | None: ...  # noqa: D102


def total_minutes(stays: Iterable[Stay], now_ms: int) -> float:
    """Return the minutes of all stays up to now."""
    return sum(_end(stay, now_ms) - stay.created_ms for stay in stays) / _MINUTE


def most_at_once(stays: Iterable[Stay], now_ms: int) -> int:
    """Return how many were there at the same time, at most."""
    changes = sorted(change for stay in stays for change in ((stay.created_ms, 1), (_end(stay, now_ms), -1)))
    there = most = 0
    for _, step in changes:  # at the same moment, one who leaves comes before one who arrives
        there += step
        most = max(most, there)
    return most


def participant_minutes(meetings: Iterable[MeetingTruth], now_ms: int) -> dict[str, float]:
    """Return the connections' minutes by how many published meanwhile; the tiers overlap, as rate plans do."""
    tiers = {tier_name(low, high): 0.0 for low, high in TIERS}
    for meeting in meetings:
        for published, minutes in _by_publishers(meeting, now_ms):
            for low, high in TIERS:
                if low <= published <= (high or published):
                    tiers[tier_name(low, high)] += minutes
    return tiers


def _by_publishers(meeting: MeetingTruth, now_ms: int) -> Iterable[tuple[int, float]]:
    changes = sorted(
        (at, sign * connects, sign * publishes)
        for stays, connects, publishes in ((meeting.connections, 1, 0), (meeting.publishers, 0, 1))
        for stay in stays
        if stay.created_ms <= now_ms
        for at, sign in ((stay.created_ms, 1), (_end(stay, now_ms), -1))
    )
    here = publishing = before = 0
    for at, connected, published in changes:
        yield publishing, here * (at - before) / _MINUTE
        here, publishing, before = here + connected, publishing + published, at


def _end(stay: Stay, now_ms: int) -> int:
    return now_ms if stay.destroyed_ms is None else min(stay.destroyed_ms, now_ms)
