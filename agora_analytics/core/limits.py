"""What a plan allows one group of endpoints: how often, how many a day, and which time ranges."""

from attrs import field, frozen
from attrs.validators import gt, optional


@frozen(kw_only=True)
class Limits:
    """The contract of one endpoint under one plan.

    Attributes:
        requests: how many requests the server takes in each `period`, counted in fixed windows of its UTC clock.
        period: the length of that window in seconds (1 or 60).
        per_day: how many requests it takes in a UTC day.
        burst: how many may leave at once after a rest, at most `requests`; those behind them are paced so that no
            period holds more than `requests`.
        reach: how far back a time range may start, in seconds; the bound is strict.
        span: how long one time range may be, in seconds; the bound is strict. None: no bound is documented.
        delay: how recent a time range may end, in seconds before now; the bound is strict.
        source: the document and table that the numbers are from.
    """

    requests: int = field(validator=gt(0))
    period: float = field(default=1.0, validator=gt(0))
    per_day: int = field(validator=gt(0))
    burst: int = field(default=1, validator=gt(0))
    reach: int = field(validator=gt(0))
    span: int | None = field(validator=optional(gt(1)))
    delay: int
    source: str = ""
