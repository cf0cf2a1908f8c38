"""The samples of a metrics response as columns: the keys of each series, and two flat columns for all points."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import asdict, field, frozen

from agora_analytics.core.record import Record
from agora_analytics.core.verdicts import SkippedRecord


@frozen(kw_only=True)
class Series(Record):
    """One metric of one user session: `ts` (UTC epoch seconds, int64) and `value` (float64, NaN for null).

    Both are memoryviews of the same length into the columns of the response; nothing is copied. A pickle or copy of a
    series has its own points.
    `peer_uid` is "0" for the local user, otherwise the remote user whose stream was measured.
    """

    sid: str
    mid: int
    peer_uid: str
    ts: memoryview = field(repr=False)
    value: memoryview = field(repr=False)

    def __len__(self) -> int:
        return len(self.ts)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[type, Mapping[str, Any]]]:
        return _pickled(self)


@frozen(kw_only=True, eq=False)
class MetricColumns:
    """All samples of one metrics response.

    Series `i` is (`sids[sid_index[i]]`, `mid[i]`, `peer_uid[i]`). Its points are
    `offsets[i] : offsets[i + 1]` of the flat columns.

    Attributes:
        sids: the distinct session ids in the order of the response, shape (sessions,).
        sid_index: index into `sids`, shape (series,).
        mid: metric ids, shape (series,).
        peer_uid: remote user ids as strings, "0" for the local user, shape (series,).
        offsets: start of the points of each series, and the number of all points, shape (series + 1,).
        ts: UTC epoch seconds, a contiguous buffer of int64, shape (points,).
        value: a contiguous buffer of float64, shape (points,); NaN stands for null.
        skipped: the sessions, series and points of the response that could not be read.
    """

    sids: Sequence[str]
    sid_index: Sequence[int]
    mid: Sequence[int]
    peer_uid: Sequence[str]
    offsets: Sequence[int]
    ts: memoryview = field(repr=False)
    value: memoryview = field(repr=False)
    skipped: tuple[SkippedRecord, ...] = ()

    def __len__(self) -> int:
        return len(self.ts)

    def __iter__(self) -> Iterator[Series]:
        for i, sid in enumerate(self.sid_index):
            points = slice(self.offsets[i], self.offsets[i + 1])
            yield Series(
                sid=self.sids[sid],
                mid=self.mid[i],
                peer_uid=self.peer_uid[i],
                ts=self.ts[points],
                value=self.value[points],
            )

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[type, Mapping[str, Any]]]:
        return _pickled(self)


def _pickled(columns: Series | MetricColumns) -> tuple[Callable[..., Any], tuple[type, Mapping[str, Any]]]:
    """Return the result of `__reduce__`, with arrays in place of memoryviews, which cannot be pickled."""
    arrays = {"ts": array("q", columns.ts.tobytes()), "value": array("d", columns.value.tobytes())}
    return _unpickled, (type(columns), asdict(columns, recurse=False) | arrays)


def _unpickled(kind: type, values: Mapping[str, Any]) -> Any:
    views = {name: memoryview(value) for name, value in values.items() if isinstance(value, array)}
    return kind(**{**values, **views})


def no_columns() -> MetricColumns:
    """Return columns without a series."""
    return MetricColumns(
        sids=(), sid_index=(), mid=(), peer_uid=(), offsets=(0,),
        ts=memoryview(array("q")), value=memoryview(array("d")),
    )  # fmt: skip
