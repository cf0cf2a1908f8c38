"""An endpoint as data: what the request loop and the pages need to know of it, and nothing more."""

from attrs import frozen


@frozen(kw_only=True)
class Endpoint:
    """One URL of a vendor.

    Attributes:
        name: what people call it, and the key of its limits in a plan.
        method: the HTTP method.
        path: the path below the host.
        params: the parameters that it knows, as it spells them.
        since: the parameter that takes the first second of a time range.
        until: the parameter that takes the last second of a time range.
        items: the field of the answer that holds the records.
        page_size: the largest page that the server gives; None where answers have no pages.
        replayable: whether the same request may be sent twice (queries yes; what changes or consumes, no).
    """

    name: str
    method: str = "GET"
    path: str
    params: tuple[str, ...] = ()
    since: str = "start_ts"
    until: str = "end_ts"
    items: str
    page_size: int | None = None
    replayable: bool = True
