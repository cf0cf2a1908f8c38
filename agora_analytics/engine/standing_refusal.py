"""When the server accepts requests again, as the last error with `Retry-After` said."""

import math
from collections.abc import Callable

from agora_analytics.errors import APIError


class StandingRefusal:
    """Raises the last error of the server again until the time that it named, without a request.

    Args:
        now: the monotonic time in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._error: APIError | None = None
        self._ends_at = -math.inf
        self._for_all = False

    def record(self, error: APIError, seconds: float, *, for_all: bool) -> None:
        """Remember an error that names the time of the next attempt.

        Args:
            error: the error; `retry_at` is set.
            seconds: until that time.
            for_all: refuse every call that did not choose its deadline, not only those that cannot wait so long.
        """
        self._error, self._for_all = _copy_of(error), for_all
        self._ends_at = self._now() + seconds

    def check(self, latest: float, *, own_deadline: bool) -> None:
        """Raise the error if a call must not wait for the server.

        Args:
            latest: until when the call can wait, in monotonic seconds.
            own_deadline: the caller chose the deadline.

        Raises:
            APIError: the same error as before; `retry_after` is what is left.
        """
        if self._error is None:
            return
        left = self._ends_at - self._now()
        if left > 0 and (self._ends_at > latest or (self._for_all and not own_deadline)):
            error = _copy_of(self._error)
            error.retry_after = left
            raise error


def _copy_of(error: APIError) -> APIError:
    """Return the same error without its traceback and attempts."""
    copy = type(error)(
        error.message, status=error.status, code=error.code, host=error.host, request_id=error.request_id
    )
    copy.retry_at = error.retry_at
    return copy
