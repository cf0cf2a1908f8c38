"""The operations of Call Inspector's listings: one row for each endpoint, with all that its requests need.

The other operations, which return one metric for each request, are in `query_operations`.

Source: Agora, "Analytics REST API reference"; see docs/agora-api.md.
"""

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Generic

from attrs import field, frozen

from agora_analytics.agora import plans, window_policies
from agora_analytics.agora.judge import read_response
from agora_analytics.agora.parsers import open_metrics
from agora_analytics.agora.record_pages import RecordPage, open_page
from agora_analytics.agora.records import Call, R, Session
from agora_analytics.core.columns import MetricColumns
from agora_analytics.core.verdicts import Read
from agora_analytics.kit.operation import Operation

MAX_SIDS = 20
"""Session ids of a request for metrics."""
MAX_UIDS = 10
"""User ids of a request."""


@frozen(kw_only=True)
class ListingOperation(Operation[RecordPage[R]], Generic[R]):
    """An endpoint that lists records on numbered pages.

    Attributes:
        record: the class of the records.
        items: the field of the body that holds them.
        key: identifies a record.
        newest_first: whether the server lists the newest record first.
        read: see `Operation`.
        read_rows: the same for a table: the records stay structs of the parser.
    """

    record: type[R]
    items: str
    key: Callable[[Any], Hashable]
    newest_first: bool = False
    read: Read[RecordPage[R]] = field(init=False, repr=False)
    read_rows: Read[RecordPage[R]] = field(init=False, repr=False)

    @read.default
    def _read(self) -> Read[RecordPage[R]]:
        return partial(read_response, open_body=partial(open_page, record=self.record, items=self.items))

    @read_rows.default
    def _read_rows(self) -> Read[RecordPage[R]]:
        open_rows = partial(open_page, record=self.record, items=self.items, as_rows=True)
        return partial(read_response, open_body=open_rows)


LISTS = ListingOperation(
    name=plans.CALL_LISTS,
    path="/beta/analytics/call/lists",
    record=Call,
    items="call_lists",
    write_window=window_policies.snake_case_ends,
    key=lambda call: call.call_id,
    newest_first=True,
)
SESSIONS = ListingOperation(
    name=plans.CALL_SESSIONS,
    path="/beta/analytics/call/sessions",
    record=Session,
    items="call_info",
    write_window=window_policies.snake_case_ends,
    key=lambda session: session.sid,
    of_one_call=True,
)
METRICS: Operation[MetricColumns] = Operation(
    name=plans.CALL_METRICS,
    path="/beta/analytics/call/metrics",
    columnar=True,
    read=partial(read_response, open_body=open_metrics),
    write_window=window_policies.snake_case_ends,
    of_one_call=True,
)
