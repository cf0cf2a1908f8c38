"""Records and samples as Arrow tables, with the schemas of the store's tables. Needs the extra `[arrow]`."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from agora_analytics.agora.listings import MetricsPage
from agora_analytics.agora.metric_ids import metric_name, metric_unit
from agora_analytics.agora.record_pages import columns_of
from agora_analytics.core.arrow_columns import arrow_column, json_cell
from agora_analytics.core.columns import MetricColumns, columns_of_series

if TYPE_CHECKING:
    import pyarrow as pa

_CODES: Mapping[str, Literal["q", "d"]] = {"int64": "q", "timestamp[s, tz=UTC]": "q", "double": "d"}
_EXACT = 2**53  # float64 holds every smaller integer


def calls_table(pages: Iterable[Any]) -> "pa.Table":
    """Return the calls of pages, or of lists, as a table with the schema `agora_analytics.schemas.CALLS`.

    Pages have records, or rows of `read_rows`.
    """
    from agora_analytics.schemas import CALLS

    return _table(pages, CALLS)


def sessions_table(pages: Iterable[Any], *, call_id: str) -> "pa.Table":
    """Return the sessions of a call as a table with the schema `agora_analytics.schemas.SESSIONS`; see `calls_table`."""
    from agora_analytics.schemas import SESSIONS

    return _table(pages, SESSIONS, call_id=call_id)


def metrics_table(pages: Iterable[Any], *, call_id: str) -> "pa.Table":
    """Return the samples of a call as one long table, one row a sample, with the schema `SAMPLES`.

    Args:
        pages: pages of metrics, or other objects with `records`, which are series.
        call_id: the call.
    """
    return samples_table(
        (
            page.columns if isinstance(page, MetricsPage) else columns_of_series(page.records)
            for page in pages
        ),
        call_id=call_id,
    )


def samples_table(parts: Iterable[MetricColumns], *, call_id: str) -> "pa.Table":
    """Return samples as one table with the schema `SAMPLES`: sorted and without repetitions within each part."""
    import numpy as np
    import pyarrow as pa

    from agora_analytics.decode.arrow_table import columns_table
    from agora_analytics.schemas import SAMPLES

    tables = [columns_table(part, call_id=call_id) for part in parts]
    if not tables:
        return SAMPLES.empty_table()
    table = pa.concat_tables(tables, unify_dictionaries=True)
    mids = table.column("mid").combine_chunks().dictionary_encode()
    distinct = mids.dictionary.to_pylist()
    units = sorted({metric_unit(mid) for mid in distinct})
    codes: Any = np.asarray([units.index(metric_unit(mid)) for mid in distinct], np.int32)
    named = {
        "metric": pa.DictionaryArray.from_arrays(
            mids.indices, pa.array(map(metric_name, distinct), pa.string())
        ),
        "unit": pa.DictionaryArray.from_arrays(
            pa.array(codes[np.asarray(mids.indices)]), pa.array(units, pa.string())
        ),
    }
    columns = [named[name] if name in named else table.column(name) for name in SAMPLES.names]
    return pa.table(columns, schema=SAMPLES)


def _table(parts: Iterable[Any], schema: "pa.Schema", **same: str) -> "pa.Table":
    """Return pages, or sequences of records, as a table, column by column; `same` gives those that are not theirs."""
    import pyarrow as pa

    pages = [getattr(part, "records", part) for part in parts]
    rows = sum(map(len, pages))
    columns = columns_of(pages, [name for name in schema.names if name not in same])
    columns["extra"] = list(map(json_cell, columns.get("extra", ())))
    arrays = [
        pa.repeat(pa.scalar(same[field.name], field.type), rows)
        if field.name in same
        else _array(field.name, columns[field.name], field.type, rows)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(name: str, values: Sequence[Any], kind: "pa.DataType", rows: int) -> "pa.Array":
    import pyarrow as pa

    if not values:
        return pa.nulls(rows, kind)
    if code := _CODES.get(str(kind)):
        # an array of the standard library reads its own kind of number, and no other, in half of Arrow's time
        with suppress(TypeError, OverflowError):
            if code == "q" or max(map(abs, values)) < _EXACT:
                return pa.Array.from_buffers(kind, rows, [None, pa.py_buffer(array(code, values))])
    return arrow_column(name, values, kind)
