"""Every error that the library raises.

    AgoraAnalyticsError
    ├── ConfigurationError          a setting is missing or wrong; nothing was sent
    ├── InvalidRequest              refused here, before a request was spent (also a ValueError)
    │   └── WindowOutOfReach        the plan does not allow any part of the time range; has `legal`
    ├── QuotaExhausted              the day's quota of an endpoint is spent; has `retry_at`
    ├── APIError                    the server answered, and said no; has `status`, `code`, `request_id`
    │   ├── BadRequest              it did not accept the parameters
    │   ├── AuthenticationError     it does not know the customer id and secret
    │   ├── AccessDenied            the plan or the account does not include this
    │   ├── NotFound                there is no such endpoint
    │   ├── WindowRefused           too far back, too long or too recent for the plan
    │   ├── RateLimited             still over the rate after every retry
    │   └── ServerError             5xx, body code 500, or a gateway's page
    ├── TransportError              no whole answer came; has `kind` and the trail of attempts
    │   └── DeadlineExceeded        the time that the caller gave ran out
    ├── DecodeError                 the answer is not what the vendor documents; has `path`
    ├── IncompleteListing           a listing cannot be shown to be whole
    ├── StoreConflict                   another harvest changed a call in the store meanwhile
    └── StoreError                  the tables cannot be read or written
        └── StoreVersionError       written by another version of this library

Every error that concerns a request has `endpoint`, `host`, `request_id` and `trail`, one line an attempt.
One that ends a question of several requests has in `partial` the rows of those that were answered, else None.
No error holds a credential.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

from agora_analytics.messages import FailureKind


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")


@frozen(kw_only=True)
class Attempt:
    """One attempt of a request: where it went, what came back and how long that took (seconds)."""

    host: str
    outcome: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.host}: {self.outcome} after {self.seconds:.2f} s"


class AgoraAnalyticsError(Exception):
    """The base of all errors of this library."""

    def __init__(
        self,
        message: str,
        *,
        endpoint: str | None = None,
        host: str | None = None,
        request_id: str | None = None,
        trail: Sequence[Attempt] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.endpoint = endpoint
        self.host = host
        self.request_id = request_id
        self.trail = tuple(trail)
        self.partial: Any = None

    def __str__(self) -> str:
        place = [
            part
            for part in (
                self.endpoint,
                self.host and f"host {self.host}",
                self.request_id and f"request id {self.request_id}",
                f"attempt {len(self.trail)}" if len(self.trail) > 1 else None,
            )
            if part
        ]
        return f"{self.message} ({', '.join(place)})" if place else self.message


class ConfigurationError(AgoraAnalyticsError):
    """A setting is missing or cannot be used. Nothing was sent."""


class InvalidRequest(AgoraAnalyticsError, ValueError):
    """Refused here, before a request was spent."""


class WindowOutOfReach(InvalidRequest):
    """No part of the time range can be asked for; `legal` is the range that can, in UTC epoch seconds."""

    def __init__(self, message: str, *, legal: tuple[int, int], endpoint: str | None = None) -> None:
        super().__init__(
            f"{message}; the plan allows {_utc(legal[0])} to {_utc(legal[1])} at this moment",
            endpoint=endpoint,
        )
        self.legal = legal


class QuotaExhausted(AgoraAnalyticsError):
    """The day's quota of an endpoint is spent; it opens again at `retry_at` (UTC epoch seconds)."""

    def __init__(self, message: str, *, retry_at: float, **place: Any) -> None:
        super().__init__(f"{message}; it opens again at {_utc(retry_at)}", **place)
        self.retry_at = retry_at


class APIError(AgoraAnalyticsError):
    """The server answered, and said no: `status` is the HTTP status, `code` the one in the body."""

    def __init__(self, message: str, *, status: int, code: int | str | None = None, **place: Any) -> None:
        super().__init__(message, **place)
        self.status = status
        self.code = code


class BadRequest(APIError):
    """The server did not accept the parameters."""


class AuthenticationError(APIError):
    """The server does not know the customer id and secret."""


class AccessDenied(APIError):
    """The plan or the account does not include this endpoint or app id."""


class NotFound(APIError):
    """The server has no such endpoint, or no such thing."""


class WindowRefused(APIError):
    """The server found the time range too far back, too long or too recent for the plan."""


class RateLimited(APIError):
    """Still over the rate after every retry; another process may be using the same account."""


class ServerError(APIError):
    """The server or a gateway before it is broken."""


class TransportError(AgoraAnalyticsError):
    """No whole answer came, however often it was tried; `kind` is the last failure."""

    def __init__(self, message: str, *, kind: FailureKind | None = None, **place: Any) -> None:
        super().__init__(message, **place)
        self.kind = kind


class DeadlineExceeded(TransportError, TimeoutError):
    """The time that the caller gave ran out; `trail` has what was tried."""


class DecodeError(AgoraAnalyticsError):
    """The answer is not what the vendor documents; `path` is where in the JSON."""

    def __init__(self, message: str, *, path: str = "$", **place: Any) -> None:
        super().__init__(f"{message} at {path}", **place)
        self.path = path


class IncompleteListing(AgoraAnalyticsError):
    """The server holds more than it lists, and no narrower time range shows it."""


class StoreConflict(AgoraAnalyticsError):
    """Another harvest changed a call in the store meanwhile; the next run takes it up from there."""


class StoreError(AgoraAnalyticsError):
    """The tables cannot be read or written."""


class StoreVersionError(StoreError):
    """The folder was written by another version of this library."""
