"""Judges and decodes a response of Insights in one step, by the vendor's error code, or else by the HTTP status.

Errors arrive as GraphQL errors (`errors`, each with an `errorCode`), or in an object of their own (`error`). A response
with data and errors is good: the data are returned together with the errors.

Source: Vonage, "Insights Dashboard & API", "Error codes".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from attrs import define, frozen

from agora_analytics import errors
from agora_analytics.core.http_times import retry_after
from agora_analytics.core.lenient_json import UNREADABLE, NotJson, load_object
from agora_analytics.core.numbers import whole_number
from agora_analytics.core.record import Record
from agora_analytics.core.verdicts import Cause, Done, Exchange, Fail, Retry, Verdict, judge_failure
from agora_analytics.messages import Response, TransportFailure
from agora_analytics.opentok.spec import ERRORS, ErrorCategory

_RAISES: Mapping[ErrorCategory, type[errors.APIError]] = {
    ErrorCategory.TOKEN: errors.AuthenticationError,
    ErrorCategory.ACCOUNT: errors.AuthenticationError,
    ErrorCategory.ACCESS: errors.AccessDenied,
    ErrorCategory.REQUEST: errors.BadRequest,
    ErrorCategory.DATES: errors.WindowRefused,
    ErrorCategory.NOT_FOUND: errors.NotFound,
    ErrorCategory.SERVER: errors.ServerError,
}
_BY_STATUS: Mapping[int, ErrorCategory] = {
    401: ErrorCategory.TOKEN,
    403: ErrorCategory.ACCESS,
    404: ErrorCategory.NOT_FOUND,
}
_RATE_PERIOD = 30.0  # the limit is counted over so many seconds
_LONGEST_MESSAGE = 500


@frozen(kw_only=True)
class Problem(Record):
    """An error of the server, or a count that does not match, for data that were returned anyway.

    Attributes:
        message: the description.
        code: the vendor's code; None: there is none.
        path: where, as keys and list indices; () if unknown.
    """

    message: str
    code: int | None = None
    path: Sequence[str | int] = ()


@define
class QueryData:
    """The data of one good response, and the errors that came with them."""

    data: dict[str, Any]
    problems: list[Problem]


class ReportedError(msgspec.Struct):
    """One error, in either form."""

    message: Any = None
    errorCode: Any = None  # noqa: N815 - as the API spells it
    path: Any = None

    @property
    def code(self) -> int | None:
        """The vendor's code, sent as a number or as text."""
        return whole_number(self.errorCode)

    @property
    def text(self) -> str:
        """The message, shortened."""
        return str(self.message or "no message")[:_LONGEST_MESSAGE]

    def problem(self) -> Problem:
        """Return the error as users see it."""
        path = self.path if isinstance(self.path, list) else []
        steps = tuple(step for step in path if isinstance(step, str | int))
        return Problem(message=self.text, code=self.code, path=steps)


class GraphQLEnvelope(msgspec.Struct):
    """The top level of a response."""

    data: Any = None
    errors: list[ReportedError | str] | None = None
    error: ReportedError | str | None = None
    message: Any = None

    @property
    def reported(self) -> list[ReportedError]:
        """All errors, those with a code first."""
        sent = [*(self.errors or ()), *([self.error] if self.error else ())]
        reported = [ReportedError(message=error) if isinstance(error, str) else error for error in sent]
        return sorted(reported, key=lambda error: error.code is None)

    @property
    def is_good(self) -> bool:
        """Whether there are data to return. With errors, at least one value must not be null."""
        if not isinstance(self.data, dict) or self.error is not None:
            return False
        return not self.errors or _has_value(self.data)


def read_response(exchange: Exchange) -> Verdict[QueryData]:
    """Return the data of a good response, or what to do instead."""
    outcome = exchange.outcome
    if isinstance(outcome, TransportFailure):
        return judge_failure(exchange, outcome)
    envelope = _read_envelope(outcome)
    if envelope is None or outcome.status >= 400 or not envelope.is_good:
        return _judge_refusal(envelope, outcome, exchange)
    reported = envelope.reported
    good = Done(
        QueryData(data=envelope.data, problems=[error.problem() for error in reported]),
        request_id=outcome.headers.get("x-request-id"),
    )
    failed = next((error for error in reported if _category(error.code) is ErrorCategory.SERVER), None)
    if failed is None:
        return good
    # The server failed at a part of the data. The error keeps the rest, which is returned if every attempt fails.
    text = _describe(failed.code, f"a part failed: {failed.text}", outcome)
    partial = errors.ServerError(text, code=failed.code, **_context(outcome))
    partial.partial = (good, outcome)
    return Retry(error=partial)


def _read_envelope(response: Response) -> GraphQLEnvelope | None:
    """Return the top level of a response; None if the body is not such a JSON object."""
    try:
        return msgspec.json.decode(response.body, type=GraphQLEnvelope)
    except UNREADABLE:
        pass
    try:
        return msgspec.convert(load_object(response.body), GraphQLEnvelope)
    except (NotJson, msgspec.ValidationError, RecursionError):
        return None


def _has_value(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_value, value.values()))
    return any(map(_has_value, value)) if isinstance(value, list) else value is not None


def _judge_refusal(envelope: GraphQLEnvelope | None, response: Response, exchange: Exchange) -> Retry | Fail:
    context = _context(response)
    reported = envelope.reported if envelope else []
    code = reported[0].code if reported else None
    message = reported[0].text if reported else _message(envelope, response)
    after = retry_after(response, exchange.now)
    if response.status == 429:
        limited = errors.RateLimited(f"HTTP 429: {message}", code=code, **context)
        return Retry(error=limited, cause=Cause.RATE, after=after or _RATE_PERIOD)
    category = _category(code)
    if category is None:
        failed = response.status >= 500 or (response.status < 400 and not reported)
        category = ErrorCategory.SERVER if failed else _BY_STATUS.get(response.status, ErrorCategory.REQUEST)
    error = _RAISES[category](_describe(code, message, response), code=code, **context)
    match category:
        case ErrorCategory.TOKEN:
            return Retry(error=error, cause=Cause.CREDENTIALS)
        case ErrorCategory.SERVER:
            unreadable = response.status < 400 and not reported
            return Retry(
                error=error,
                cause=Cause.UNREADABLE if unreadable else Cause.TROUBLE,
                after=after,
                other_host=True,
            )
        case ErrorCategory.DATES if exchange.clock_moved:
            return Retry(error=error, cause=Cause.CLOCK)
        case _:
            return Fail(error=error)


def error_of(problem: Problem, response: Response) -> errors.APIError:
    """Return the error of a response whose data lack everything that was requested."""
    category = _category(problem.code) or ErrorCategory.REQUEST
    text = _describe(problem.code, problem.message, response)
    return _RAISES[category](text, code=problem.code, **_context(response))


def _context(response: Response) -> dict[str, Any]:
    return {"status": response.status, "request_id": response.headers.get("x-request-id")}


def _describe(code: int | None, message: str, response: Response) -> str:
    documented = ERRORS.get(code or 0)
    if documented is None:
        return f"{code or f'HTTP {response.status}'}: {message}"
    return f"{code} ({documented.meaning}): {message.rstrip('. ')}; {documented.hint}"


def _category(code: int | None) -> ErrorCategory | None:
    documented = ERRORS.get(code or 0)
    return documented.category if documented else None


def _message(envelope: GraphQLEnvelope | None, response: Response) -> str:
    if envelope is not None:
        return str(envelope.message or "no data and no error")[:_LONGEST_MESSAGE]
    return f"the body ({response.content_type}) is not a response of this API" if response.body else "no body"
