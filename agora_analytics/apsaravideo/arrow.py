"""The points as an Arrow table. Needs the extra `[arrow]`."""

from collections.abc import Sequence

import pyarrow as pa

from agora_analytics.apsaravideo.records import MetricPoint
from agora_analytics.engine.pages import Page
from agora_analytics.schemas import UTC_SECONDS

POINTS = pa.schema(
    [
        pa.field("metric", pa.string(), nullable=False),
        pa.field("ts", UTC_SECONDS, nullable=False),
        pa.field("value", pa.float64()),
        pa.field("raw", pa.string()),
    ]
)
"""One row for each point; `value` is null where what was sent is no number, and `raw` has it then."""


def points_table(pages: Sequence[Page[MetricPoint]]) -> pa.Table:
    """Return the points of all pages as one table, in their order."""
    points = [point for page in pages for point in page.records]
    columns = [[getattr(point, name) for point in points] for name in POINTS.names]
    return pa.table(columns, schema=POINTS)
