"""The samples of a metrics response as columns: the keys of each series, and two flat columns for all points."""

from array import array
from collections.abc import Iterator, Sequence

from attrs import field, frozen

from agora_analytics.core.verdicts import SkippedRecord


@frozen(kw_only=True)
class Series:
    """One metric of one user session: `ts` (UTC epoch seconds, int64) and `value` (float64, NaN for null).

    Both are memoryviews of the same length into the columns of the response; nothing is copied.
    `peer_uid` is "0" for the local user, otherwise the remote user whose stream was measured.
    """

    sid: str
    mid: int
    peer_uid: str
    ts: memoryview = field(repr=False)
    value: memoryview = field(repr=False)

    def __len__(self) -> int:
        return len(self.ts)


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


def no_columns() -> MetricColumns:
    """Return columns without a series."""
    return MetricColumns(
        sids=(), sid_index=(), mid=(), peer_uid=(), offsets=(0,),
        ts=memoryview(array("q")), value=memoryview(array("d")),
    )  # fmt: skip
