"""Every error that the library raises.

    AgoraAnalyticsError
    ├── ConfigurationError          a setting is missing or cannot be used; no request was sent
    ├── InvalidRequest              refused before a request was spent (also a ValueError)
    │   └── WindowOutOfReach        the plan does not allow any part of the time range; has `legal`
    ├── QueueUnavailable            the queue of workers in PostgreSQL cannot be reached
    ├── LedgerUnavailable           the server that keeps the ledger cannot be reached, so no request was sent
    ├── FencedOff                   another worker has taken over the work; this one must end
    ├── QuotaExhausted              the day's quota of an endpoint is spent; has `retry_at`, `retry_after`
    ├── APIError                    the server refused the request; has `status`, `code`, `retry_at`, `retry_after`
    │   ├── BadRequest              the parameters are wrong
    │   ├── AuthenticationError     the credentials are wrong
    │   ├── AccessDenied            the plan or the account does not include the endpoint or app id
    │   ├── NotFound                the server has no such endpoint or object
    │   ├── WindowRefused           the time range is too far back, too long or too recent for the plan
    │   ├── RateLimited             the rate limit is exceeded, or a slot would come too late
    │   └── ServerError             5xx, body code 500, or the page of a gateway
    ├── TransportError              no attempt got a complete response; has `kind`
    │   └── DeadlineExceeded        the deadline of the call has passed
    ├── DecodeError                 the response is not what the vendor documents; has `path`
    ├── CallNotFound                no listed call has the id; has the range that was searched (also a LookupError)
    ├── IncompleteListing           a listing cannot be proved complete
    ├── StoreConflict               another harvest changed a call in the store at the same time
    └── StoreError                  the tables cannot be read or written
        ├── RowsRefused             rows do not fit their table, or have values out of range
        ├── StoreDamaged            a file of the store is damaged; a harvest fetches its rows again
        └── StoreVersionError       another version of this library wrote them

Every error of a request has `endpoint`, `host`, `request_id` and `trail`, the list of attempts. If a query of several
requests fails, `partial` has the rows of the requests that succeeded, else None. No error contains a credential.

All errors can be pickled and copied with their attributes, so a worker process can raise them. The cause
(`__cause__`) and the traceback stay in the process, because errors of other libraries may contain requests with secrets.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

from agora_analytics.messages import FailureKind


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")


@frozen(kw_only=True)
class Attempt:
    """One attempt of a request: the host, the outcome and the duration (seconds)."""

    host: str
    outcome: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.host}: {self.outcome} after {self.seconds:.2f} s"


class AgoraAnalyticsError(Exception):
    """The base class of all errors of this library.

    Attributes:
        message: what happened, without the context that `str(error)` adds.
        endpoint: the name of the endpoint, or None.
        host: the host of the last attempt, or None.
        request_id: the id of the last response, for the vendor's support, or None.
        trail: the attempts.
        partial: the rows of the requests that succeeded, if a query of several requests fails; otherwise None.
    """

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

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[type], Mapping[str, Any]]:
        # The default calls the class with `args`, but constructors need keyword arguments and extend the message.
        return _without_init, (type(self),), {**self.__dict__, "args": self.args}

    def __str__(self) -> str:
        context = [
            part
            for part in (
                self.endpoint,
                self.host and f"host {self.host}",
                self.request_id and f"request id {self.request_id}",
                f"attempt {len(self.trail)}" if len(self.trail) > 1 else None,
            )
            if part
        ]
        return f"{self.message} ({', '.join(context)})" if context else self.message


def _without_init(kind: type[AgoraAnalyticsError]) -> AgoraAnalyticsError:
    return kind.__new__(kind)


class ConfigurationError(AgoraAnalyticsError):
    """A setting is missing or cannot be used. No request was sent."""


class InvalidRequest(AgoraAnalyticsError, ValueError):
    """The arguments were refused before a request was spent."""


class WindowOutOfReach(InvalidRequest):
    """No part of the time range can be requested; `legal` is the range that can, in UTC epoch seconds."""

    def __init__(self, message: str, *, legal: tuple[int, int], endpoint: str | None = None) -> None:
        super().__init__(
            f"{message}; the plan allows {_utc(legal[0])} to {_utc(legal[1])} now",
            endpoint=endpoint,
        )
        self.legal = legal


class LedgerUnavailable(AgoraAnalyticsError):
    """The server that keeps the ledger cannot be reached, or does not answer.

    A client waits for it within the deadline of the call, and sends nothing meanwhile.
    """


class QueueUnavailable(AgoraAnalyticsError):
    """The PostgreSQL server with the queue of a fleet cannot be reached, or does not answer."""


class FencedOff(AgoraAnalyticsError):
    """Another worker has taken over the work, so the ledger grants this one no slot any more.

    Attributes:
        name: the work.
        token: the fencing token of this worker.
        newest: the token of the worker that has the work now.
    """

    def __init__(self, name: str, *, token: int, newest: int, **context: Any) -> None:
        super().__init__(
            f"another worker has taken over {name} (fencing token {newest}, this one has {token}); "
            "end this worker without reporting on the work",
            **context,
        )
        self.name, self.token, self.newest = name, token, newest


class QuotaExhausted(AgoraAnalyticsError):
    """The day's quota of an endpoint is spent; retry at `retry_at` (UTC epoch seconds), in `retry_after` seconds."""

    def __init__(self, message: str, *, retry_at: float, retry_after: float = 0.0, **context: Any) -> None:
        super().__init__(f"{message}; retry at {_utc(retry_at)}", **context)
        self.retry_at = retry_at
        self.retry_after = retry_after


class APIError(AgoraAnalyticsError):
    """The server refused the request: `status` is the HTTP status, `code` the code in the body.

    If the time of the next attempt is known, for instance from `Retry-After`, `retry_at` has it in UTC epoch seconds, and
    `retry_after` in seconds from the time of the error. Otherwise both are None.
    """

    def __init__(self, message: str, *, status: int, code: int | str | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.status = status
        self.code = code
        self.retry_at: float | None = None
        self.retry_after: float | None = None

    def set_retry(self, seconds: float, *, now: float) -> None:
        """Set `retry_at` and `retry_after`, and append the time to the message."""
        if self.retry_at is None:
            self.message += f"; retry at {_utc(now + seconds)}"
        self.retry_at, self.retry_after = now + seconds, seconds


class BadRequest(APIError):
    """The server did not accept the parameters."""


class AuthenticationError(APIError):
    """The server did not accept the credentials."""


class AccessDenied(APIError):
    """The plan or the account does not include this endpoint or app id."""


class NotFound(APIError):
    """The server has no such endpoint or object."""


class WindowRefused(APIError):
    """The server found the time range too far back, too long or too recent for the plan."""


class RateLimited(APIError):
    """The rate limit is exceeded, after all retries; another process may use the same account.

    The client also raises it without a request if a rate-limit slot would come later than `max_wait` or the deadline.
    """


class ServerError(APIError):
    """The server, or a gateway between it and the client, failed."""


class TransportError(AgoraAnalyticsError):
    """No attempt got a complete response; `kind` is the last failure."""

    def __init__(self, message: str, *, kind: FailureKind | None = None, **context: Any) -> None:
        self.kind = kind
        super().__init__(message, **context)

    def __str__(self) -> str:
        text = super().__str__()
        if self.kind is FailureKind.REFUSED:
            text += "; check the address, and that the server is running"
        return text


class DeadlineExceeded(TransportError, TimeoutError):
    """The deadline of the call has passed; `trail` has the attempts."""


class DecodeError(AgoraAnalyticsError):
    """The response is not what the vendor documents; `path` is the place in the JSON."""

    def __init__(self, message: str, *, path: str = "$", **context: Any) -> None:
        super().__init__(f"{message} at {path}", **context)
        self.path = path


class CallNotFound(AgoraAnalyticsError, LookupError):
    """No listed call has the id.

    Attributes:
        call_id: the id.
        since: the start of the range that was searched, in UTC epoch seconds.
        until: its end.
        pages: how many pages of calls were listed.
        complete: whether these are all calls of the range. If not, `max_pages` ended the search.
    """

    def __init__(
        self,
        message: str,
        *,
        call_id: str,
        since: float,
        until: float,
        pages: int,
        complete: bool,
        **context: Any,
    ) -> None:
        which = "" if complete else "among the newest calls "
        listed = f"{pages} page{'' if pages == 1 else 's'} of calls listed"
        advice = "check the id and the time" if complete else "pass around=, or a larger max_pages="
        searched = f"{which}from {_utc(since)} to {_utc(until)} ({listed}); {advice}"
        super().__init__(f"{message} {searched}", **context)
        self.call_id, self.since, self.until = call_id, since, until
        self.pages, self.complete = pages, complete


class IncompleteListing(AgoraAnalyticsError):
    """The server has more records than it lists, and no shorter time range shows them."""


class StoreConflict(AgoraAnalyticsError):
    """Another harvest changed a call in the store at the same time; the next run continues from there."""


class StoreError(AgoraAnalyticsError):
    """The tables cannot be read or written."""


class RowsRefused(StoreError):
    """Rows do not fit their table, or have values out of range. Nothing was written."""


class StoreDamaged(StoreError):
    """A file of the store is not complete, for example after a power failure. A harvest fetches its rows again."""


class StoreVersionError(StoreError):
    """Another version of this library wrote the folder."""
