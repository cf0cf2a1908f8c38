"""The Delta tables of a store, and commits that are fenced against other publishers.

Every commit of a publisher carries the transaction `publish` with the next version. Delta refuses a commit if another one
with the same transaction was added since the snapshot. So a process that slept through the work of another one cannot add
the same rows again. A compaction does not carry it: it replaces the files of one day, and Delta refuses it if another
commit has replaced one of these since the snapshot.
"""

import functools
import json
import operator
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
from attrs import define, field, frozen
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction

from agora_analytics.errors import StoreError
from agora_analytics.schemas import PARTITIONS, TABLES, table_schema
from agora_analytics.store import parquet_file
from agora_analytics.store.bucket import keys
from agora_analytics.store.bucket.bucket_errors import bucket_errors
from agora_analytics.store.bucket.location import BucketLocation
from agora_analytics.store.bucket.merge import merge
from agora_analytics.store.bucket.objects import Objects
from agora_analytics.store.layout import SUFFIX, unit_name
from agora_analytics.store.sql_guard import quoted

if TYPE_CHECKING:
    import pyarrow.compute as pc
    from deltalake.transaction import RemoveAction

POINTS_UNIT = "harvest_unit"
"""The column of `points` that only a bucket has: the unit of work, by which a publisher replaces its rows."""

_TRANSACTION = "publish"
FILE_SIZE = 100 << 20
"""Bytes that a compaction packs into one file, approximately."""


class Overtaken(Exception):
    """Another publisher or a compaction has committed since the snapshot; nothing was added."""


def delta_schema(table: str) -> pa.Schema:
    """Return the columns of a table in its Delta log: times in microseconds, descriptions as comments.

    Example:
        >>> delta_schema("points").names[-2:]
        ['day', 'harvest_unit']
    """
    fields = [
        pa.field(
            column.name,
            pa.timestamp("us", "UTC") if pa.types.is_timestamp(column.type) else column.type,
            metadata={"comment": column.metadata[b"description"].decode()},
        )
        for column in table_schema(table)
    ]
    if table == "points":
        comment = "The unit of work, such as a meeting or a day, whose rows are replaced together."
        fields.append(pa.field(POINTS_UNIT, pa.string(), metadata={"comment": comment}))
    return pa.schema(fields)


@frozen
class DeltaTables:
    """The tables of one store."""

    location: BucketLocation

    def create(self) -> None:
        """Create the tables that do not exist."""
        for table in TABLES:
            with bucket_errors("cannot create", self.url(table)):
                try:
                    DeltaTable.create(
                        self.url(table),
                        delta_schema(table),
                        mode="ignore",
                        partition_by=PARTITIONS.names,
                        name=table,
                        storage_options=self.location.delta_options,
                    )
                except DeltaError:  # another process was faster
                    DeltaTable(self.url(table), storage_options=self.location.delta_options)

    def load(self, table: str) -> DeltaTable:
        """Return a table at its latest version."""
        with bucket_errors("cannot read", self.url(table)):
            try:
                return DeltaTable(self.url(table), storage_options=self.location.delta_options)
            except TableNotFoundError:
                raise StoreError(
                    f"cannot read {self.url(table)}: its Delta log is missing; restore it, or harvest into a new prefix"
                ) from None

    def load_fenced(self, table: str) -> "FencedTable":
        """Return a table to which a publisher or a compaction commits."""
        return FencedTable(table, self.load(table), Objects.open(self.location))

    def url(self, table: str) -> str:
        """Return the URL of a table."""
        return f"{self.location.url}/{table}"


@define
class FencedTable:
    """A table at one version. Each commit of a publisher fails with `Overtaken` if another one has committed since.

    Attributes:
        name: the name of the table.
        delta: the table.
    """

    name: str
    delta: DeltaTable = field(repr=False)
    _objects: Objects = field(repr=False)
    _version: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._version = self.delta.transaction_version(_TRANSACTION) or 0

    def add(self, objects: Sequence[tuple[str, int, str, str]]) -> None:
        """Add objects to the log, each as (key relative to the table, bytes, app, day)."""
        now = int(time.time() * 1000)
        actions: list[AddAction | RemoveAction] = [
            AddAction(path, size, {"app_id": app_id, "day": day}, now, True, "{}")
            for path, size, app_id, day in objects
        ]
        self._commit(
            lambda properties: self.delta.create_write_transaction(
                actions, "append", self.delta.schema(), PARTITIONS.names, commit_properties=properties
            )
        )

    def append(self, rows: pa.Table) -> None:
        """Append rows in the schema of the log."""
        if rows.num_rows:
            self._commit(lambda properties: self._write(rows, "append", None, properties))

    def replace(self, rows: pa.Table, predicate: str) -> None:
        """Replace the rows that match a predicate, all in one commit. The new rows match it too."""
        if rows.num_rows:
            self._commit(lambda properties: self._write(rows, "overwrite", predicate, properties))
        else:
            self._commit(lambda properties: self.delta.delete(predicate, commit_properties=properties))

    def compact(self, app_id: str, day: str) -> None:
        """Merge the files of an app's day, in one commit.

        Delta refuses it if another commit has replaced one of these files since the snapshot. (It accepts `OPTIMIZE`
        after another one of the same files, and each row is there twice.) Files that were added since are not merged;
        the table stays at its version, so that no later call merges them.
        """
        version = self.delta.version()
        names = [name for name in delta_schema(self.name).names if name not in PARTITIONS.names]
        key = f"{keys.day_folder(self.name, app_id, day)}/part-{uuid.uuid4()}{SUFFIX}"
        with bucket_errors("cannot commit to", self.delta.table_uri.rstrip("/")):
            dataset = self.delta.to_pyarrow_dataset()
            files = dataset.get_fragments(filter=condition(app_id=app_id, day=day_scalar(day)))
            schema = pa.schema([dataset.schema.field(name) for name in names])
            content, rows = merge(self.name, files, schema)
            self._objects.put(key, content)
            merged = AddAction(
                key.removeprefix(f"{self.name}/"),
                len(content),
                {"app_id": app_id, "day": day},
                int(time.time() * 1000),
                False,
                json.dumps({"numRecords": rows}),
            )
            try:
                self.delta.create_write_transaction(
                    [merged],
                    "overwrite",
                    self.delta.schema(),
                    PARTITIONS.names,
                    partition_filters=[("app_id", "=", app_id), ("day", "=", day)],
                )
            except CommitFailedError as problem:
                raise Overtaken from problem
            finally:
                self.delta.load_as_version(version)

    def _write(
        self,
        rows: pa.Table,
        mode: Any,
        predicate: str | None,
        properties: CommitProperties,
    ) -> None:
        write_deltalake(
            self.delta,
            rows,
            mode=mode,
            predicate=predicate,
            target_file_size=FILE_SIZE,
            writer_properties=writer_properties(self.name),
            commit_properties=properties,
        )

    def _commit(self, commit: Callable[[CommitProperties], object]) -> None:
        expected = self._version + 1
        properties = CommitProperties(app_transactions=[Transaction(_TRANSACTION, expected)])
        with bucket_errors("cannot commit to", self.delta.table_uri.rstrip("/")):
            try:
                commit(properties)
            except CommitFailedError as problem:
                raise Overtaken from problem
            self.delta.update_incremental()
            # a compaction without work commits nothing
            if (version := self.delta.transaction_version(_TRANSACTION) or 0) > expected:
                raise Overtaken
            self._version = version


def files_of(table: DeltaTable, *, app_id: str | None = None) -> pa.Table:
    """Return the files of a table: `path` relative to the table, `size_bytes`, `num_records`, `app_id`, `day` (text).

    `num_records` is null for the objects of harvests, whose footers no publisher reads.
    """
    actions = pa.table(table.get_add_actions(flatten=True))
    files = pa.table(
        {
            "path": actions.column("path"),
            "size_bytes": actions.column("size_bytes"),
            "num_records": actions.column("num_records")
            if "num_records" in actions.column_names
            else pa.nulls(actions.num_rows, pa.int64()),
            "app_id": actions.column("partition.app_id"),
            "day": actions.column("partition.day").cast(pa.string()),
        }
    )
    if app_id is not None:
        import pyarrow.compute as pc

        files = files.filter(pc.equal(files.column("app_id"), app_id))
    return files


def call_of_unit(unit: str) -> str | None:
    """Return the short form of the call id in the name of a unit of `metrics`; None for a compacted file."""
    parts = unit.rsplit(".", 2)
    return parts[0] if len(parts) == 3 else None


def metrics_units(table: DeltaTable, *, app_id: str | None = None) -> dict[str, str]:
    """Return the units of `metrics` that are in the log as single objects, with their days."""
    files = files_of(table, app_id=app_id)
    found = {}
    for path, day in zip(files.column("path").to_pylist(), files.column("day").to_pylist(), strict=True):
        unit = unit_name(unquote(path).rpartition("/")[2])
        if call_of_unit(unit) is not None:
            found[unit] = day
    return found


def compacted_calls(table: DeltaTable, app_id: str, days: Mapping[str, str]) -> set[str]:
    """Return which calls have samples in compacted files of `metrics`; `days` has the day of each call.

    Their units are unknown, so that they cannot be continued.
    """
    import pyarrow.compute as pc

    files = files_of(table, app_id=app_id)
    compacted = {
        day
        for path, day in zip(files.column("path").to_pylist(), files.column("day").to_pylist(), strict=True)
        if call_of_unit(unit_name(unquote(path).rpartition("/")[2])) is None
    }
    calls = [call_id for call_id, day in days.items() if day in compacted]
    if not calls:
        return set()
    wanted = condition(app_id=app_id, day=[day_scalar(day) for day in sorted(compacted)], call_id=calls)
    rows = table.to_pyarrow_dataset().to_table(columns=["call_id"], filter=wanted)
    return set(pc.unique(rows.column("call_id")).to_pylist())


def day_scalar(day: str) -> pa.Scalar:
    """Return a day as a value of the column `day`."""
    return pa.array([day], pa.string()).cast(pa.date32())[0]


def condition(**values: Any) -> "pc.Expression":
    """Return the condition that columns equal a value, or are in a list of values, to filter a dataset."""
    import pyarrow.compute as pc

    parts = [
        pc.field(name).isin(value) if isinstance(value, list) else pc.field(name) == value
        for name, value in values.items()
    ]
    return functools.reduce(operator.and_, parts)


def matching(**values: str | Iterable[str]) -> str:
    """Return a predicate of `FencedTable.replace`: columns that equal a text, or are in a list of texts.

    Example:
        >>> matching(app_id="a", call_id=["c1", "c'2"])
        "app_id = 'a' AND call_id IN ('c1', 'c''2')"
    """
    parts = [
        f"{name} = {quoted(value)}"
        if isinstance(value, str)
        else f"{name} IN ({', '.join(map(quoted, value))})"
        for name, value in values.items()
    ]
    return " AND ".join(parts)


def in_log_schema(table: str, rows: pa.Table, **constants: str | pa.Scalar) -> pa.Table:
    """Return rows with the columns of a table's log; `constants` fill columns."""
    schema = delta_schema(table)
    for name, value in constants.items():
        scalar = value if isinstance(value, pa.Scalar) else pa.scalar(value, pa.string())
        rows = rows.append_column(name, pa.repeat(scalar, rows.num_rows))
    return rows.select(schema.names).cast(schema)


def writer_properties(table: str) -> WriterProperties:
    """Return the encodings of a table as deltalake takes them: those of `parquet_file`."""
    encoding = parquet_file.ENCODINGS[table]
    columns: Mapping[str, ColumnProperties] = {
        **{name: ColumnProperties(dictionary_enabled=True) for name in encoding.dictionary},
        **{
            name: ColumnProperties(dictionary_enabled=False, encoding=kind)  # type: ignore[arg-type]
            for name, kind in encoding.other.items()
        },
    }
    return WriterProperties(
        compression="ZSTD",
        compression_level=1,
        max_row_group_size=parquet_file.ROW_GROUP,
        column_properties=dict(columns),
    )
