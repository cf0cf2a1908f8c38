"""Shared by all readers: builds `MetricColumns` from the series of a response."""

from array import array
from collections.abc import Sequence
from typing import Any, Literal

from attrs import Factory, define, field

from agora_analytics.core.columns import MetricColumns
from agora_analytics.core.verdicts import SkippedRecord

INT32 = range(-(2**31), 2**31)


class NeedsFallback(Exception):
    """A fast reader cannot read this body with certainty, so a slower reader must read it."""


@define
class ColumnsBuilder:
    """Collects the series of a response in their order. The reader collects their points itself."""

    sids: dict[str, int] = Factory(dict)
    sid_index: list[int] = Factory(list)
    mid: list[int] = Factory(list)
    peer_uid: list[str] = Factory(list)
    offsets: list[int] = field(factory=lambda: [0])

    @property
    def points(self) -> int:
        """Number of points of all series."""
        return self.offsets[-1]

    def session_index(self, sid: str) -> int:
        """Return the index of a session id. A repeated id keeps its first index."""
        return self.sids.setdefault(sid, len(self.sids))

    def add_series(self, sid_index: int, mid: int, peer_uid: str, points: int) -> None:
        """Add a series with the next `points` points."""
        self.sid_index.append(sid_index)
        self.mid.append(mid)
        self.peer_uid.append(peer_uid)
        self.offsets.append(self.offsets[-1] + points)

    def build(self, ts: Any, value: Any, skipped: Sequence[SkippedRecord] = ()) -> MetricColumns:
        """Return the columns with the points: arrays of int64 (`ts`) and float64 (`value`), of NumPy or not."""
        return MetricColumns(
            sids=tuple(self.sids),
            sid_index=tuple(self.sid_index),
            mid=tuple(self.mid),
            peer_uid=tuple(self.peer_uid),
            offsets=tuple(self.offsets),
            ts=_flat_view(ts, "q"),
            value=_flat_view(value, "d"),
            skipped=tuple(skipped),
        )


def _flat_view(numbers: Any, code: Literal["q", "d"]) -> memoryview:
    """Return an array as a flat memoryview of the format q (int64) or d (float64), which NumPy may name otherwise."""
    view: Any = memoryview(numbers) if len(numbers) else memoryview(array(code))
    return view if view.format == code else view.cast("B").cast(code)  # type: ignore[no-any-return]
