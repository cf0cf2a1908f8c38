"""Merges the files of a table into the bytes of one Parquet file, with the memory of a few row groups."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TYPE_CHECKING

import pyarrow as pa

from agora_analytics.store import parquet_file

if TYPE_CHECKING:
    import pyarrow.dataset as ds

_AHEAD = 8
"""Files that are opened before they are needed. On object storage each takes a few round trips."""
_BATCH = 32_768
"""Rows that are read at once."""


def merge(table: str, files: Iterable["ds.Fragment"], schema: pa.Schema) -> tuple[bytes, int]:
    """Return the bytes of one file with the rows of several, in order, and the number of rows."""
    content = pa.BufferOutputStream()
    written = 0
    with parquet_file.open_writer(content, table, schema) as writer:
        for group in _row_groups(_batches(files, schema)):
            writer.write_table(pa.Table.from_batches(group, schema), row_group_size=parquet_file.ROW_GROUP)
            written += sum(batch.num_rows for batch in group)
    return content.getvalue().to_pybytes(), written


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    waiting, rows = list[pa.RecordBatch](), 0
    for batch in batches:
        room = parquet_file.ROW_GROUP - rows
        waiting.append(batch.slice(0, room))
        rows += waiting[-1].num_rows
        if rows == parquet_file.ROW_GROUP:
            yield waiting
            waiting, rows = [batch.slice(room)], max(0, batch.num_rows - room)
    if rows:
        yield waiting


def _batches(files: Iterable["ds.Fragment"], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield the rows of files, in order. The first batch of the next files is read ahead."""

    def start(file: "ds.Fragment") -> Iterator[pa.RecordBatch]:
        batches = file.to_batches(schema=schema, batch_size=_BATCH, batch_readahead=1, use_threads=False)
        return chain(list(islice(batches, 1)), batches)

    left = iter(files)
    with ThreadPoolExecutor(_AHEAD) as pool:
        started: deque[Future[Iterator[pa.RecordBatch]]] = deque()
        started.extend(pool.submit(start, file) for file in islice(left, _AHEAD))
        while started:
            yield from started.popleft().result()
            started.extend(pool.submit(start, file) for file in islice(left, 1))
