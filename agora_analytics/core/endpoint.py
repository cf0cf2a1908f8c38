"""One endpoint of a vendor's API, as far as the request loop has to know it."""

from attrs import frozen


@frozen(kw_only=True)
class Endpoint:
    """One URL of a vendor.

    Attributes:
        name: its name in errors, events and the plan table.
        method: the HTTP method.
        path: the path below the host.
        template: the path with a name in braces in place of each id, such as `/users/{user_id}`; "": the path has no ids.
        replayable: whether the request may be sent twice: true for a query, false for a change.
        columnar: whether the response is decoded to columns, without a Python object for each value.
    """

    name: str
    method: str = "GET"
    path: str
    template: str = ""
    replayable: bool = True
    columnar: bool = False
