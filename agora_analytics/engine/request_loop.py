"""The request loop: rate limit, host, send, read the response; then return, wait or raise."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import anyio
from attrs import field, frozen
from attrs.validators import gt

from agora_analytics.core.domains import Domains, Switch
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.verdicts import (
    Cause,
    Done,
    Exchange,
    Fail,
    Payload,
    Read,
    Retry,
    Verdict,
)
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.clock import ServerTime
from agora_analytics.engine.events import (
    AttemptFailed,
    HostSwitched,
    Observer,
    RecordsSkipped,
    ResponseReceived,
    Waited,
)
from agora_analytics.engine.ledger import Grant
from agora_analytics.engine.limiter import Limiter
from agora_analytics.engine.transports import Transport
from agora_analytics.errors import (
    AgoraAnalyticsError,
    Attempt,
    DeadlineExceeded,
    DecodeError,
)
from agora_analytics.messages import FailureKind, Request, Response, TransportFailure

R = TypeVar("R")
Outcome = Response | TransportFailure
Authorize = Callable[[Request], Awaitable[Mapping[str, str]]]
"""Returns the headers that authenticate a request, for instance its signature; called for every attempt."""

_NO_BODY = {"accept": "application/json"}
_JSON_BODY = _NO_BODY | {"content-type": "application/json"}

THREAD_FROM_BYTES = 1_000_000
"""Size of a body from which it is read in a thread, so that the event loop keeps running."""


@frozen(kw_only=True)
class RetryPolicy:
    """How long a call may take, and how often it is tried.

    Attributes:
        timeout: seconds for one attempt; limited to a third of the deadline.
        deadline: seconds for the whole call, including its waits for the rate limit; None: no deadline. Decoding a
            response does not count.
        backoff: seconds to wait before the second, third, ... attempt after a failure; the last value repeats; an empty
            tuple: no wait.
        attempts: maximum number of attempts after failures.
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

    def attempts_for(self, cause: Cause) -> int:
        """Return the maximum number of attempts for a cause."""
        if cause in (Cause.CREDENTIALS, Cause.CLOCK):
            return 2
        return self.rate_attempts if cause is Cause.RATE else self.attempts


class RequestLoop:
    """Turns an `ApiRequest` into an `ApiResponse` or an error, within the limits. `sent` counts attempts by endpoint."""

    def __init__(
        self,
        *,
        transport: Transport,
        domains: Domains,
        limiter: Callable[[Endpoint], Limiter],
        authorize: Authorize,
        read_in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
        server_time: ServerTime,
        observer: Observer,
        retry: RetryPolicy,
        chance: Callable[[], float] = random.random,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._transport = transport
        self._domains = domains
        self._limiter = limiter
        self._authorize = authorize
        self._read_in_thread = read_in_thread
        self._server_time = server_time
        self._observer = observer
        self._retry = retry
        self._chance = chance
        self._on_failure = on_failure
        self.sent: Counter[str] = Counter()

    async def run(self, request: ApiRequest[R], retry: RetryPolicy | None = None) -> ApiResponse[R]:
        """Send a request until its response is good, it cannot succeed, or its deadline has passed.

        Raises:
            QuotaExhausted: the day's quota is spent.
            APIError, TransportError, DecodeError: see `agora_analytics.errors`.
            DeadlineExceeded: with the trail of attempts.
        """
        retry = retry or self._retry
        trail: list[Attempt] = []
        try:
            async with asyncio.timeout(retry.deadline) as deadline:
                return await self._run_attempts(request, retry, trail, deadline)
        except TimeoutError:
            if not deadline.expired():
                raise
        raise DeadlineExceeded(
            f"timed out after {retry.deadline:g} s {_format_attempts(trail)}",
            endpoint=request.endpoint.name,
            host=trail[-1].host if trail else None,
            trail=trail,
        )

    async def _run_attempts(
        self, request: ApiRequest[R], retry: RetryPolicy, trail: list[Attempt], deadline: asyncio.Timeout
    ) -> ApiResponse[R]:
        endpoint, limiter = request.endpoint, self._limiter(request.endpoint)
        tries: Counter[Cause] = Counter()
        failed_at: Counter[str] = Counter()
        while True:
            grant = await limiter.acquire()
            built_at, skew = self._server_time.now(), self._server_time.skew
            began = _now()
            host = self._domains.pick(began, replayable=endpoint.replayable)
            try:
                payload = request.build(built_at)
                http_request = await self._http_request(endpoint, payload, host, retry)
            except BaseException:  # nothing was sent, for instance because the time range is out of reach
                with anyio.CancelScope(shield=True):
                    await limiter.release(grant)
                raise
            grant = await limiter.mark_sent(grant)
            self.sent[endpoint.name] += 1
            left, sent_at = _now(), self._server_time.now()
            outcome = await self._send(http_request, trail)
            ended = _now()
            await _record_outcome(limiter, grant, outcome, ended - left)
            exchange = Exchange(
                endpoint=endpoint,
                payload=payload,
                outcome=outcome,
                sent_at=sent_at,
                now=self._server_time.now(),
                clock_shift=self._server_time.skew - skew,
            )
            verdict = await self._read(request.read, exchange, deadline)
            trail.append(Attempt(host=host, outcome=_outcome(verdict), seconds=ended - began))
            self._notify(endpoint, trail[-1], outcome)
            self._report_to_hosts(host, verdict, outcome, failed_at, began=began)
            match verdict:
                case Done(result, request_id, skipped):
                    limiter.reset_backoff()
                    self._report_switch(self._domains.answered(host, began=began, now=ended))
                    if skipped:
                        self._observer(RecordsSkipped(endpoint=endpoint.name, skipped=skipped))
                    assert isinstance(outcome, Response)  # noqa: S101 - only a response can be good
                    return ApiResponse(
                        result=result,
                        request_id=request_id,
                        response=outcome,
                        payload=payload,
                        host=host,
                        trail=tuple(trail),
                        skipped=skipped,
                    )
                case Fail(error=error, closed_until=until):
                    if until is not None:
                        await limiter.close_day(until)
                    if verdict.not_offered and self._drop_host(host):
                        continue
                    raise with_context(error, endpoint, host, trail)
                case Retry(error=error, cause=cause):
                    tries[cause] += 1
                    if tries[cause] >= retry.attempts_for(cause):
                        raise with_context(error, endpoint, host, trail)
                    await self._wait(endpoint, host, limiter, verdict, retry, tries[cause])

    async def _http_request(
        self, endpoint: Endpoint, payload: Payload, host: str, retry: RetryPolicy
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
        headers.update(await self._authorize(request))
        return request

    async def _send(self, request: Request, trail: list[Attempt]) -> Outcome:
        sent, start = self._server_time.here(), _now()
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
                self._report_failure(cut_off.host, cut_off.outcome, began=start)
            raise
        self._server_time.observe(response.headers.get("date"), sent=sent, received=self._server_time.here())
        return _refused_redirect(response) or response

    async def _read(self, read: Read[R], exchange: Exchange, deadline: asyncio.Timeout) -> Verdict[R]:
        outcome = exchange.outcome
        try:
            if not isinstance(outcome, Response) or len(outcome.body) < THREAD_FROM_BYTES:
                return read(exchange)
            begun, ends = _now(), deadline.when()
            deadline.reschedule(None)  # the deadline does not cancel the decoding of a complete response
            try:
                verdict: Verdict[R] = await self._read_in_thread(lambda: read(exchange))
            finally:
                deadline.reschedule(None if ends is None else ends + _now() - begun)
        except DecodeError as error:
            return Fail(error=error)
        return verdict

    async def _wait(
        self,
        endpoint: Endpoint,
        host: str,
        limiter: Limiter,
        verdict: Retry,
        retry: RetryPolicy,
        tries: int,
    ) -> None:
        if verdict.cause in (Cause.CREDENTIALS, Cause.CLOCK):  # the next attempt uses the corrected values
            return
        if verdict.cause is Cause.RATE:
            await limiter.backoff(verdict.after or 0.0)  # delays every request, including this one
            return
        step = retry.backoff[min(tries, len(retry.backoff)) - 1] if retry.backoff else 0.0
        seconds = step * (0.8 + 0.4 * self._chance())
        if verdict.after and (not verdict.other_host or self._domains.is_current(host)):
            seconds = max(seconds, verdict.after)
        self._observer(
            Waited(endpoint=endpoint.name, rule=f"back-off: {verdict.error.message}", seconds=seconds)
        )
        await anyio.sleep(seconds)

    def _report_to_hosts(
        self,
        host: str,
        verdict: Verdict[Any],
        outcome: Outcome,
        failed_at: Counter[str],
        *,
        began: float,
    ) -> None:
        if isinstance(verdict, Done) or not verdict.other_host:
            return
        failed_at[host] += 1
        self._on_failure()
        dns = isinstance(outcome, TransportFailure) and outcome.kind is FailureKind.DNS
        # With Retry-After, an immediate second attempt would fail too.
        says_when = isinstance(verdict, Retry) and bool(verdict.after)
        times = failed_at[host] + says_when
        self._report_failure(host, verdict.error.message, began=began, times=times, dns=dns)

    def _report_failure(
        self, host: str, reason: str, *, began: float, times: int = 1, dns: bool = False
    ) -> None:
        now = _now()
        self._report_switch(self._domains.failed(host, reason, began=began, now=now, times=times, dns=dns))

    def _drop_host(self, host: str) -> bool:
        another, switch = self._domains.not_offered(host, now=_now())
        self._report_switch(switch)
        return another

    def _report_switch(self, switch: Switch | None) -> None:
        if switch is not None:
            self._observer(HostSwitched(old=switch.old, new=switch.new, reason=switch.reason))

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


async def _record_outcome(limiter: Limiter, grant: Grant, outcome: Outcome, seconds: float) -> None:
    if isinstance(outcome, Response):  # exclude the transfer of the body: it does not delay the request
        limiter.answered(grant, seconds - (outcome.elapsed - (outcome.first_byte or outcome.elapsed)))
    elif outcome.kind.never_left:
        await limiter.release(grant)


def _outcome(verdict: Verdict[Any]) -> str:
    return "done" if isinstance(verdict, Done) else verdict.error.message


def _format_attempts(trail: list[Attempt]) -> str:
    if not trail:
        return "while waiting for a rate-limit slot"
    return f"with {len(trail)} attempt{'s' if len(trail) > 1 else ''}: {'; '.join(map(str, trail))}"


def with_context(
    error: AgoraAnalyticsError, endpoint: Endpoint, host: str, trail: list[Attempt]
) -> AgoraAnalyticsError:
    """Attach the endpoint, host and trail to an error. The vendor's reader has already set the request id."""
    error.endpoint, error.host, error.trail = endpoint.name, host, tuple(trail)
    return error
