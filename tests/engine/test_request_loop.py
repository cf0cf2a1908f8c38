"""The request loop on virtual time, over a scripted transport, with the verdicts of the Agora API."""

import asyncio
from email.utils import formatdate
from functools import partial

import pytest
from attrs import evolve

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.judge import open_fields, read_response
from agora_analytics.agora.operations import LISTS
from agora_analytics.agora.plans import Plan
from agora_analytics.core.domains import Domains, HostTable
from agora_analytics.core.verdicts import Cause, Done, Payload, Retry, SkippedRecord
from agora_analytics.core.windows import Window, clip
from agora_analytics.engine.api_request import ApiRequest
from agora_analytics.engine.authentication import Authentication, always
from agora_analytics.engine.clock import ServerTime, monotonic_of
from agora_analytics.engine.events import (
    AttemptFailed,
    HostSwitched,
    RecordsSkipped,
    ResponseReceived,
    Waited,
)
from agora_analytics.engine.ledger import Budget, MemoryLedger
from agora_analytics.engine.limiter import Limiter
from agora_analytics.engine.phase_lock import PhaseLock
from agora_analytics.engine.request_loop import THREAD_FROM_BYTES, RequestLoop
from agora_analytics.engine.retry_policy import RetryPolicy
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.errors import (
    AuthenticationError,
    BadRequest,
    DeadlineExceeded,
    QuotaExhausted,
    RateLimited,
    ServerError,
    TransportError,
    WindowOutOfReach,
    WindowRefused,
)
from agora_analytics.messages import FailureKind, TransportFailure
from agora_analytics.testing import VirtualClock, run_virtual
from tests.conftest import NOW, endpoint, limits, ok, response
from tests.harness import Scripted

ONE, TWO = "https://one.example", "https://two.example"
MIDNIGHT = 1_795_132_800.0
HTML = response(b"<html>503</html>", 503, content_type="text/html")
HTML_200 = response(b"<html>welcome</html>", content_type="text/html")
BROKEN = response(b'{"code":200,"call_li')
GATEWAY = response({"message": "An unexpected error occurred"}, 500, x_request_id="r-500")


def failure(kind):
    return TransportFailure(kind, "why")


def limit(message):
    return response(
        {"code": 300, "message": f"Service package limit check error, {message}", "requestId": "r-300"}
    )


READ = partial(read_response, open_body=open_fields)
BASIC = Authentication(always({"authorization": "Basic x"}), lambda _, headers: headers)


class LoopHarness:
    """A request loop with everything around it in memory."""

    def __init__(
        self,
        *script,
        hosts=(ONE,),
        seconds=0.0,
        start=NOW,
        authentication=BASIC,
        retry=None,
        read=READ,
        ledger=None,
        **rows,
    ):
        self.transport = Scripted(*script, seconds=seconds)
        self.read = read
        self.clock, self.events, self.ledger = VirtualClock(start), [], ledger or MemoryLedger()
        self.server_time = ServerTime(self.clock)
        self.budget = Budget("account", "call/lists")
        self.phase_lock = PhaseLock(monotonic_of(self.clock))
        limiter = Limiter(
            self.budget,
            limits(**rows),
            ledger=self.ledger,
            clock=self.clock,
            server_time=self.server_time,
            phase_lock=self.phase_lock,
            observer=self.events.append,
        )

        domains = Domains(HostTable(preferred=hosts[0], alternate=(*hosts, None)[1]))
        domains.on_switch = lambda switch: self.events.append(
            HostSwitched(old=switch.old, new=switch.new, reason=switch.reason)
        )
        self.loop = RequestLoop(
            transport=self.transport,
            domains=domains,
            limiter=lambda _: limiter,
            authentication=authentication,
            server_time=self.server_time,
            phase_lock=self.phase_lock,
            read_in_thread=asyncio.to_thread,
            observer=self.events.append,
            retry=retry or RetryPolicy(),
            chance=lambda: 0.5,
        )

    def call(self, query=lambda _: (("appid", "a b"),), **of):
        def build(now):
            return Payload(query=query(now))

        return ApiRequest(endpoint=endpoint(**of), build=build, read=self.read)

    def run(self, work=None):
        return run_virtual(work if work is not None else self.loop.run(self.call()), self.clock)

    def fails(self, error, **of):
        with pytest.raises(error) as caught:
            self.run(self.loop.run(self.call(**of)))
        return caught.value

    @property
    def hosts(self):
        return [request.base_url for request in self.transport.requests]

    def spent(self, day="2026-11-19"):
        return self.run(self.ledger.spent(self.budget, day))[0]

    def events_of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


def test_success_takes_one_attempt():
    harness = LoopHarness(ok())
    answer = harness.run()
    assert (answer.host, len(answer.trail), answer.trail[0].outcome) == (ONE, 1, "done")
    (request,) = harness.transport.requests
    assert (request.method, request.url) == ("GET", f"{ONE}/lists?appid=a+b")
    assert request.headers == {"accept": "application/json", "authorization": "Basic x"}
    assert (request.timeout, harness.loop.sent["call/lists"], harness.spent()) == (30.0, 1, 1)


def test_skipped_records_are_returned_and_reported():
    skipped = (SkippedRecord(path="$.call_lists[1]", key=None, reason="the call id is empty"),)
    harness = LoopHarness(ok(), read=lambda _: Done("records", "r-1", skipped))
    assert harness.run().skipped == skipped
    assert harness.events_of(RecordsSkipped) == [RecordsSkipped(endpoint="call/lists", skipped=skipped)]


CORRUPT = failure(FailureKind.ENCODING)
TROUBLES = [
    GATEWAY,
    HTML,
    BROKEN,
    response({"code": 500, "message": "Unknown Error"}),
    response({"message": "slow"}, 408),
    limit("qps limit error"),
    limit("query latency limit error"),
    CORRUPT,
    *map(
        failure,
        sorted(set(FailureKind) - {FailureKind.TOO_LARGE, FailureKind.REDIRECT, FailureKind.ENCODING}),
    ),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
def test_every_transient_failure_is_retried(trouble):
    others = [(BROKEN, HTML_200), (CORRUPT, TransportFailure(FailureKind.ENCODING, "other"))]
    # An identical body would be a permanent error.
    other = next((other for body, other in others if body is trouble), trouble)
    harness = LoopHarness(trouble, other, ok())
    answer = harness.run()
    assert [attempt.outcome == "done" for attempt in answer.trail] == [False, False, True]
    assert harness.loop.sent["call/lists"] == 3


def test_body_that_cannot_be_decompressed_twice_costs_two_requests():
    harness = LoopHarness(failure(FailureKind.ENCODING), ok())
    harness.run()
    harness = LoopHarness(failure(FailureKind.ENCODING))
    with pytest.raises(TransportError):
        harness.run()
    assert harness.loop.sent["call/lists"] == 2


def test_back_off_grows_and_the_last_step_repeats():
    harness = LoopHarness(GATEWAY, GATEWAY, GATEWAY, GATEWAY, ok())
    harness.run()
    waits = [event for event in harness.events_of(Waited) if event.rule.startswith("back-off")]
    assert [event.seconds for event in waits] == [1.0, 3.0, 6.0, 6.0]
    assert "HTTP 500" in waits[0].rule
    assert harness.clock.now() - NOW == pytest.approx(16.0, abs=0.1)


def test_empty_back_off_retries_immediately():
    harness = LoopHarness(GATEWAY, failure(FailureKind.RESET), ok(), retry=RetryPolicy(backoff=()))
    assert len(harness.run().trail) == 3
    assert harness.clock.now() - NOW < 0.5


def busy_for(when):
    return response(b"<html>", 503, content_type="text/html", retry_after=when)


@pytest.mark.parametrize("when", ["30", formatdate(NOW + 30, usegmt=True)])
def test_retry_after_is_obeyed_without_another_host(when):
    harness = LoopHarness(busy_for(when), ok())
    harness.run()
    assert 29 < harness.clock.now() - NOW < 31


@pytest.mark.parametrize("off", [-3 * 3600, 3 * 3600, -50 * 365 * 86_400])
def test_retry_after_date_of_a_wrong_clock_is_relative_to_that_clock(off):
    """A date is as wrong as the clock of the proxy that sends it, so that its own `Date` is the reference."""
    dates = {
        "date": formatdate(NOW + off, usegmt=True),
        "retry_after": formatdate(NOW + off + 30, usegmt=True),
    }
    harness = LoopHarness(response(b"<html>", 503, content_type="text/html", **dates), ok())
    harness.run()
    assert 29 < harness.clock.now() - NOW < 31


def test_retry_after_switches_to_another_host():
    harness = LoopHarness(busy_for("30"), ok(), hosts=(ONE, TWO))
    harness.run()
    assert harness.hosts == [ONE, TWO]
    assert harness.clock.now() - NOW < 2


def test_permanent_failure_is_an_error_with_all_attempts():
    error = LoopHarness(GATEWAY, retry=RetryPolicy(deadline=None, attempts=4)).fails(ServerError)
    assert (error.endpoint, error.host, error.request_id, error.status) == ("call/lists", ONE, "r-500", 500)
    assert [attempt.host for attempt in error.trail] == [ONE] * 4
    shown = str(error)
    assert all(part in shown for part in ("HTTP 500", "call/lists", ONE, "r-500", "attempt 4"))


def test_permanent_transport_failure_is_an_error_with_its_kind():
    harness = LoopHarness(failure(FailureKind.RESET), retry=RetryPolicy(deadline=None))
    error = harness.fails(TransportError)
    assert (error.kind, len(error.trail)) == (FailureKind.RESET, 6)
    assert [event.kind for event in harness.events_of(AttemptFailed)] == [FailureKind.RESET] * 6


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (response({"message": "Invalid authentication credentials"}, 401), AuthenticationError),
        (response({"code": 400, "message": "no"}), BadRequest),
        (limit("query time range limit error"), WindowRefused),
        (failure(FailureKind.TOO_LARGE), TransportError),
    ],
    ids=str,
)
def test_permanent_error_is_not_retried(answer, error):
    harness = LoopHarness(answer, hosts=(ONE, TWO))
    assert len(harness.fails(error).trail) == 1
    assert harness.hosts == [ONE]


def test_a_redirect_is_not_followed():
    moved = response(b"", 302, location="https://elsewhere.example/")
    harness = LoopHarness(moved, hosts=(ONE, TWO), retry=RetryPolicy(deadline=None))
    error = harness.fails(TransportError)
    assert (error.kind, harness.hosts) == (FailureKind.REDIRECT, [ONE])
    assert "HTTP 302 to elsewhere.example" in str(error)


def test_deadline_error_lists_the_attempt_in_progress():
    harness = LoopHarness(GATEWAY, ok(), seconds=12.0, retry=RetryPolicy(timeout=30, deadline=20))
    error = harness.fails(DeadlineExceeded)
    assert harness.clock.now() - NOW == pytest.approx(20, abs=0.01)
    assert isinstance(error, TimeoutError)
    assert (error.endpoint, error.host) == ("call/lists", ONE)
    assert [attempt.outcome for attempt in error.trail] == [
        "HTTP 500: An unexpected error occurred",
        "cancelled without a response",
    ]
    assert "timed out after 20 s with 2 attempts: " in str(error)


def test_deadline_error_counts_attempts_that_failed_alike():
    refused, policy = failure(FailureKind.REFUSED), RetryPolicy(attempts=9, deadline=20)
    error = LoopHarness(refused, retry=policy).fails(DeadlineExceeded)
    assert len(error.trail) > 2
    assert str(error).count("connection refused") == len({attempt.host for attempt in error.trail})
    assert f"with {len(error.trail)} attempts: " in str(error)


def test_refused_connection_says_to_check_the_address():
    error = LoopHarness(failure(FailureKind.REFUSED)).fails(TransportError)
    assert str(error).endswith("; check the address, and that the server is running")


def test_deadline_while_waiting_for_a_slot_spends_no_quota():
    async def work():
        calls = (harness.loop.run(harness.call()) for _ in range(20))
        return await asyncio.gather(*calls, return_exceptions=True)

    harness = LoopHarness(ok(), retry=RetryPolicy(deadline=5), requests=1)
    late = [error for error in harness.run(work()) if isinstance(error, RateLimited)]
    assert harness.clock.now() - NOW <= 5.01
    assert all(error.retry_at > NOW + 4 and error.endpoint == "call/lists" for error in late)
    assert len(late) + harness.spent() == 20
    assert len(harness.transport.requests) == harness.spent() <= 6


def test_cancellation_is_not_reported_as_a_timeout():
    async def work():
        task = asyncio.create_task(harness.loop.run(harness.call()))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return harness.transport.in_flight

    harness = LoopHarness(ok(), seconds=60)
    assert harness.run(work()) == 0


@pytest.mark.parametrize(
    "trouble",
    [
        GATEWAY,
        HTML,
        BROKEN,
        *map(failure, (FailureKind.RESET, FailureKind.READ_TIMEOUT, FailureKind.CUT_OFF)),
    ],
    ids=str,
)
def test_request_that_is_not_replayable_is_sent_once(trouble):
    harness = LoopHarness(trouble, ok(), hosts=(ONE, TWO))
    harness.fails((ServerError, TransportError), replayable=False)
    assert len(harness.transport.requests) == 1


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind.never_left])
def test_request_that_was_not_sent_is_retried_and_not_charged(kind):
    harness = LoopHarness(failure(kind), failure(kind), ok())
    harness.run(harness.loop.run(harness.call(replayable=False)))
    assert (len(harness.transport.requests), harness.spent()) == (3, 1)


def test_request_that_may_have_arrived_stays_charged():
    harness = LoopHarness(failure(FailureKind.RESET), failure(FailureKind.READ_TIMEOUT), ok())
    harness.run()
    assert harness.spent() == 3


def test_failed_host_is_left_and_tried_again_later():
    async def work():
        for _ in range(2):
            await harness.loop.run(harness.call())
        await asyncio.sleep(31)
        await harness.loop.run(harness.call())

    harness = LoopHarness(*[failure(FailureKind.CONNECT_TIMEOUT)] * 2, ok(), hosts=(ONE, TWO))
    harness.run(work())
    assert harness.hosts == [ONE, ONE, TWO, TWO, ONE]
    assert harness.events_of(HostSwitched) == [
        HostSwitched(old=ONE, new=TWO, reason="no response: connect timeout: why"),
        HostSwitched(old=TWO, new=ONE, reason="it answers again, and is preferred"),
    ]


@pytest.mark.parametrize(
    ("trouble", "second"),
    [
        (HTML, TWO),
        (GATEWAY, TWO),
        (failure(FailureKind.DNS), TWO),
        (failure(FailureKind.TLS), TWO),
        (failure(FailureKind.READ_TIMEOUT), TWO),
        (failure(FailureKind.CUT_OFF), ONE),
        (limit("qps limit error"), ONE),
        (limit("query latency limit error"), ONE),
        (response({"message": "API rate limit exceeded"}, 429), ONE),
    ],
    ids=str,
)
def test_failover_depends_on_the_kind_of_failure(trouble, second):
    harness = LoopHarness(trouble, trouble, ok(), hosts=(ONE, TWO))
    harness.run()
    assert harness.hosts == [ONE, ONE, second]


def test_attempts_alternate_between_failing_hosts():
    harness = LoopHarness(*[HTML] * 4, ok(), hosts=(ONE, TWO))
    harness.run()
    assert harness.hosts == [ONE, ONE, TWO, ONE, TWO]


def test_expired_time_range_is_not_sent_or_charged():
    def query(now):
        clip(Window(0, 10), limits(), now)
        raise AssertionError

    harness = LoopHarness(ok())
    with pytest.raises(WindowOutOfReach):
        harness.run(harness.loop.run(harness.call(query)))
    assert (harness.transport.requests, harness.spent()) == ([], 0)


def raises(*_):
    raise RuntimeError("the token service is down")


@pytest.mark.parametrize("failing", ["credentials", "sign"])
def test_failed_authentication_spends_no_quota(failing):
    harness = LoopHarness(ok(), authentication=evolve(BASIC, **{failing: raises}))
    with pytest.raises(RuntimeError, match="token service"):
        harness.run()
    assert (harness.transport.requests, harness.spent()) == ([], 0)


REFUSED = response({"message": "not this token"}, 401)


def read_with_tokens(exchange):
    if exchange.outcome is REFUSED:
        error = AuthenticationError("not this token", status=401)
        return Retry(error=error, cause=Cause.CREDENTIALS)
    return READ(exchange)


def test_every_attempt_is_authorized_again():
    signed = []

    def sign(request, credentials):
        signed.append((request.method, request.url, request.body))
        return {"authorization": f"{credentials} {len(signed)}"}

    signing = Authentication(always("signature"), sign)
    harness = LoopHarness(REFUSED, ok(), authentication=signing, read=read_with_tokens)
    before = harness.clock.now()
    harness.run()
    assert [request.headers["authorization"] for request in harness.transport.requests] == [
        "signature 1",
        "signature 2",
    ]
    assert signed == [("GET", f"{ONE}/lists?appid=a+b", b"")] * 2
    assert harness.clock.now() - before < 1.0


def test_credentials_are_renewed_once():
    harness = LoopHarness(REFUSED, read=read_with_tokens)
    assert len(harness.fails(AuthenticationError).trail) == 2


def test_exhausted_quota_fails_without_a_request():
    async def work():
        for _ in range(2):
            await harness.loop.run(harness.call())
        start = harness.clock.now()
        with pytest.raises(QuotaExhausted) as caught:
            await harness.loop.run(harness.call())
        assert harness.clock.now() - start < 0.5
        return caught.value

    harness = LoopHarness(ok(), per_day=2)
    assert harness.run(work()).retry_at == MIDNIGHT
    assert len(harness.transport.requests) == 2


def test_quota_response_of_the_server_closes_the_day_until_midnight():
    async def work():
        for _ in range(3):
            with pytest.raises(QuotaExhausted) as caught:
                await harness.loop.run(harness.call())
            assert caught.value.retry_at == MIDNIGHT
        assert len(harness.transport.requests) == 1
        await asyncio.sleep(MIDNIGHT - harness.clock.now() + 1)
        return await harness.loop.run(harness.call())

    harness = LoopHarness(limit("qpd limit error"), ok())
    assert harness.run(work()).trail[-1].outcome == "done"


def test_quota_response_after_midnight_does_not_close_the_new_day():
    harness = LoopHarness(limit("qpd limit error"), ok(), start=MIDNIGHT - 4, seconds=10.0)
    answer = harness.run()
    said = "Service package limit check error, qpd limit error"
    assert [attempt.outcome for attempt in answer.trail] == [
        f"the quota of the previous day is spent: body code 300: {said}; retry at 2026-11-20 00:00:00Z",
        "done",
    ]
    assert harness.run(harness.ledger.spent(harness.budget, "2026-11-20")) == (1, False)


def test_slow_quota_response_of_a_late_reset_does_not_close_the_new_day():
    harness = LoopHarness(limit("qpd limit error"), ok(), start=MIDNIGHT + 3, seconds=10.0)
    assert len(harness.run().trail) == 2


def test_request_that_was_not_sent_is_retried_on_an_exhausted_day():
    async def work():
        first = asyncio.ensure_future(harness.loop.run(harness.call()))
        await asyncio.sleep(0.3)
        with pytest.raises(QuotaExhausted):
            await harness.loop.run(harness.call())
        return await first

    harness = LoopHarness(failure(FailureKind.REFUSED), ok(), per_day=1, seconds=0.5)
    assert len(harness.run(work()).trail) == 2
    assert harness.spent() == 1


def test_late_quota_reset_of_the_server_is_waited_for():
    harness = LoopHarness(limit("qpd limit error"), ok(), start=MIDNIGHT + 1)
    assert len(harness.run().trail) == 2
    assert harness.clock.now() >= MIDNIGHT + 6


def test_permanent_rate_limit_is_an_error():
    harness = LoopHarness(limit("qps limit error"), retry=RetryPolicy(deadline=None, rate_attempts=3))
    error = harness.fails(RateLimited)
    assert (len(error.trail), error.request_id, error.code) == (3, "r-300", 300)


def test_rate_limit_waits_for_the_next_second_of_the_server():
    harness = LoopHarness(limit("qps limit error"), ok(), start=NOW + 0.25)
    harness.run()
    assert harness.clock.now() >= NOW + 1.0


def test_query_is_built_with_the_server_time():
    asked = []
    harness = LoopHarness(
        response({"code": 500}, date=formatdate(NOW + 3600, usegmt=True)),
        ok(),
    )
    harness.run(harness.loop.run(harness.call(lambda now: asked.append(now) or ())))
    assert asked[0] == pytest.approx(NOW, abs=0.01)
    assert asked[1] - harness.clock.now() == pytest.approx(3600, abs=1)


TOO_FAR = limit("query time range limit error")


def test_refused_range_is_sent_again_with_the_corrected_clock():
    asked = []
    refusal = evolve(TOO_FAR, headers={**TOO_FAR.headers, "date": formatdate(NOW + 60, usegmt=True)})
    harness = LoopHarness(refusal, ok())
    harness.run(harness.loop.run(harness.call(lambda now: asked.append(now) or ())))
    assert asked[1] - asked[0] == pytest.approx(60, abs=1)


def test_range_refused_by_an_unstable_clock_is_sent_three_times_at_most():
    dates = [{**TOO_FAR.headers, "date": formatdate(NOW + by, usegmt=True)} for by in (60, -60, 60)]
    harness = LoopHarness(
        *(evolve(TOO_FAR, headers=headers) for headers in dates), retry=RetryPolicy(deadline=None)
    )
    assert len(harness.fails(WindowRefused).trail) == 3


def dated(answer, ahead):
    return lambda _: evolve(
        answer, headers={**answer.headers, "date": formatdate(dated.clock.now() + ahead, usegmt=True)}
    )


@pytest.mark.parametrize("ahead", [-7200, 7200])
def test_range_refused_after_the_clock_was_set_is_sent_again_when_the_change_is_confirmed(ahead):
    asked = []
    harness = LoopHarness(dated(ok(), 0), dated(TOO_FAR, ahead), dated(TOO_FAR, ahead), dated(ok(), ahead))
    dated.clock = harness.clock

    async def work():
        await harness.loop.run(harness.call())
        await asyncio.sleep(5)
        return await harness.loop.run(harness.call(lambda now: asked.append(now) or ()))

    assert len(harness.run(work()).trail) == 3
    assert asked[1] - asked[0] == pytest.approx(0, abs=1)
    assert asked[2] - asked[1] == pytest.approx(ahead, abs=1)


@pytest.mark.parametrize("ahead", [-1800, 1800])
def test_spent_day_ends_at_the_midnight_of_the_server_in_the_first_response(ahead):
    """The clock of this machine has passed midnight, or has not, and the server's is on the other side."""
    start = MIDNIGHT + 900 if ahead < 0 else MIDNIGHT - 900
    harness = LoopHarness(dated(limit("qpd limit error"), ahead), start=start)
    dated.clock = harness.clock
    error = harness.fails(QuotaExhausted)
    assert error.retry_at == (MIDNIGHT if ahead < 0 else MIDNIGHT + 86_400)
    with pytest.raises(QuotaExhausted):
        harness.run(harness.loop.run(harness.call()))
    assert len(harness.transport.requests) == 1


def test_large_body_is_read_like_a_small_one():
    large = response(b'{"code":200,"message":"' + b"x" * THREAD_FROM_BYTES + b'"}')
    harness = LoopHarness(large)
    assert harness.run().response is large
    assert harness.events_of(ResponseReceived)[0].size == len(large.body)


def test_programming_error_of_a_transport_is_raised():
    harness = LoopHarness(ZeroDivisionError("a fault in the transport"))
    harness.fails(ZeroDivisionError)
    assert len(harness.transport.requests) == 1


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"attempts": 0}, {"rate_attempts": 0}])
def test_retry_policy_without_attempts_is_refused(wrong):
    with pytest.raises(ValueError, match="must be > 0"):
        RetryPolicy(**wrong)


# ---- the pace, where something holds requests up behind their grants


def most_in_a_second(arrivals):
    return max(sum(at <= other < at + 1 for other in arrivals) for at in arrivals)


def noting_arrivals(harness, transport):
    """Note in the list that is returned when requests reach a transport."""
    arrivals, send = [], transport.send

    async def noting(request):
        arrivals.append(harness.now())
        return await send(request)

    transport.send = noting
    return arrivals


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_slow_credentials_do_not_lower_the_rate(kind, tmp_path):
    """The credentials of each attempt take longer than a slot."""

    async def slow():
        await asyncio.sleep(0.5)
        return {}

    def arrivals_with(name, authentication):
        ledger = MemoryLedger() if kind == "memory" else SqliteLedger(tmp_path / name)
        harness = LoopHarness(
            *[ok()] * 60, authentication=authentication, ledger=ledger, requests=10, seconds=0.05
        )
        arrivals = noting_arrivals(harness.clock, harness.transport)

        async def work():
            await asyncio.gather(*(harness.loop.run(harness.call()) for _ in range(60)))
            await harness.ledger.aclose()

        harness.run(work())
        return arrivals

    quick, late = arrivals_with("quick", BASIC), arrivals_with("late", evolve(BASIC, credentials=slow))
    assert [at - 0.5 for at in late] == pytest.approx(quick, abs=0.001)
    assert most_in_a_second(late) == 10


def test_request_is_signed_in_its_slot():
    """A signature contains the time, and must not be old."""
    signed = []

    def sign(_request, _credentials):
        signed.append(harness.clock.now())
        return {}

    harness = LoopHarness(*[ok()] * 20, authentication=Authentication(always(None), sign), requests=3)
    arrivals = noting_arrivals(harness.clock, harness.transport)

    async def work():
        await asyncio.gather(*(harness.loop.run(harness.call()) for _ in range(20)))

    harness.run(work())
    assert signed == arrivals
    assert arrivals[-1] - arrivals[0] > 5


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize(("requests", "count", "takes"), [(50, 400, 2.0), (3, 40, 3.0), (1, 12, 2.0)])
def test_requests_after_a_token_renewal_stay_within_the_rate(kind, requests, count, takes, tmp_path):
    async def renewed_once():
        asked.append(1)
        if len(asked) == count // 4:
            renewing.set()
            await asyncio.sleep(takes)
            renewing.clear()
            renewed.set()
        elif renewing.is_set():
            await renewed.wait()
        return {}

    async def work():
        await asyncio.gather(*(harness.loop.run(harness.call()) for _ in range(count)))
        await harness.ledger.aclose()

    asked, renewing, renewed = [], asyncio.Event(), asyncio.Event()
    ledger = MemoryLedger() if kind == "memory" else SqliteLedger(tmp_path / "ledger.db")
    harness = LoopHarness(
        *[ok()] * count,
        authentication=Authentication(renewed_once, lambda *_: {}),
        ledger=ledger,
        seconds=0.05,
        requests=requests,
        retry=RetryPolicy(deadline=None),
    )
    arrivals = noting_arrivals(harness.clock, harness.transport)
    harness.run(work())
    assert len(arrivals) == count
    assert most_in_a_second(arrivals) <= requests
    assert harness.spent() == count


def _numbered(i, _):
    return Payload(query=(("n", str(i)),))


def test_slow_transport_opens_before_a_slot_is_reserved():
    class Certified(Scripted):
        certificates = False

        async def open(self):
            if not self.certificates:
                await asyncio.sleep(0.8)
                self.certificates = True

        async def send(self, request):
            await self.open()
            arrivals.append(clock.now())
            return await super().send(request)

    async def work():
        async with AsyncAgora(
            "x", "y", app_id="a", plan=plan, transport=Certified(*[ok(call_lists=[])] * 30), clock=clock
        ) as client:
            calls = [ApiRequest(endpoint=LISTS, build=partial(_numbered, i), read=READ) for i in range(30)]
            await asyncio.gather(*map(client._engine.run, calls))

    clock, arrivals = VirtualClock(NOW), []
    plan = Plan(name="p", limits={LISTS.name: limits(requests=3)})
    run_virtual(work(), clock)
    assert len(arrivals) == 30
    assert most_in_a_second(arrivals) == 3
