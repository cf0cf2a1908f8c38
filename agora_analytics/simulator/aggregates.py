"""Counting and averaging over a roster: any metric, of any group, in any bucket of time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agora_analytics.simulator.ground_truth.participants import Floats, Participants

COUNTS = frozenset(
    {"userCount", "sessionCount", "channelCount", "peakConcurrentChannels", "peakConcurrentUsers"}
)
DURATIONS = frozenset({"totalDuration", "totalVideoDuration", "totalAudioDuration"})
RATES = frozenset(
    {"joinSuccessRate", "joinSuccessIn5sRate", "audioFreezeRate", "videoFreezeRate", "networkDelay"}
)

Aggregate = tuple[float | None, float]
"""A value, None where nothing was measured, and what it was taken from."""


def aggregate(people: Participants, metric: str, start: int, end: int) -> Aggregate:
    """Return a metric over start <= t < end, of sessions that overlap it."""
    there = (people.join < end) & (people.leave > start)
    people = people.only(there)
    overlap = _overlap(people, start, end)
    if metric in COUNTS or metric in DURATIONS:
        return _usage(people, metric, overlap), float(len(people))
    return _rate(people, metric, overlap, start, end)


def _overlap(people: Participants, start: int, end: int) -> Floats:
    seconds: Floats = (np.minimum(people.leave, end) - np.maximum(people.join, start)).astype(np.float64)
    return seconds


def _usage(people: Participants, metric: str, overlap: Floats) -> float:
    match metric:
        case "userCount":
            return len(np.unique(people.user))
        case "sessionCount":
            return len(people)
        case "channelCount":
            return len(np.unique(people.call))
        case "peakConcurrentUsers":
            return _peak(people.join, people.leave, people.user)
        case "peakConcurrentChannels":
            return _peak(people.join, people.leave, people.call)
        case "totalVideoDuration":
            minutes = overlap[people.has_video].sum() / 60
        case "totalAudioDuration":
            minutes = overlap[~people.has_video].sum() / 60
        case _:
            minutes = overlap.sum() / 60
    return round(float(minutes), 2)


def _peak(join: NDArray[np.int64], leave: NDArray[np.int64], what: NDArray[np.int64]) -> int:
    """Return how many of `what` were there at the busiest moment; one that comes again counts as there between."""
    if not len(what):
        return 0
    which, place = np.unique(what, return_inverse=True)
    begin = np.full(len(which), np.iinfo(np.int64).max)
    end = np.zeros(len(which), dtype=np.int64)
    np.minimum.at(begin, place, join)
    np.maximum.at(end, place, leave)
    begin.sort()
    end.sort()
    come = np.arange(1, len(begin) + 1)
    return int((come - np.searchsorted(end, begin, side="right")).max())


def _rate(people: Participants, metric: str, overlap: Floats, start: int, end: int) -> Aggregate:
    if metric.startswith("joinSuccess"):
        joined = people.only((people.join >= start) & (people.join < end))
        tries = int(joined.tries.sum())
        good = len(joined) if metric == "joinSuccessRate" else int(joined.quick.sum())
        return (round(good / tries, 4) if tries else None), float(tries)
    column = {"audioFreezeRate": people.audio, "videoFreezeRate": people.video}.get(metric, people.delay)
    weight = np.where(people.has_video, overlap, 0.0) if metric == "videoFreezeRate" else overlap
    total = float(weight.sum())
    return (round(float((column * weight).sum()) / total, 4) if total else None), round(total / 60, 2)


def by_group(
    people: Participants, dimension: str, metric: str, start: int, end: int, most: int
) -> list[tuple[str, float | None, float]]:
    """Return (group, value, what it was taken from) of the largest groups, the largest first."""
    found: list[tuple[str, float | None, float]] = []
    column = people.groups[dimension]
    for group in np.unique(column).tolist():
        members = people.only(column == group)
        if not ((members.join < end) & (members.leave > start)).any():
            continue
        found.append((group, *aggregate(members, metric, start, end)))
    found.sort(key=lambda row: (-row[2] if metric in RATES else -(row[1] or 0), row[0]))
    return found[:most]


def keep(people: Participants, *conditions: tuple[NDArray[np.str_], Sequence[str] | None]) -> Participants:
    """Return the people whose columns hold one of the values; None keeps all."""
    kept = np.ones(len(people), dtype=np.bool_)
    for column, values in conditions:
        if values is not None:
            kept &= np.isin(column, list(values))
    return people.only(kept)
