"""What a harvest does about trouble: one piece of work is left for the next run; where all fail, it stops."""

from attrs import define

from agora_analytics.errors import (
    AccessDenied,
    AuthenticationError,
    ConfigurationError,
    ServerError,
    StoreError,
    TransportError,
)
from agora_analytics.harvest.events import CallSkipped

FATAL_ERRORS = (AuthenticationError, AccessDenied, ConfigurationError, StoreError)
MAX_FAILURES_IN_A_ROW = 8


@define
class CircuitBreaker:
    """Counts how often in a row the server or the network failed, however often each request was tried."""

    _failures_in_a_row: int = 0

    def record_success(self) -> None:
        """Note that something came well."""
        self._failures_in_a_row = 0

    def record_failure(self, name: str, error: BaseException) -> CallSkipped:
        """Return that a piece of work is left for the next run.

        Raises:
            TransportError, ServerError: `error` itself, where everything fails: rather once than piece by piece.
        """
        if isinstance(error, TransportError | ServerError):
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
                raise error
        return CallSkipped(call_id=name, reason=str(error))


def first_failure(failures: BaseException) -> BaseException:
    """Return the first failure of a group, or the failure itself."""
    while isinstance(failures, BaseExceptionGroup):
        failures = failures.exceptions[0]
    return failures
