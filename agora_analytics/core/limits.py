"""What a plan allows an endpoint: requests a period, requests a day, and time ranges."""

from attrs import field, frozen
from attrs.validators import gt, optional

from agora_analytics.core.record import Record


@frozen(kw_only=True)
class Limits(Record):
    """The limits of one endpoint under one plan.

    Attributes:
        requests: how many requests the server accepts in each `period`, counted in fixed windows of its UTC clock.
        period: the length of that window in seconds (1 or 60).
        per_day: how many requests it accepts in a UTC day.
        burst: how many may be sent at once after a pause, at most `requests`; later ones are paced so that no period holds
            more than `requests`.
        reach: how far back a time range may start, in seconds; the bound is strict.
        span: how long one time range may be, in seconds; the bound is strict. None: no bound is documented.
        delay: how recent a time range may end, in seconds before now; the bound is strict.
        attempts: how many times a request may be charged when the server fails; None: `RetryPolicy.attempts`. Endpoints with
            100 requests a day or fewer have a small number, so that a server error does not spend the day.
        source: the document and table that the numbers are from.
    """

    requests: int = field(validator=gt(0))
    period: float = field(default=1.0, validator=gt(0))
    per_day: int = field(validator=gt(0))
    burst: int = field(default=1, validator=gt(0))
    reach: int = field(validator=gt(0))
    span: int | None = field(validator=optional(gt(1)))
    delay: int
    attempts: int | None = field(default=None, validator=optional(gt(0)))
    source: str = ""
