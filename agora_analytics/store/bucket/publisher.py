"""Makes ready rows visible: commits them to the Delta logs, each call exactly once.

A publisher may be killed at any step, and several may run at once. The next one finds the same ready objects, leaves out
what is in the logs, and commits the rest. The order of the reads and commits makes this exact:

- The tables are loaded before the ready objects are listed, `calls` last. A call that is not in `calls` was not published
  completely when the other tables were loaded, so a commit that has been added to them since refuses ours.
- `metrics`, `sessions` and `calls` are committed in this order. A call in `calls` has its rows in the other tables.
- Ready objects are deleted last.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from attrs import define, field

from agora_analytics.errors import StoreDamaged
from agora_analytics.logs import logger_of
from agora_analytics.store import parquet_file
from agora_analytics.store.bucket import keys
from agora_analytics.store.bucket.bucket_errors import bucket_errors
from agora_analytics.store.bucket.delta_tables import (
    POINTS_UNIT,
    DeltaTables,
    FencedTable,
    Overtaken,
    call_of_unit,
    compacted_calls,
    condition,
    day_scalar,
    in_log_schema,
    matching,
    metrics_units,
)
from agora_analytics.store.bucket.objects import Objects
from agora_analytics.store.bucket.ready import ReadyCall, newest_states, points_of_key
from agora_analytics.store.layout import short_id, unit_name

_log = logger_of("store")

_LOAD_ORDER = ("points", "metrics", "sessions", "calls")
_CALLS_IN_A_COMMIT = 500
_UNITS_IN_A_COMMIT = 2000
_POINTS_IN_A_COMMIT = 200


def publish(objects: Objects, tables: DeltaTables, at: Callable[[str], None] = lambda _step: None) -> bool:
    """Commit everything that is ready; return False if another publisher or a compaction has committed meanwhile.

    Then a part may be left, which needs new snapshots of the tables. `at` is called with the name of each step before it;
    tests stop a publisher there.
    """
    if not (objects.list(keys.READY_CALLS) or objects.list(keys.READY_POINTS)):
        return True
    at("load")
    loaded = {table: tables.load_fenced(table) for table in _LOAD_ORDER}
    publisher = _Publisher(objects, loaded, at)
    try:
        publisher.publish_points(sorted(objects.list(keys.READY_POINTS)))
        publisher.publish_calls(sorted(objects.list(keys.READY_CALLS)))
    except Overtaken:
        _log.debug("another publisher or a compaction has committed meanwhile")
        return False
    return True


@define
class _Publisher:
    _objects: Objects
    _tables: dict[str, FencedTable]
    _at: Callable[[str], None]
    _log_units: dict[str, dict[str, set[str]]] = field(init=False, factory=dict)
    _sizes: dict[str, int] = field(init=False, factory=dict)

    def publish_calls(self, ready: Sequence[str]) -> None:
        """Publish calls, given the keys of their ready objects."""
        for _, group in groupby(ready, key=lambda key: key.split("/")[2]):
            by_call = defaultdict[str, list[str]](list)
            for key in group:
                by_call[
                    keys.file_name(key).rsplit(".", 2 if key.endswith(".final.parquet") else 3)[0]
                ].append(key)
            for names in _chunks(list(by_call.values()), _CALLS_IN_A_COMMIT):
                self._publish_batch([key for call_keys in names for key in call_keys])

    def _publish_batch(self, ready: Sequence[str]) -> None:
        self._at("read")
        calls = list(self._read_calls(ready))
        accepted = self._accept(calls[0].app_id, calls) if calls else []
        if accepted:
            app_id = accepted[0].app_id
            self._commit_metrics(app_id, accepted)
            self._commit_rows(app_id, accepted, "sessions")
            self._commit_rows(app_id, accepted, "calls")
            _log.debug("published %d calls of %s", len(accepted), app_id)
        self._at("delete ready calls")
        self._objects.delete(ready)

    def _read_calls(self, ready: Sequence[str]) -> Iterator[ReadyCall]:
        # a missing object was deleted by another publisher, after its calls were committed
        for key, content in self._objects.get_all(ready).items():
            try:
                yield ReadyCall.decode(key, content)
            except StoreDamaged as error:
                _log.warning("%s", error)

    def _accept(self, app_id: str, calls: Sequence[ReadyCall]) -> list[ReadyCall]:
        """Return the state of each call to publish: the newest that continues what is in the logs.

        Of two harvests that took different snapshots of a call, the first that was published wins: the samples of the
        other one may overlap. The next harvest continues from there.
        """
        days = sorted({call.day for call in calls})
        with bucket_errors("cannot read", "calls"):
            rows = (
                self._tables["calls"]
                .delta.to_pyarrow_dataset()
                .to_table(
                    columns=["call_id", "finished", "destroyed_ts"],
                    filter=condition(app_id=app_id, day=[day_scalar(day) for day in days]),
                )
            )
        stored = {row["call_id"]: row for row in rows.to_pylist()}
        self._sizes = {}
        for day in days:
            self._sizes |= self._objects.list(keys.day_folder("metrics", app_id, day))
        final = self._final_calls(app_id, calls, stored)
        newest = dict[str, ReadyCall]()
        for call in newest_states(calls):
            row = stored.get(call.call_id)
            before = newest.get(call.call_id)
            if (before and before.finished) or call.call_id in final:
                continue
            if row and row["destroyed_ts"].timestamp() > call.until and not call.finished:
                continue
            known = before.units if before else self._units_in_log(app_id).get(short_id(call.call_id), set())
            missing = [
                unit
                for unit in call.units
                if keys.metrics_unit(unit, app_id=app_id, day=call.day) not in self._sizes
                and unit not in known
            ]
            if missing or not set(known) <= set(call.units):
                reason = "units of it are missing" if missing else "another harvest has stored another state"
                _log.warning(
                    "call %s is not published: %s; the next harvest fetches it again", call.call_id, reason
                )
                continue
            newest[call.call_id] = call
        return list(newest.values())

    def _final_calls(
        self, app_id: str, calls: Sequence[ReadyCall], stored: Mapping[str, Mapping[str, Any]]
    ) -> set[str]:
        """Return the stored calls that have ended, and those whose snapshot was compacted after its retention."""
        ongoing = {
            call.call_id: call.day
            for call in calls
            if call.call_id in stored
            and not stored[call.call_id]["finished"]
            and short_id(call.call_id) not in self._units_in_log(app_id)
        }
        ended = {call_id for call_id, row in stored.items() if row["finished"]}
        with bucket_errors("cannot read", "metrics"):
            return ended | compacted_calls(self._tables["metrics"].delta, app_id, ongoing)

    def _units_in_log(self, app_id: str) -> dict[str, set[str]]:
        if app_id not in self._log_units:
            by_call = defaultdict[str, set[str]](set)
            for unit in metrics_units(self._tables["metrics"].delta, app_id=app_id):
                by_call[call_of_unit(unit) or ""].add(unit)
            self._log_units[app_id] = by_call
        return self._log_units[app_id]

    def _commit_metrics(self, app_id: str, calls: Sequence[ReadyCall]) -> None:
        in_log = self._units_in_log(app_id)
        added = [
            (key.removeprefix("metrics/"), self._sizes[key], app_id, call.day)
            for call in calls
            for unit in call.units
            if unit not in in_log.get(short_id(call.call_id), ())
            for key in [keys.metrics_unit(unit, app_id=app_id, day=call.day)]
        ]
        for chunk in _chunks(added, _UNITS_IN_A_COMMIT):
            self._at("commit metrics")
            self._tables["metrics"].add(chunk)

    def _commit_rows(self, app_id: str, calls: Sequence[ReadyCall], table: str) -> None:
        """Write the rows of calls to `sessions` or `calls`; those of an earlier state are replaced."""
        days = sorted({call.day for call in calls})
        ids = [call.call_id for call in calls]
        fenced = self._tables[table]
        with bucket_errors("cannot read", table):
            wanted = condition(app_id=app_id, day=[day_scalar(day) for day in days], call_id=ids)
            found = fenced.delta.to_pyarrow_dataset().to_table(columns=["call_id"], filter=wanted)
        stored = set(pc.unique(found.column("call_id")).to_pylist())
        rows = {
            call.call_id: in_log_schema(
                table,
                call.row if table == "calls" else call.sessions,
                app_id=app_id,
                day=day_scalar(call.day),
            )
            for call in calls
        }
        new = [rows[call_id] for call_id in ids if call_id not in stored]
        again = [rows[call_id] for call_id in ids if call_id in stored]
        if new:
            self._at(f"commit {table}")
            fenced.append(pa.concat_tables(new))
        if again:
            self._at(f"replace {table}")
            predicate = matching(app_id=app_id, day=days, call_id=sorted(stored))
            fenced.replace(pa.concat_tables(again), predicate)

    def publish_points(self, ready: Sequence[str]) -> None:
        """Publish units of `points`, given the keys of their ready objects. The newest rows of a unit win."""
        for _, group in groupby(ready, key=lambda key: key.rpartition("/")[0]):
            for chunk in _chunks(list(group), _POINTS_IN_A_COMMIT):
                self._publish_points(chunk)

    def _publish_points(self, ready: Sequence[str]) -> None:
        latest = {points_of_key(key)[0]: key for key in sorted(ready, key=points_of_key)}
        contents = self._objects.get_all(latest.values())
        # a missing object was deleted by another publisher, after its rows were committed
        newest = {unit: contents[key] for unit, key in latest.items() if key in contents}
        if newest:
            names = [unit_name(name) for name in newest]
            decoded = [parquet_file.decode(content, "points") for content in newest.values()]
            app_id, day = decoded[0][1]["app_id"], decoded[0][1]["day"]
            rows = pa.concat_tables(
                in_log_schema("points", part, app_id=app_id, day=day_scalar(day), **{POINTS_UNIT: name})
                for name, (part, _) in zip(names, decoded, strict=True)
            )
            fenced = self._tables["points"]
            with bucket_errors("cannot read", "points"):
                wanted = condition(app_id=app_id, day=day_scalar(day), **{POINTS_UNIT: names})
                stored = fenced.delta.to_pyarrow_dataset().count_rows(filter=wanted)
            self._at("commit points")
            if stored:
                fenced.replace(rows, matching(app_id=app_id, day=day, **{POINTS_UNIT: sorted(names)}))
            else:
                fenced.append(rows)
        # one request may delete only a part: without the newest rows, the next publisher would store older ones again
        if older := sorted({*ready} - {*latest.values()}):
            self._at("delete older ready points")
            self._objects.delete(older)
        self._at("delete ready points")
        self._objects.delete(sorted(latest.values()))


def _chunks(items: Sequence, size: int) -> Iterator[Sequence]:  # type: ignore[type-arg]
    for start in range(0, len(items), size):
        yield items[start : start + size]
