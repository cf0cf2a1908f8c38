"""What a harvest has published of one app: the ready objects and the Delta logs together."""

from collections import defaultdict

import pyarrow as pa
import pyarrow.compute as pc
from attrs import define, field

from agora_analytics.schemas import table_schema
from agora_analytics.store.bucket import keys
from agora_analytics.store.bucket.bucket_errors import bucket_errors
from agora_analytics.store.bucket.delta_tables import (
    DeltaTables,
    call_of_unit,
    compacted_calls,
    condition,
    day_scalar,
    in_log_schema,
    metrics_units,
)
from agora_analytics.store.bucket.objects import Objects
from agora_analytics.store.bucket.ready import ReadyCall, newest_states
from agora_analytics.store.layout import short_id
from agora_analytics.store.records import Published


@define
class AppState:
    """The published calls of an app when it was read, and those that this process has published since.

    Attributes:
        published: the state of each call.
        live: the units of `metrics` of published calls, with their days.
        ready: the keys of calls that were ready, by call id.
        rows: the rows of the calls when they were read.
    """

    published: dict[str, Published] = field(factory=dict)
    live: dict[str, str] = field(factory=dict)
    ready: dict[str, str] = field(factory=dict)
    rows: pa.Table = field(default=None, repr=False)

    @classmethod
    def read(cls, objects: Objects, tables: DeltaTables, app_id: str) -> "AppState":
        """Read the state of an app.

        Ready objects are read before the logs, because a publisher moves calls in this direction.
        """
        contents = objects.get_all(objects.list(keys.app_folder(keys.READY_CALLS, app_id)))
        waiting = newest_states([ReadyCall.decode(key, content) for key, content in contents.items()])
        with bucket_errors("cannot read", tables.url("calls")):
            dataset = tables.load("calls").to_pyarrow_dataset()
            columns = table_schema("calls").names
            rows = dataset.to_table(columns=columns, filter=condition(app_id=app_id))
            metrics = tables.load("metrics")
            units = metrics_units(metrics, app_id=app_id)
        state = cls(live=units)
        by_call = defaultdict[str, list[str]](list)
        for unit in units:
            by_call[call_of_unit(unit) or ""].append(unit)
        ongoing = dict[str, str]()
        for row in rows.select(["call_id", "finished", "day"]).to_pylist():
            call_id, single = row["call_id"], by_call.get(short_id(row["call_id"]), [])
            state.published[call_id] = Published(
                metrics=() if row["finished"] else tuple(sorted(single)), finished=row["finished"]
            )
            if not (row["finished"] or single):
                ongoing[call_id] = row["day"].isoformat()
        with bucket_errors("cannot read", tables.url("metrics")):
            for call_id in compacted_calls(metrics, app_id, ongoing):  # it had left the retention
                state.published[call_id] = Published(metrics=(), finished=True)
        newer = dict[str, ReadyCall]()
        for call in waiting:
            stored = state.published.get(call.call_id)
            if not (stored and stored.finished):
                state.add(call)
                newer[call.call_id] = call
        replaced = pc.is_in(rows.column("call_id"), value_set=pa.array(newer, pa.string()))
        added = [
            in_log_schema("calls", call.row, app_id=app_id, day=day_scalar(call.day))
            for call in newer.values()
        ]
        kept = rows.filter(pc.invert(replaced)).select(columns)
        state.rows = pa.concat_tables(
            [kept.cast(table_schema("calls")), *(r.cast(table_schema("calls")) for r in added)]
        )
        return state

    def add(self, call: ReadyCall) -> None:
        """Record a call that is ready."""
        self.published[call.call_id] = call.published
        self.ready[call.call_id] = call.key
        self.live |= dict.fromkeys(call.units, call.day)
