"""The dlt source: harvests into a store within the plan's limits, and loads what the destination does not have yet."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import dlt
import pyarrow as pa
from dlt.common.pipeline import SupportsPipeline
from dlt.common.schema.typing import TDeleteInsertStrategyDict, TTableSchemaColumns
from dlt.extract import DltResource

from agora_analytics.blocking import Agora, ApsaraVideo, OpenTok
from agora_analytics.blocking.harvesting import harvest
from agora_analytics.errors import InvalidRequest
from agora_analytics.integrations.dlt.credentials import AgoraCredentials
from agora_analytics.integrations.dlt.new_rows import MERGE_KEYS, field_text, loaded_schema, new_rows
from agora_analytics.integrations.dlt.store_days import AnyStore
from agora_analytics.schemas import TABLES
from agora_analytics.store import open_store

_REPLACE_BLOCKS: TDeleteInsertStrategyDict = {"disposition": "merge", "strategy": "delete-insert"}

Time: TypeAlias = str | datetime | float
"""An `Instant`. Text is first, because dlt converts a configured value to the first type of a union."""

ClientFactory: TypeAlias = Callable[[], Agora | ApsaraVideo | OpenTok]
"""Creates the client of a harvest, for example `OpenTok.from_env`."""


@dlt.source(name="agora", section="agora", max_table_nesting=0)
def agora_source(
    since: Time | None = None,
    until: Time = "now",
    store: str | Path | None = None,
    credentials: AgoraCredentials = dlt.secrets.value,
    client: ClientFactory | None = None,
) -> list[DltResource]:
    """Return a dlt source with the resources `calls`, `sessions`, `metrics` and `points`.

    With `since`, each run of a pipeline first harvests into a store, within the limits of the plan. Then it loads the rows
    of the store that the destination does not have. A call that was fetched again replaces its rows in the destination.
    A row is in the destination once, after any number of runs, crashes and compactions. Rows that the store has lost stay
    in the destination until their call is fetched again.

    The tables are those of docs/tables.md, with `metric` and `unit` in `metrics`. Times are in UTC. `day` has the hint
    `partition`.

    Args:
        since: harvest from here on: an aware datetime, ISO 8601, epoch seconds, or a relative time (`6h`, `2d`). None: do
            not send a request; load what the store has.
        until: likewise; the end of the harvest.
        store: a folder, or the URL of a bucket; see `open_store`. None: a folder in the pipeline's working directory.
            The store is needed again by the next run. Without it, the data is fetched again.
        credentials: the account of Agora in dlt's configuration, below `sources.agora.credentials`. Settings that are
            missing are read from the `AGORA_*` variables.
        client: creates the client instead: `OpenTok.from_env`, `ApsaraVideo.from_env` or a function that returns an
            `Agora`, all of `agora_analytics.blocking`.

    Raises:
        InvalidRequest: neither `since` nor `store` was passed. While a pipeline runs: the destination cannot replace
            rows.
        ConfigurationError: a setting is missing or cannot be used.
        AgoraAnalyticsError: while a pipeline runs: the errors of `harvest`. Nothing is loaded then; what was harvested is
            in the store, and is loaded by the next run.

    Example:
        pipeline = dlt.pipeline("calls", destination="duckdb", dataset_name="agora")
        pipeline.run(agora_source(since="2d"))
        pipeline.run(agora_source(store="calls.store"))
    """
    if since is None and store is None:
        raise InvalidRequest("nothing to load; pass since= to harvest, or store= to load an existing store")
    create = client or (lambda: Agora.from_env(**credentials.settings()))
    refreshed = _Refreshed(create, since, until, store)
    return [_resource(table, refreshed) for table in TABLES]


class _Refreshed:
    """The store of a source, harvested once in each run of a pipeline. A run opens it once for each selected table."""

    def __init__(
        self, create: ClientFactory, since: Time | None, until: Time, store: str | Path | None
    ) -> None:
        self._create = create
        self._since = since
        self._until = until
        self._store = store
        self._opened: AnyStore | None = None
        self._tables = set[str]()

    def open(self, table: str) -> AnyStore:
        """Return the store for reading a table. A table that was opened before begins another run."""
        if self._opened is None or table in self._tables:
            self._opened, self._tables = self._refresh(), set()
        self._tables.add(table)
        return self._opened

    def _refresh(self) -> AnyStore:
        pipeline = dlt.current.pipeline()
        _require_merge(pipeline)
        store = open_store(
            str(self._store or Path(pipeline.working_dir, "agora.store")), create=self._since is not None
        )
        if self._since is not None:
            with self._create() as client:
                harvest(client, since=self._since, until=self._until, store=store)
        return store


def _require_merge(pipeline: SupportsPipeline) -> None:
    """Raise `InvalidRequest` if the destination would append the rows of a call that is loaded again."""
    if pipeline.destination is None:
        return
    supported = pipeline.destination.capabilities().supported_merge_strategies or ()
    if _REPLACE_BLOCKS["strategy"] not in supported:
        raise InvalidRequest(
            f"the destination {pipeline.destination.destination_name} cannot replace the rows of a call; "
            f"choose one that supports dlt's merge strategy {_REPLACE_BLOCKS['strategy']}"
        )


def _resource(table: str, refreshed: _Refreshed) -> DltResource:
    def rows() -> Iterator[pa.Table]:
        loaded = dlt.current.resource_state().setdefault("loaded", {})
        yield from new_rows(refreshed.open(table), table, loaded)

    return dlt.resource(
        rows,
        name=table,
        columns=_columns(table),
        merge_key=MERGE_KEYS[table],
        write_disposition=_REPLACE_BLOCKS,
    )


def _columns(table: str) -> TTableSchemaColumns:
    """Return the hints that the Arrow tables do not have."""
    columns: dict[str, Any] = {
        field.name: {"name": field.name, "description": field_text(field)} for field in loaded_schema(table)
    }
    columns["day"]["partition"] = True
    return columns
