"""The verdict on an answer of Insights, by the vendor's code wherever it stands, else by the HTTP status.

Errors come as GraphQL does (`errors`, each with an `errorCode`), or in an envelope of their own (`error`). Data beside
errors are an answer: they are kept, and the errors are told with them.

Source: `reference/opentok-insights.md`, section 7.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from agora_analytics import errors
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.http_times import retry_after
from agora_analytics.core.verdicts import Cause, Done, Fail, Retry, Verdict
from agora_analytics.messages import Response, TransportFailure
from agora_analytics.opentok.nested_pages import Problem
from agora_analytics.opentok.spec import ERRORS, ErrorCategory

_RAISES: Mapping[ErrorCategory, type[errors.APIError]] = {
    ErrorCategory.TOKEN: errors.AuthenticationError,
    ErrorCategory.ACCOUNT: errors.AuthenticationError,
    ErrorCategory.ACCESS: errors.AccessDenied,
    ErrorCategory.REQUEST: errors.BadRequest,
    ErrorCategory.DATES: errors.WindowRefused,
    ErrorCategory.NOT_THERE: errors.NotFound,
    ErrorCategory.SERVER: errors.ServerError,
}
_BY_STATUS: Mapping[int, ErrorCategory] = {
    401: ErrorCategory.TOKEN,
    403: ErrorCategory.ACCESS,
    404: ErrorCategory.NOT_THERE,
}
_TOO_FAST = 30.0  # the limit is counted over so many seconds
_LONGEST_SAID = 500


class ReportedError(msgspec.Struct):
    """One error, in either envelope."""

    message: Any = None
    errorCode: Any = None  # noqa: N815 - as the API spells it
    path: Any = None

    @property
    def code(self) -> int | None:
        """The vendor's code, sent as a number or as text."""
        text = str(self.errorCode)
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else None

    def problem(self) -> Problem:
        """Return it as users get it beside data."""
        path = self.path if isinstance(self.path, list) else []
        known = tuple(step for step in path if isinstance(step, str | int))
        return Problem(message=self.text, code=self.code, path=known)

    @property
    def text(self) -> str:
        """What it says, not too long."""
        return str(self.message or "no message")[:_LONGEST_SAID]


class Envelope(msgspec.Struct):
    """What an answer holds; the data are only read where somebody wants them."""

    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: list[ReportedError | str] | None = None
    error: ReportedError | str | None = None
    message: Any = None

    @property
    def said(self) -> list[ReportedError]:
        """All errors, those with a code first."""
        found = [*(self.errors or ()), *([self.error] if self.error else ())]
        told = [ReportedError(message=one) if isinstance(one, str) else one for one in found]
        return sorted(told, key=lambda one: one.code is None)

    @property
    def has_data(self) -> bool:
        """Whether there are data, be they all null."""
        return bytes(memoryview(self.data)[:1]) == b"{"

    def read(self) -> dict[str, Any]:
        """Return the data."""
        return dict(msgspec.json.decode(self.data)) if self.has_data else {}


def judge(endpoint: Endpoint, outcome: Response | TransportFailure, now: float) -> Verdict:
    """Return what to do after one attempt."""
    del endpoint  # every query may be asked again
    if isinstance(outcome, TransportFailure):
        error = errors.TransportError(f"no answer: {outcome}", kind=outcome.kind)
        if outcome.kind.would_come_again:
            return Fail(error=error)
        return Retry(error=error, other_host=outcome.kind.blames_host)
    envelope = read_envelope(outcome)
    if envelope is not None and outcome.status < 400 and _is_answer(envelope):
        return _judge_parts(envelope, outcome)
    return _judge_refusal(envelope, outcome, now)


def _judge_parts(envelope: Envelope, response: Response) -> Verdict:
    """A part that failed in the server is asked for again; the last answer is kept in the error's `partial`."""
    for said in envelope.said if envelope.errors else ():
        known = ERRORS.get(said.code or 0)
        if known is not None and known.blame is ErrorCategory.SERVER:
            words = _told(said.code, f"a part failed: {said.text}", response)
            error = errors.ServerError(words, code=said.code, **_place(response))
            error.partial = response
            return Retry(error=error)
    return Done(response)


def read_envelope(response: Response) -> Envelope | None:
    """Return what an answer holds, or None if it is no JSON object of that kind."""
    try:
        return msgspec.json.decode(response.body, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _is_answer(envelope: Envelope) -> bool:
    if not envelope.has_data or envelope.error is not None:
        return False
    return not envelope.errors or _holds_something(envelope.read())


def _holds_something(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_something, value.values()))
    return any(map(_holds_something, value)) if isinstance(value, list) else value is not None


def _judge_refusal(envelope: Envelope | None, response: Response, now: float) -> Verdict:
    place = _place(response)
    said = envelope.said if envelope else []
    code = said[0].code if said else None
    words = said[0].text if said else _words(envelope, response)
    if response.status == 429:
        error: errors.APIError = errors.RateLimited(f"HTTP 429: {words}", code=code, **place)
        return Retry(error=error, cause=Cause.RATE, after=retry_after(response, now) or _TOO_FAST)
    known = ERRORS.get(code or 0)
    blame = known.blame if known else _blame(response, said)
    error = _RAISES[blame](_told(code, words, response), code=code, **place)
    match blame:
        case ErrorCategory.TOKEN:
            return Retry(error=error, cause=Cause.CREDENTIALS)
        case ErrorCategory.SERVER:
            return Retry(error=error, after=retry_after(response, now), other_host=True)
        case _:
            return Fail(error=error)


def refused(problem: Problem, response: Response) -> errors.APIError:
    """Return the error for an answer that has nothing of what was asked for beside a problem."""
    known = ERRORS.get(problem.code or 0)
    blame = known.blame if known else ErrorCategory.REQUEST
    words = _told(problem.code, problem.message, response)
    return _RAISES[blame](words, code=problem.code, **_place(response))


def _place(response: Response) -> dict[str, Any]:
    return {"status": response.status, "request_id": response.headers.get("x-request-id")}


def _told(code: int | None, words: str, response: Response) -> str:
    known = ERRORS.get(code or 0)
    if known is None:
        return f"{code or f'HTTP {response.status}'}: {words}"
    return f"{code} ({known.meaning}): {words}; {known.hint}"


def _blame(response: Response, said: list[ReportedError]) -> ErrorCategory:
    """Return whom an answer without a known code blames."""
    if response.status >= 500 or (response.status < 400 and not said):
        return ErrorCategory.SERVER
    return _BY_STATUS.get(response.status, ErrorCategory.REQUEST)


def _words(envelope: Envelope | None, response: Response) -> str:
    if envelope is not None:
        return str(envelope.message or "no data and no error")[:_LONGEST_SAID]
    kind = response.headers.get("content-type", "no content type").split(";")[0]
    return f"the body ({kind}) is no answer" if response.body else "no body"
