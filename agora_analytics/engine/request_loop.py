"""The request loop: rate limit, host, send, read the response; then return, wait or raise."""

import asyncio
import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import anyio
from attrs import define, field

from agora_analytics.core.domains import Domains, Lease
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.verdicts import Cause, Done, Exchange, Fail, Payload, Retry, Verdict
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.authentication import Authentication
from agora_analytics.engine.call_options import CallLimits, current_limits
from agora_analytics.engine.clock import ClockReading, ServerTime
from agora_analytics.engine.events import Observer, RecordsSkipped, Waited, WaitReason
from agora_analytics.engine.limiter import Limiter
from agora_analytics.engine.outcomes import bounded, is_from_the_api, refused_redirect, with_context
from agora_analytics.engine.phase_lock import PhaseLock
from agora_analytics.engine.request_events import AttemptEvents, request_events
from agora_analytics.engine.retry_policy import Retries, RetryPolicy
from agora_analytics.engine.slot import Slot
from agora_analytics.engine.transports import LONGEST_URL, Transport
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
from agora_analytics.messages import Request, Response, TransportFailure

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


@define
class _Sent:
    """A request that was sent, and its outcome. `seconds` include its signature."""

    credentials: object = field(repr=False)
    lease: Lease
    outcome: Outcome
    seconds: float
    slot: Slot
    reading: ClockReading | None
    exchange: Exchange


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
        phase_lock: PhaseLock,
        observer: Observer,
        retry: RetryPolicy,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._transport = transport
        self._reports_sent = getattr(transport, "reports_sent", False)
        self._open: Callable[[], Awaitable[None]] | None = getattr(transport, "open", None)
        self._is_open = self._open is None
        self._hosts = domains
        self._limiter = limiter
        self._authentication = authentication
        self._read_in_thread = read_in_thread
        self._server_time = server_time
        self._phase_lock = phase_lock
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
        trail: list[Attempt] = []
        with request_events(request.endpoint, trail, self._observer):
            return await self._run_in_time(request, trail)

    async def _run_in_time(self, request: ApiRequest[R], trail: list[Attempt]) -> ApiResponse[R]:
        call = current_limits()
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
        endpoint, limiter = run.request.endpoint, run.limiter
        while True:
            number = len(run.trail) + 1
            with AttemptEvents(endpoint, number=number, observer=self._observer) as events:
                if (attempt := await self._attempt(run, events)) is None:
                    continue
                exchange, host, outcome = attempt.exchange, attempt.lease.host, attempt.outcome
                verdict = await self._read(run, exchange)
                if is_from_the_api(verdict, outcome):
                    self._learn(attempt)
                result = "done" if isinstance(verdict, Done) else verdict.error.message
                run.trail.append(Attempt(host=host, outcome=result, seconds=attempt.seconds))
                events.end(run.trail[-1], outcome, verdict)
            self._hosts.report(attempt.lease, verdict, run.failed_at, now=_now())
            if not isinstance(verdict, Done):
                verdict = await self._authentication.retry_if_renewed(verdict, attempt.credentials)
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
                payload=exchange.payload,
                host=host,
                trail=tuple(run.trail),
                skipped=verdict.skipped,
            )

    async def _attempt(self, run: _Run[Any], events: AttemptEvents) -> _Sent | None:
        """Send the request once, in its slot; None: the slot has passed before the request was sent."""
        endpoint = run.request.endpoint
        credentials = await self._authentication.credentials()
        await self._open_transport(run)
        try:
            async with run.limiter.slot(
                patience=run.patience,
                is_short=run.call.max_wait is not None,
                own_deadline=run.call.has_deadline,
            ) as slot:
                built_at, skew, began = self._server_time.now(), self._server_time.skew, _now()
                lease = self._hosts.pick(began, replayable=endpoint.replayable)
                self._phase_lock.follow(lease.host)
                payload = run.request.build(built_at)
                request = self._http_request(run, payload, lease.host, credentials, slot.sent)
                if not await slot.hand_over():
                    return None
                self.sent[endpoint.name] += 1
                if not self._reports_sent:
                    slot.sent()
                left = _now()
                events.start(lease.host, payload)
                outcome = await self._send(request, lease, run.trail)
                ended = _now()
                await slot.close(outcome)
        except (APIError, QuotaExhausted) as error:
            error.endpoint, error.trail = endpoint.name, tuple(run.trail)
            raise
        reading = self._server_time.read(outcome, seconds=ended - left)
        now = self._server_time.now(reading)
        exchange = Exchange(
            endpoint=endpoint,
            payload=payload,
            outcome=outcome,
            sent_at=now - (ended - left),
            now=now,
            clock_shift=self._server_time.shift(reading, since=skew),
        )
        return _Sent(credentials, lease, outcome, ended - began, slot, reading, exchange)

    def _learn(self, attempt: _Sent) -> None:
        """Learn the server's clock from a response that is known to be from the server."""
        reading, slot = attempt.reading, attempt.slot
        self._server_time.learn(reading)
        if reading is not None and slot.handed_over_at is not None:
            self._phase_lock.learn(
                attempt.lease.host, reading.date, sent=slot.handed_over_at, received=slot.received_at
            )
            slot.dated(reading.date)

    async def _open_transport(self, run: _Run[Any]) -> None:
        """Open the transport, for as long as the call may wait."""
        if self._is_open or self._open is None:
            return
        max_wait = run.call.max_wait
        latest = None if max_wait is None else _now() + run.patience
        try:
            async with asyncio.timeout_at(latest) as opening:
                await self._open()
            self._is_open = True
        except TimeoutError:
            if not opening.expired():
                raise
            raise DeadlineExceeded(
                f"timed out after {max_wait:g} s while opening the transport",
                endpoint=run.request.endpoint.name,
            ) from None

    async def _after_failure(
        self, run: _Run[Any], verdict: Retry | Fail, exchange: Exchange, host: str
    ) -> None:
        """Wait until the request may be sent again, or raise the error."""
        error = with_context(verdict.error, run.request.endpoint, host, run.trail)
        if isinstance(verdict, Fail) and verdict.closed_until is not None:
            await run.limiter.quota.close(verdict.closed_until)
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
        name = run.request.endpoint.name
        self._observer(Waited(endpoint=name, rule=rule, seconds=seconds, reason=WaitReason.BACK_OFF))
        await anyio.sleep(seconds)

    def _cause(self, verdict: Retry) -> Cause:
        if verdict.cause is Cause.CREDENTIALS and self._server_time.in_doubt:  # signed with a wrong time
            return Cause.CLOCK
        return verdict.cause

    def _http_request(
        self, run: _Run[Any], payload: Payload, host: str, credentials: object, on_sent: Callable[[], None]
    ) -> Request:
        endpoint = run.request.endpoint
        headers = dict(_JSON_BODY if payload.body else _NO_BODY)
        request = Request(
            method=endpoint.method,
            base_url=host,
            path=endpoint.path,
            query=payload.query,
            headers=headers,
            body=payload.body,
            timeout=self._retry.of_call(run.call).attempt_timeout,
            on_sent=on_sent,
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
        return refused_redirect(response) or response

    async def _read(self, run: _Run[R], exchange: Exchange) -> Verdict[R]:
        outcome, read, deadline = exchange.outcome, run.request.read, run.deadline
        try:
            if not isinstance(outcome, Response) or len(outcome.body) < THREAD_FROM_BYTES:
                return read(exchange)
            begun, ends = _now(), deadline.when()
            deadline.reschedule(None)  # the deadline does not cancel the decoding of a complete response
            try:
                verdict: Verdict[R] = await self._read_in_thread(lambda: read(bounded(exchange, outcome)))
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


def _now() -> float:
    return asyncio.get_running_loop().time()
