"""The one request loop: limit, host, send, judge; then return, wait or raise."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import anyio
from attrs import field, frozen
from attrs.validators import gt

from agora_analytics.core.domains import Domains, Switch
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.verdicts import MIDNIGHT_SLACK, Cause, Done, Fail, Judge, Retry, Verdict
from agora_analytics.core.windows import SLACK
from agora_analytics.engine.clock import ServerTime
from agora_analytics.engine.events import AttemptFailed, HostSwitched, Observer, ResponseReceived, Waited
from agora_analytics.engine.ledger import Grant
from agora_analytics.engine.limiter import Limiter
from agora_analytics.engine.transports import Transport
from agora_analytics.errors import (
    AgoraAnalyticsError,
    Attempt,
    DeadlineExceeded,
    QuotaExhausted,
    WindowRefused,
)
from agora_analytics.instants import next_midnight
from agora_analytics.messages import FailureKind, Request, Response, TransportFailure

Query = tuple[tuple[str, str], ...]
Outcome = Response | TransportFailure
Authorize = Callable[[Request], Awaitable[Mapping[str, str]]]
"""The headers that tell the server who sends a request, which may sign it; asked for anew for every attempt."""

_NO_BODY = {"accept": "application/json"}
_JSON_BODY = _NO_BODY | {"content-type": "application/json"}

THREAD_FROM_BYTES = 1_000_000
"""Bytes of a body from which it is read in a thread, so that the event loop goes on."""


@frozen(kw_only=True)
class RetryPolicy:
    """How long a call may take, and how often it is tried.

    Attributes:
        timeout: seconds for one attempt, and never more than a third of the deadline.
        deadline: seconds for the whole call, its waits for the limits included; None: no bound.
        backoff: seconds to wait before the second, third, ... attempt after a failure; the last one repeats; none: no wait.
        attempts: how often a call that meets trouble is sent at most.
        rate_attempts: how often a call that meets a rate limit is sent at most.
    """

    timeout: float = field(default=30.0, validator=gt(0))
    deadline: float | None = 120.0
    backoff: tuple[float, ...] = (1.0, 3.0, 6.0)
    attempts: int = field(default=6, validator=gt(0))
    rate_attempts: int = field(default=8, validator=gt(0))

    @property
    def attempt_timeout(self) -> float:
        """Seconds for one attempt: so few that a host which hangs does not use up the whole call."""
        return self.timeout if self.deadline is None else min(self.timeout, self.deadline / 3)

    def attempts_for(self, cause: Cause) -> int:
        """How often a call that meets trouble of this kind is sent at most."""
        if cause is Cause.CREDENTIALS:
            return 2
        return self.rate_attempts if cause is Cause.RATE else self.attempts


@frozen(kw_only=True)
class ApiRequest:
    """One call of an endpoint: `query` and `body` give what is sent for the server's time at that moment.

    A body is JSON.
    """

    endpoint: Endpoint
    query: Callable[[float], Query]
    body: Callable[[float], bytes] | None = None


@frozen(kw_only=True)
class ApiResponse:
    """A good answer, where it came from, and the attempts that led to it (the good one last)."""

    response: Response
    host: str
    trail: tuple[Attempt, ...]


class RequestLoop:
    """Turns a `ApiRequest` into an `ApiResponse` or an error, within the limits. `sent` counts attempts by endpoint."""

    def __init__(
        self,
        *,
        transport: Transport,
        domains: Domains,
        judge: Judge,
        limiter: Callable[[Endpoint], Limiter],
        authorize: Authorize,
        server_time: ServerTime,
        observer: Observer,
        retry: RetryPolicy,
        chance: Callable[[], float] = random.random,
        on_trouble: Callable[[], None] = lambda: None,
    ) -> None:
        self._transport = transport
        self._domains = domains
        self._judge = judge
        self._limiter = limiter
        self._authorize = authorize
        self._server_time = server_time
        self._observer = observer
        self._retry = retry
        self._chance = chance
        self._on_trouble = on_trouble
        self.sent: Counter[str] = Counter()

    async def run(self, call: ApiRequest, retry: RetryPolicy | None = None) -> ApiResponse:
        """Send a call until it is answered well, cannot be, or its deadline has passed.

        Raises:
            QuotaExhausted: the day's quota is spent.
            APIError, TransportError: see `agora_analytics.errors`.
            DeadlineExceeded: with the trail of what was tried.
        """
        retry = retry or self._retry
        trail: list[Attempt] = []
        try:
            async with asyncio.timeout(retry.deadline) as within:
                return await self._run_attempts(call, retry, trail)
        except TimeoutError:
            if not within.expired():
                raise
        raise DeadlineExceeded(
            f"no answer within {retry.deadline:g} s: {_format_attempts(trail)}",
            endpoint=call.endpoint.name,
            host=trail[-1].host if trail else None,
            trail=trail,
        )

    async def _run_attempts(self, call: ApiRequest, retry: RetryPolicy, trail: list[Attempt]) -> ApiResponse:
        tries: dict[Cause, int] = {}
        failed_at: Counter[str] = Counter()
        misdated = False
        limiter = self._limiter(call.endpoint)
        while True:
            grant = await limiter.acquire()
            now, skew = self._server_time.now(), self._server_time.skew
            began = _now()
            host = self._domains.pick(began, replayable=call.endpoint.replayable)
            try:
                request = await self._request(call, host, now, retry)
            except BaseException:  # the time range went out of reach, say: nothing was sent
                with anyio.CancelScope(shield=True):
                    await limiter.release(grant)
                raise
            grant = await limiter.mark_sent(grant)
            self.sent[call.endpoint.name] += 1
            left, departed = _now(), self._server_time.now()
            outcome = await self._attempt(request, trail)
            ended = _now()
            verdict = _on_the_day_it_was_sent(await self._verdict(call.endpoint, outcome), departed)
            trail.append(Attempt(host=host, outcome=_outcome(verdict), seconds=ended - began))
            self._tell(call.endpoint, trail[-1], outcome)
            await _record_outcome(limiter, grant, outcome, ended - left)
            self._report_to_hosts(host, verdict, outcome, failed_at, began=began)
            if (
                not misdated
                and _is_window_refusal(verdict)
                and abs(self._server_time.skew - skew) > SLACK / 2
            ):
                misdated = True  # the refusal itself has told the time, and the range is cut anew
                continue
            match verdict:
                case Done(response):
                    limiter.reset_backoff()
                    self._report_switch(self._domains.answered(host, began=began, now=ended))
                    return ApiResponse(response=response, host=host, trail=tuple(trail))
                case Fail(error=error, closed_until=until):
                    if until is not None:
                        await limiter.close_day(until)
                    if verdict.not_offered and self._drop_host(host):
                        continue
                    raise _with_context(error, call.endpoint, host, trail)
                case Retry(error=error, cause=cause):
                    tries[cause] = tries.get(cause, 0) + 1
                    if tries[cause] >= retry.attempts_for(cause):
                        raise _with_context(error, call.endpoint, host, trail)
                    await self._wait(call.endpoint, host, limiter, verdict, retry, tries[cause])

    async def _request(self, call: ApiRequest, host: str, now: float, retry: RetryPolicy) -> Request:
        headers = dict(_JSON_BODY if call.body else _NO_BODY)
        request = Request(
            method=call.endpoint.method,
            base_url=host,
            path=call.endpoint.path,
            query=call.query(now),
            headers=headers,
            body=call.body(now) if call.body else b"",
            timeout=retry.attempt_timeout,
        )
        headers.update(await self._authorize(request))
        return request

    async def _attempt(self, request: Request, trail: list[Attempt]) -> Outcome:
        sent, start = self._server_time.here(), _now()
        try:
            response = await self._transport.send(request)
        except TransportFailure as failure:
            return failure
        except anyio.get_cancelled_exc_class():  # the deadline: say where the time went
            cut_off = Attempt(host=request.base_url, outcome="no answer yet", seconds=_now() - start)
            trail.append(cut_off)
            if (
                cut_off.seconds >= request.timeout / 2
            ):  # in less time a host that is well may be at work on it
                self._report_failure(cut_off.host, cut_off.outcome, began=start)
            raise
        self._server_time.observe(response.headers.get("date"), sent=sent, received=self._server_time.here())
        return _refused_redirect(response) or response

    async def _verdict(self, endpoint: Endpoint, outcome: Outcome) -> Verdict:
        now = self._server_time.now()
        if isinstance(outcome, Response) and len(outcome.body) >= THREAD_FROM_BYTES:
            return await asyncio.to_thread(self._judge, endpoint, outcome, now)
        return self._judge(endpoint, outcome, now)

    async def _wait(
        self, endpoint: Endpoint, host: str, limiter: Limiter, verdict: Retry, retry: RetryPolicy, tries: int
    ) -> None:
        if verdict.cause is Cause.CREDENTIALS:  # new ones are made for the next attempt
            return
        if verdict.cause is Cause.RATE:
            await limiter.backoff(verdict.after or 0.0)  # the limiter makes everybody wait, us included
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
        self, host: str, verdict: Verdict, outcome: Outcome, failed_at: Counter[str], *, began: float
    ) -> None:
        if isinstance(verdict, Done) or not verdict.other_host:
            return
        failed_at[host] += 1
        self._on_trouble()
        dns = isinstance(outcome, TransportFailure) and outcome.kind is FailureKind.DNS
        says_when = isinstance(verdict, Retry) and bool(verdict.after)  # so a second attempt is not worth it
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

    def _tell(self, endpoint: Endpoint, attempt: Attempt, outcome: Outcome) -> None:
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
    """A redirect is not followed, for it would take the credentials to where it leads."""
    if not (300 <= response.status < 400 and "location" in response.headers):
        return None
    try:
        target = urlsplit(response.headers["location"]).hostname or "another path"
    except ValueError:
        target = "no usable address"
    return TransportFailure(FailureKind.REDIRECT, f"HTTP {response.status} to {target}")


def _on_the_day_it_was_sent(verdict: Verdict, departed: float) -> Verdict:
    """A day that was spent may have ended before its answer came: the new one is open, and it is sent again."""
    ended = next_midnight(departed - MIDNIGHT_SLACK)
    if not isinstance(verdict, Fail) or verdict.closed_until is None or verdict.closed_until <= ended:
        return verdict
    error = QuotaExhausted(
        "the quota of the day before is spent", retry_at=ended, request_id=verdict.error.request_id
    )
    return Retry(error=error, cause=Cause.RATE)


async def _record_outcome(limiter: Limiter, grant: Grant, outcome: Outcome, seconds: float) -> None:
    if isinstance(outcome, Response):  # the way that the body took tells nothing of the request's
        limiter.answered(grant, seconds - (outcome.elapsed - (outcome.first_byte or outcome.elapsed)))
    elif outcome.kind.never_left:
        await limiter.release(grant)


def _is_window_refusal(verdict: Verdict) -> bool:
    return not isinstance(verdict, Done) and isinstance(verdict.error, WindowRefused)


def _outcome(verdict: Verdict) -> str:
    return "done" if isinstance(verdict, Done) else verdict.error.message


def _format_attempts(trail: list[Attempt]) -> str:
    return "; ".join(map(str, trail)) or "it waited for its turn all the time"


def _with_context(
    error: AgoraAnalyticsError, endpoint: Endpoint, host: str, trail: list[Attempt]
) -> AgoraAnalyticsError:
    error.endpoint, error.host, error.trail = endpoint.name, host, tuple(trail)
    return error
