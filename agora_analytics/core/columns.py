"""The samples of a metrics response as columns: the keys of each series, and two flat columns for all points."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from attrs import asdict, field, frozen

from agora_analytics.core.record import Record
from agora_analytics.core.verdicts import SkippedRecord

LOCAL_USER = "0"
"""The `peer_uid` of a metric that measures the session's own user."""


@frozen(kw_only=True, repr=False)
class Series(Record):
    """One metric of one user session.

    A session has a series for each metric and, for metrics of received media, for each remote user: keep series with
    another `peer_uid` apart.

    Attributes:
        sid: the session that measured.
        mid: the vendor's number of the metric.
        peer_uid: the remote user whose stream was measured; "0" for the session's own user.
        ts: UTC epoch seconds, int64.
        value: the values in `unit`, float64; NaN for null.
        name: the name of the metric; `mid_` and its number where no document names it.
        unit: `%`, `Kbps`, `ms`, `fps`, `dB`, `px`; "" where it has none or no document names it.

    `ts` and `value` are memoryviews of the same length into the columns of the response; `numpy.asarray(series.value)`
    copies nothing either. A pickle or copy of a series has its own points.

    Example:
        times = numpy.asarray(series.ts).view("datetime64[s]")  # UTC, not copied
    """

    sid: str
    mid: int
    peer_uid: str
    ts: memoryview = field(repr=False)
    value: memoryview = field(repr=False)
    name: str = ""
    unit: str = ""

    def __len__(self) -> int:
        return len(self.ts)

    def __repr__(self) -> str:
        from agora_analytics.core.record_text import time_text, visible

        peer = f" of peer {self.peer_uid}" if self.peer_uid != LOCAL_USER else ""
        unit = f" [{self.unit}]" if self.unit else ""
        samples = "no samples"
        if count := len(self):
            first, last = time_text(self.ts[0]), time_text(self.ts[-1], "%H:%M:%S")
            samples = f"{count:,} sample{'s' if count > 1 else ''}, {first} to {last} UTC"
        return visible(f"<Series {self.name or self.mid}{unit}{peer} in session {self.sid}: {samples}>")

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
        names: the name and the unit of each documented metric, by metric id.
    """

    sids: Sequence[str]
    sid_index: Sequence[int]
    mid: Sequence[int]
    peer_uid: Sequence[str]
    offsets: Sequence[int]
    ts: memoryview = field(repr=False)
    value: memoryview = field(repr=False)
    skipped: tuple[SkippedRecord, ...] = ()
    names: Mapping[int, tuple[str, str]] = field(factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.ts)

    def __iter__(self) -> Iterator[Series]:
        for i, sid in enumerate(self.sid_index):
            points, mid = slice(self.offsets[i], self.offsets[i + 1]), self.mid[i]
            name, unit = self.names.get(mid) or (f"mid_{mid}", "")
            yield Series(
                sid=self.sids[sid],
                mid=mid,
                peer_uid=self.peer_uid[i],
                ts=self.ts[points],
                value=self.value[points],
                name=name,
                unit=unit,
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


def columns_of_series(series: Sequence[Series]) -> MetricColumns:
    """Return the columns of any series; their points are copied."""
    sids = {sid: i for i, sid in enumerate(dict.fromkeys(each.sid for each in series))}
    return MetricColumns(
        sids=tuple(sids),
        sid_index=[sids[each.sid] for each in series],
        mid=[each.mid for each in series],
        peer_uid=[each.peer_uid for each in series],
        offsets=(0, *accumulate(map(len, series))),
        ts=memoryview(array("q", b"".join(each.ts for each in series))),
        value=memoryview(array("d", b"".join(each.value for each in series))),
    )


def no_columns() -> MetricColumns:
    """Return columns without a series."""
    return MetricColumns(
        sids=(), sid_index=(), mid=(), peer_uid=(), offsets=(0,),
        ts=memoryview(array("q")), value=memoryview(array("d")),
    )  # fmt: skip
