"""How long a request may take, and how often it is tried."""

from typing import Any

from attrs import evolve, field, frozen
from attrs.validators import gt

from agora_analytics.core.limits import Limits
from agora_analytics.core.verdicts import Cause
from agora_analytics.engine.call_options import CallLimits
from agora_analytics.messages import Response, TransportFailure


@frozen(kw_only=True)
class RetryPolicy:
    """How long a call may take, and how often it is tried.

    Attributes:
        timeout: seconds for one attempt; limited to a third of the deadline.
        deadline: seconds for each request of a call that does not pass `deadline=` (see `CallOptions`); None: no deadline.
            Decoding a response does not count.
        backoff: seconds to wait before the second, third, ... attempt after a failure; the last value repeats; an empty
            tuple: no wait.
        attempts: maximum number of attempts after failures. If a response cannot be read, an identical second one is an
            error. For endpoints with few requests a day, `Limits.attempts` is lower.
        rate_attempts: maximum number of attempts after rate-limit errors.
    """

    timeout: float = field(default=30.0, validator=gt(0))
    deadline: float | None = 120.0
    backoff: tuple[float, ...] = (1.0, 3.0, 6.0)
    attempts: int = field(default=6, validator=gt(0))
    rate_attempts: int = field(default=8, validator=gt(0))

    @property
    def attempt_timeout(self) -> float:
        """Seconds for one attempt; at most a third of the deadline, so that a host that hangs leaves time for another."""
        return self.timeout if self.deadline is None else min(self.timeout, self.deadline / 3)

    def of_call(self, call: CallLimits) -> "RetryPolicy":
        """Return the policy with the deadline of a call, which another caller of the request may have extended."""
        return evolve(self, deadline=call.seconds) if call.has_deadline else self

    def attempts_for(self, cause: Cause) -> int:
        """Return the maximum number of attempts for a cause."""
        if cause is Cause.CREDENTIALS:
            return 2
        if cause is Cause.CLOCK:  # a second response has to confirm a large change of the server's clock
            return 3
        return self.rate_attempts if cause is Cause.RATE else self.attempts


class Retries:
    """Counts the failures of one request, and decides whether it is sent again."""

    def __init__(self, policy: RetryPolicy, limits: Limits) -> None:
        self.policy = policy
        self._tries: dict[Cause, int] = {}
        self._charged_left = policy.attempts if limits.attempts is None else limits.attempts
        self._unreadable: set[tuple[Any, ...]] = set()

    def allow(self, cause: Cause, outcome: Response | TransportFailure) -> bool:
        """Record a failure, and return whether the request may be sent again."""
        self._tries[cause] = tries = self._tries.get(cause, 0) + 1
        if tries >= self.policy.attempts_for(cause):
            return False
        if cause in (Cause.TROUBLE, Cause.UNREADABLE):
            self._charged_left -= isinstance(outcome, Response) or not outcome.kind.never_left
        return self._charged_left > 0 and not (cause is Cause.UNREADABLE and self._has_repeated(outcome))

    def back_off(self, cause: Cause) -> float:
        """Return the seconds to wait before the next attempt."""
        steps = self.policy.backoff
        return steps[min(self._tries[cause], len(steps)) - 1] if steps else 0.0

    def _has_repeated(self, outcome: Response | TransportFailure) -> bool:
        """Return whether an unreadable response is identical to an earlier one. A transport keeps no corrupt body."""
        if isinstance(outcome, Response):
            unreadable: tuple[Any, ...] = outcome.status, hash(outcome.body)
        else:
            unreadable = outcome.kind, outcome.detail
        repeated = unreadable in self._unreadable
        self._unreadable.add(unreadable)
        return repeated
