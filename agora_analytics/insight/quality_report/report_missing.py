"""What a report leaves out: days without data, ongoing calls, and calls without samples."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agora_analytics.insight.quality_report.report_records import MissingData, NamedCalls
from agora_analytics.insight.quality_report.report_rows import ReportRows

if TYPE_CHECKING:
    from agora_analytics.store import BucketStore, ParquetStore

_NAMED = 10


def missing_data(store: "ParquetStore | BucketStore", rows: ReportRows) -> MissingData:
    """Return what a report leaves out. With selected channels, nothing is counted that other channels are part of."""
    selection = rows.selection
    ongoing = rows.rows("SELECT call_id FROM stored_calls WHERE NOT finished ORDER BY created_ts, call_id")
    empty = rows.rows(f"""
        SELECT call_id FROM stored_calls s
        WHERE epoch(created_ts) >= {selection.start} AND NOT EXISTS (
            SELECT 1 FROM calls c WHERE c.vendor = 'agora' AND c.app_id = s.app_id AND c.call_id = s.call_id
        ) ORDER BY created_ts, call_id
    """)
    of_measure = dict(
        rows.rows("SELECT measure, count(DISTINCT call) FROM cells WHERE measured > 0 GROUP BY ALL")
    )
    return MissingData(
        days_without_calls=rows.days_without_calls(),
        ongoing=_named(ongoing),
        without_samples=_named(empty),
        without_measure=tuple(
            (measure, rows.calls - of_measure.get(measure, 0)) for measure in rows.limits.measures
        ),
        pending_days=() if selection.channels else tuple(_pending(store, selection.days, selection.app_id)),
        vendors_without_calls=() if selection.channels else tuple(rows.vendors_without_calls()),
    )


def _named(found: Sequence[tuple[str]]) -> NamedCalls:
    return NamedCalls(count=len(found), named=tuple(call_id for (call_id,) in found[:_NAMED]))


def _pending(store: "ParquetStore | BucketStore", days: Sequence[str], app_id: str | None) -> list[str]:
    rows = store.completeness().to_pylist()
    return sorted(
        {
            day
            for row in rows
            if row["pending"] and (day := str(row["day"])) in days and app_id in (None, row["app_id"])
        }
    )
