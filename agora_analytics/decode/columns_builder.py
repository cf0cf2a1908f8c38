"""What a series is called, gathered in the order of the answer while its points go elsewhere."""

from array import array
from typing import Any, Literal

from attrs import Factory, define, field

from agora_analytics.core.columns import MetricColumns

INT32 = range(-(2**31), 2**31)
INT64 = range(-(2**63), 2**63)
LOCAL_USER = "0"


def flat_view(numbers: Any, code: Literal["q", "d"]) -> memoryview:
    """Return an array of int64 (q) or float64 (d), NumPy's too, as a flat memoryview with just this format."""
    view: Any = memoryview(numbers) if len(numbers) else memoryview(array(code))
    return view if view.format == code else view.cast("B").cast(code)  # type: ignore[no-any-return]


@define
class ColumnsBuilder:
    """The headers of the series read so far; `points` is how many points they own together."""

    sids: dict[str, int] = Factory(dict)
    sid_index: list[int] = Factory(list)
    mid: list[int] = Factory(list)
    peer_uid: list[str] = Factory(list)
    offsets: list[int] = field(factory=lambda: [0])

    @property
    def points(self) -> int:
        """How many points the series own together."""
        return self.offsets[-1]

    def session_index(self, sid: str) -> int:
        """Return the index of a session id; one that comes twice keeps its first index."""
        return self.sids.setdefault(sid, len(self.sids))

    def add_series(self, sid_index: int, mid: int, peer_uid: str, points: int) -> None:
        """Add a series that owns the next `points` points."""
        self.sid_index.append(sid_index)
        self.mid.append(mid)
        self.peer_uid.append(peer_uid)
        self.offsets.append(self.offsets[-1] + points)

    def build(self, ts: memoryview, value: memoryview) -> MetricColumns:
        """Return the headers with their points: `ts` is int64 (format q), `value` float64 (format d)."""
        return MetricColumns(
            sids=tuple(self.sids),
            sid_index=tuple(self.sid_index),
            mid=tuple(self.mid),
            peer_uid=tuple(self.peer_uid),
            offsets=tuple(self.offsets),
            ts=ts,
            value=value,
        )
