"""One endpoint of a vendor's API, as far as the request loop has to know it."""

from attrs import frozen


@frozen(kw_only=True)
class Endpoint:
    """One URL of a vendor.

    Attributes:
        name: its name in errors, events and the plan table.
        method: the HTTP method.
        path: the path below the host.
        params: the names of its parameters.
        since: the parameter for the first second of a time range.
        until: the parameter for the last second of a time range.
        items: the field of the response that holds the records.
        page_size: the largest page; None for an endpoint without pages.
        replayable: whether the request may be sent twice: true for a query, false for a change.
    """

    name: str
    method: str = "GET"
    path: str
    params: tuple[str, ...] = ()
    since: str = "start_ts"
    until: str = "end_ts"
    items: str = ""
    page_size: int | None = None
    replayable: bool = True
