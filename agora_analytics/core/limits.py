"""What a plan allows an endpoint: requests a period, requests a day, and time ranges."""

from typing import Literal

from attrs import field, frozen
from attrs.validators import gt, in_, optional

from agora_analytics.core.record import Record


@frozen(kw_only=True)
class Limits(Record):
    """The limits of one endpoint under one plan.

    Attributes:
        requests: how many requests the server accepts in each `period`.
        period: the length of that window in seconds (1 or 60).
        windows: "fixed" if the server counts requests in UTC seconds or minutes of its clock, so that each of these may hold
            `requests`; "sliding" if any time span of that length may, or if it is not documented.
        per_day: how many requests it accepts in a UTC day.
        burst: how many may be sent at once after a pause, at most `requests`; the others are spread over the window.
        reach: how far back a time range may start, in seconds; the bound is strict.
        span: how long one time range may be, in seconds; the bound is strict. None: no bound is documented.
        delay: how recent a time range may end, in seconds before now; the bound is strict.
        attempts: how many times a request may be charged when the server fails; None: `RetryPolicy.attempts`. Endpoints with
            100 requests a day or fewer have a small number, so that a server error does not spend the day.
        source: the document and table that the numbers are from, and where `windows` is documented.
    """

    requests: int = field(validator=gt(0))
    period: float = field(default=1.0, validator=gt(0))
    windows: Literal["fixed", "sliding"] = field(default="sliding", validator=in_(("fixed", "sliding")))
    per_day: int = field(validator=gt(0))
    burst: int = field(default=1, validator=gt(0))
    reach: int = field(validator=gt(0))
    span: int | None = field(validator=optional(gt(1)))
    delay: int
    attempts: int | None = field(default=None, validator=optional(gt(0)))
    source: str = ""
