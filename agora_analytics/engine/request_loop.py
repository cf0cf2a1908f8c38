"""The request loop: rate limit, host, send, read the response; then return, wait or raise."""

import asyncio
import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import anyio
from attrs import define, evolve, field

from agora_analytics.core.domains import Domains, Lease
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.json_memory import refuse_expansion
from agora_analytics.core.verdicts import Cause, Done, Exchange, Fail, Payload, Retry, Verdict
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.authentication import Authentication
from agora_analytics.engine.call_options import CallLimits, current_limits
from agora_analytics.engine.clock import ServerTime
from agora_analytics.engine.events import AttemptFailed, Observer, RecordsSkipped, ResponseReceived, Waited
from agora_analytics.engine.ledger import Grant
from agora_analytics.engine.limiter import Limiter
from agora_analytics.engine.retry_policy import Retries, RetryPolicy
from agora_analytics.engine.transports import LARGEST_BODY, LONGEST_URL, Transport
from agora_analytics.errors import (
    AgoraAnalyticsError,
    APIError,
    Attempt,
    DeadlineExceeded,
    DecodeError,
    InvalidRequest,
    QuotaExhausted,
)
from agora_analytics.instants import DAY
from agora_analytics.messages import FailureKind, Request, Response, TransportFailure

R = TypeVar("R")
Outcome = Response | TransportFailure

_NO_BODY = {"accept": "application/json"}
_JSON_BODY = _NO_BODY | {"content-type": "application/json"}

THREAD_FROM_BYTES = 1_000_000
"""Size of a body from which it is read in a thread, so that the event loop keeps running."""
_LONGEST_PAUSE = float(DAY)  # no limit of these APIs lasts longer; a longer `Retry-After` is cut to this


@define
class _Run(Generic[R]):
    """One request while it is sent and retried."""

    request: ApiRequest[R]
    limiter: Limiter
    retries: Retries
    call: CallLimits
    deadline: asyncio.Timeout
    trail: list[Attempt]
    failed_at: set[str] = field(factory=set)

    @property
    def patience(self) -> float:
        """The seconds that the request may wait now."""
        ends, max_wait = self.deadline.when(), self.call.max_wait
        left = math.inf if ends is None else ends - _now()
        return left if max_wait is None else min(left, max_wait)


class RequestLoop:
    """Turns an `ApiRequest` into an `ApiResponse` or an error, within the limits. `sent` counts attempts by endpoint."""

    def __init__(
        self,
        *,
        transport: Transport,
        domains: Domains,
        limiter: Callable[[Endpoint], Limiter],
        authentication: Authentication[Any],
        read_in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
        server_time: ServerTime,
        observer: Observer,
        retry: RetryPolicy,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._transport = transport
        self._open: Callable[[], Awaitable[None]] | None = getattr(transport, "open", None)
        self._is_open = self._open is None
        self._hosts = domains
        self._limiter = limiter
        self._authentication = authentication
        self._read_in_thread = read_in_thread
        self._server_time = server_time
        self._observer = observer
        self._retry = retry
        self._chance = chance
        self.sent: Counter[str] = Counter()

    async def run(self, request: ApiRequest[R]) -> ApiResponse[R]:
        """Send a request until its response is good, it cannot succeed, or its deadline has passed.

        The deadline is that of the current call (see `CallOptions`), or else that of the policy.

        Raises:
            QuotaExhausted: the day's quota is spent.
            RateLimited: the next slot comes later than the call may wait, or the server refused every attempt.
            APIError, TransportError, DecodeError: see `agora_analytics.errors`.
            DeadlineExceeded: with the trail of attempts.
        """
        call, trail = current_limits(), list[Attempt]()
        left = call.remaining(self._retry.deadline)
        if left is None or left > 0:
            try:
                async with asyncio.timeout(left) as call.timeout:
                    deadline = call.timeout
                    limiter = self._limiter(request.endpoint)
                    retries = Retries(self._retry, limiter.limits)
                    return await self._run_attempts(_Run(request, limiter, retries, call, deadline, trail))
            except TimeoutError:
                if not deadline.expired():
                    raise
            finally:
                call.timeout = None
        raise DeadlineExceeded(
            f"timed out after {self._retry.of_call(call).deadline:g} s {self._format_attempts(trail)}",
            endpoint=request.endpoint.name,
            host=trail[-1].host if trail else None,
            trail=trail,
        )

    async def _run_attempts(self, run: _Run[R]) -> ApiResponse[R]:
        endpoint, limiter, now_here = run.request.endpoint, run.limiter, asyncio.get_running_loop().time
        while True:
            credentials = await self._authentication.credentials()
            grant = await self._take_turn(run)
            built_at, skew = self._server_time.now(), self._server_time.skew
            began = now_here()
            lease = self._hosts.pick(began, replayable=endpoint.replayable)
            host = lease.host
            try:
                payload = run.request.build(built_at)
                policy = self._retry.of_call(run.call)
                http_request = self._http_request(endpoint, payload, host, policy, credentials)
            except BaseException:  # nothing was sent, for instance because the time range is out of reach
                await limiter.abandon(grant)
                raise
            grant = await limiter.mark_sent(grant)
            self.sent[endpoint.name] += 1
            left = now_here()
            outcome = await self._send(http_request, lease, run.trail)
            ended = now_here()
            reading = self._server_time.read(outcome, seconds=ended - left)
            await _record_outcome(limiter, grant, outcome, ended - left)
            now = self._server_time.now(reading)
            exchange = Exchange(
                endpoint=endpoint,
                payload=payload,
                outcome=outcome,
                sent_at=now - (ended - left),
                now=now,
                clock_shift=self._server_time.shift(reading, since=skew),
            )
            verdict = await self._read(run, exchange)
            self._server_time.learn(reading if _is_from_the_api(verdict, outcome) else None)
            run.trail.append(Attempt(host=host, outcome=_outcome(verdict), seconds=ended - began))
            self._notify(endpoint, run.trail[-1], outcome)
            self._hosts.report(lease, verdict, run.failed_at, now=now_here())
            if not isinstance(verdict, Done):
                verdict = await self._authentication.retry_if_renewed(verdict, credentials)
                await self._after_failure(run, verdict, exchange, host)
                continue
            limiter.reset_backoff()
            if verdict.skipped:
                self._observer(RecordsSkipped(endpoint=endpoint.name, skipped=verdict.skipped))
            assert isinstance(outcome, Response)  # noqa: S101 - only a response can be good
            return ApiResponse(
                result=verdict.result,
                request_id=verdict.request_id,
                response=outcome,
                payload=payload,
                host=host,
                trail=tuple(run.trail),
                skipped=verdict.skipped,
            )

    async def _take_turn(self, run: _Run[Any]) -> Grant:
        """Open the transport and wait for a slot, for as long as the call may wait."""
        endpoint, max_wait, patience = run.request.endpoint.name, run.call.max_wait, run.patience
        if not self._is_open and self._open is not None:
            latest = _now() + patience
            try:
                async with asyncio.timeout_at(None if max_wait is None else latest) as opening:
                    await self._open()
                self._is_open, patience = True, latest - _now()
            except TimeoutError:
                if not opening.expired():
                    raise
                raise DeadlineExceeded(
                    f"timed out after {max_wait:g} s while opening the transport", endpoint=endpoint
                ) from None
        try:
            return await run.limiter.acquire(
                patience=patience, is_short=max_wait is not None, own_deadline=run.call.has_deadline
            )
        except (APIError, QuotaExhausted) as error:
            error.endpoint, error.trail = endpoint, tuple(run.trail)
            raise

    async def _after_failure(
        self, run: _Run[Any], verdict: Retry | Fail, exchange: Exchange, host: str
    ) -> None:
        """Wait until the request may be sent again, or raise the error."""
        error = with_context(verdict.error, run.request.endpoint, host, run.trail)
        if isinstance(verdict, Fail) and verdict.closed_until is not None:
            await run.limiter.close_day(verdict.closed_until)
        if isinstance(verdict, Fail) and verdict.not_offered and self._hosts.drop(host, now=_now()):
            return
        if isinstance(error, QuotaExhausted):
            error.retry_after = max(0.0, error.retry_at - exchange.now)
        may_repeat = isinstance(verdict, Retry) and run.retries.allow(self._cause(verdict), exchange.outcome)
        pause = await self._pause(run.limiter, verdict, host)
        if pause and (pause >= run.patience or not may_repeat):
            self._refuse_later_calls(run, error, pause, exchange.now)
            raise error
        if isinstance(verdict, Fail) or not may_repeat:
            raise error
        await self._back_off(run, verdict, pause)

    async def _pause(self, limiter: Limiter, verdict: Retry | Fail, host: str) -> float:
        """Return the seconds until the server accepts another attempt, as far as it says so."""
        after = min(verdict.after or 0.0, _LONGEST_PAUSE)
        if isinstance(verdict, Retry) and verdict.cause is Cause.RATE:
            return max(after, await limiter.backoff(after))  # delays every request of the budget
        return after if not verdict.other_host or self._hosts.is_current(host) else 0.0

    def _refuse_later_calls(
        self, run: _Run[Any], error: AgoraAnalyticsError, pause: float, now: float
    ) -> None:
        if isinstance(error, APIError):
            error.set_retry(pause, now=now)
            run.limiter.refusal.record(error, pause, for_all=pause >= (self._retry.deadline or math.inf))
        elif isinstance(error, QuotaExhausted):
            error.retry_at, error.retry_after = now + pause, pause

    async def _back_off(self, run: _Run[Any], verdict: Retry, pause: float) -> None:
        # The next attempt uses the corrected values, or waits for its slot.
        if verdict.cause in (Cause.CREDENTIALS, Cause.CLOCK, Cause.RATE):
            return
        seconds = max(run.retries.back_off(verdict.cause) * (0.8 + 0.4 * self._chance()), pause)
        rule = f"back-off: {verdict.error.message}"
        self._observer(Waited(endpoint=run.request.endpoint.name, rule=rule, seconds=seconds))
        await anyio.sleep(seconds)

    def _cause(self, verdict: Retry) -> Cause:
        if verdict.cause is Cause.CREDENTIALS and self._server_time.in_doubt:  # signed with a wrong time
            return Cause.CLOCK
        return verdict.cause

    def _http_request(
        self, endpoint: Endpoint, payload: Payload, host: str, retry: RetryPolicy, credentials: object
    ) -> Request:
        headers = dict(_JSON_BODY if payload.body else _NO_BODY)
        request = Request(
            method=endpoint.method,
            base_url=host,
            path=endpoint.path,
            query=payload.query,
            headers=headers,
            body=payload.body,
            timeout=retry.attempt_timeout,
        )
        length = len(request.url)
        if length > LONGEST_URL:
            raise InvalidRequest(
                f"the URL would have {length:,} characters, and {LONGEST_URL:,} is the most; request fewer items at once",
                endpoint=endpoint.name,
            )
        headers.update(self._authentication.sign(request, credentials))
        return request

    async def _send(self, request: Request, lease: Lease, trail: list[Attempt]) -> Outcome:
        start = _now()
        try:
            response = await self._transport.send(request)
        except TransportFailure as failure:
            return failure
        except anyio.get_cancelled_exc_class():  # the deadline: the trail shows where the time went
            cut_off = Attempt(
                host=request.base_url, outcome="cancelled without a response", seconds=_now() - start
            )
            trail.append(cut_off)
            if cut_off.seconds >= request.timeout / 2:  # a shorter time is normal for a healthy host
                self._hosts.failed(lease, cut_off.outcome, now=_now())
            raise
        return _refused_redirect(response) or response

    async def _read(self, run: _Run[R], exchange: Exchange) -> Verdict[R]:
        outcome, read, deadline = exchange.outcome, run.request.read, run.deadline
        try:
            if not isinstance(outcome, Response) or len(outcome.body) < THREAD_FROM_BYTES:
                return read(exchange)
            begun, ends = _now(), deadline.when()
            deadline.reschedule(None)  # the deadline does not cancel the decoding of a complete response
            try:
                verdict: Verdict[R] = await self._read_in_thread(lambda: read(_bounded(exchange, outcome)))
            finally:
                seconds = _now() - begun
                later = None if ends is None else ends + seconds
                deadline.reschedule(later)
                run.call.extend(later)
                run.call.decoding += seconds
        except DecodeError as error:
            return Fail(error=error)
        return verdict

    def _format_attempts(self, trail: list[Attempt]) -> str:
        if not trail:
            return f"while {'waiting for a rate-limit slot' if self._is_open else 'opening the transport'}"
        alike = Counter(map(str, trail)).items()
        attempts = "; ".join(text if times == 1 else f"{text} ({times} times)" for text, times in alike)
        return f"with {len(trail)} attempt{'s' if len(trail) > 1 else ''}: {attempts}"

    def _notify(self, endpoint: Endpoint, attempt: Attempt, outcome: Outcome) -> None:
        if isinstance(outcome, TransportFailure):
            self._observer(
                AttemptFailed(
                    endpoint=endpoint.name, host=attempt.host, kind=outcome.kind, elapsed=attempt.seconds
                )
            )
        else:
            self._observer(
                ResponseReceived(
                    endpoint=endpoint.name,
                    host=attempt.host,
                    status=outcome.status,
                    size=len(outcome.body),
                    elapsed=attempt.seconds,
                    verdict=attempt.outcome,
                )
            )


def _now() -> float:
    return asyncio.get_running_loop().time()


def _refused_redirect(response: Response) -> TransportFailure | None:
    """Refuse to follow a redirect, because it would send the credentials to its target."""
    if not (300 <= response.status < 400 and "location" in response.headers):
        return None
    try:
        target = urlsplit(response.headers["location"]).hostname or "another path"
    except ValueError:
        target = "an invalid address"
    return TransportFailure(FailureKind.REDIRECT, f"HTTP {response.status} to {target}")


def _bounded(exchange: Exchange, response: Response) -> Exchange:
    """Return the exchange, with a failure in place of a response that would take too much memory."""
    columnar = exchange.endpoint.columnar
    failure = refuse_expansion(response.body, LARGEST_BODY, columnar=columnar)
    return exchange if failure is None else evolve(exchange, outcome=failure)


async def _record_outcome(limiter: Limiter, grant: Grant, outcome: Outcome, seconds: float) -> None:
    if isinstance(outcome, Response):  # exclude the transfer of the body: it does not delay the request
        limiter.answered(grant, seconds - (outcome.elapsed - (outcome.first_byte or outcome.elapsed)))
    elif outcome.kind.never_left:
        await limiter.release(grant)


def _is_from_the_api(verdict: Verdict[Any], outcome: Outcome) -> bool:
    """Whether a response is from the API itself: it is good, or a refusal with a code of the API.

    A proxy has no such codes. A code that repeats the HTTP status may be its own.
    """
    if isinstance(verdict, Done):
        return True
    if isinstance(outcome, TransportFailure) or outcome.status >= 500:
        return False
    error = verdict.error
    return isinstance(error, QuotaExhausted) or getattr(error, "code", None) not in (None, outcome.status)


def _outcome(verdict: Verdict[Any]) -> str:
    return "done" if isinstance(verdict, Done) else verdict.error.message


def with_context(
    error: AgoraAnalyticsError, endpoint: Endpoint, host: str, trail: Sequence[Attempt]
) -> AgoraAnalyticsError:
    """Attach the endpoint, host and trail to an error. The vendor's reader has already set the request id."""
    error.endpoint, error.host, error.trail = endpoint.name, host, tuple(trail)
    return error
