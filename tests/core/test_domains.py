"""The pool of hosts as a pure thing: whatever happens in whatever order, some host is picked, and the best one is returned to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.agora.domains import AREAS, NEIGHBOURS, host_table
from agora_analytics.core.domains import LONG_REST, REST, Domains, HostTable
from agora_analytics.core.verdicts import Done, Fail, Retry
from agora_analytics.errors import RateLimited, ServerError, TransportError
from agora_analytics.messages import FailureKind

A, B = "https://a", "https://b"
NEIGHBOUR, NEIGHBOUR_2 = "https://api-us-east-1.agora.io", "https://api-us-east-1.sd-rtn.com"
TABLE = host_table("agora.io", regional=True)
HOSTS = [TABLE.preferred, TABLE.alternate, *(host for hosts in TABLE.regional.values() for host in hosts)]


class Pool(Domains):
    """A pool that records its switches, and that reports attempts which begin and end at the same time."""

    def __init__(self, table=None):
        super().__init__(table or HostTable(preferred=A, alternate=B))
        self.switches = []
        self.on_switch = lambda switch: self.switches.append((switch.old, switch.new))

    @property
    def current(self):
        (host,) = [state.host for state in self.state(0.0) if state.current]
        return host

    def fail(self, now, *, again=True, dns=False):
        """Fail an attempt at the current host; return the host that is current then."""
        lease = self.pick(now, replayable=False)
        self.failed(lease, "why", now=now, again=again, dns=dns)
        return self.current

    def picks(self, now, **options):
        return self.pick(now, **options).host


def test_the_table_is_the_documented_one():
    assert set(AREAS) == {
        "us-west-1", "us-east-1", "ap-southeast-1", "ap-northeast-1", "eu-west-1", "eu-central-1", "cn-east-1",
        "cn-north-1",
    }  # fmt: skip
    assert all(NEIGHBOURS[NEIGHBOURS[area]] == area for area in AREAS)
    assert NEIGHBOURS["eu-central-1"] == "eu-west-1"
    assert TABLE.regional["eu-west-1"] == (
        "https://api-eu-west-1.agora.io",
        "https://api-eu-west-1.sd-rtn.com",
    )


def test_a_host_that_answers_is_tried_twice_and_one_that_does_not_once():
    pool = Pool()
    assert pool.fail(1.0, again=False) == A
    assert pool.fail(2.0) == B
    assert pool.fail(3.0, again=False) == A


def test_second_failure_of_the_same_request_switches_although_others_are_answered():
    pool = Pool()
    assert pool.fail(1.0, again=False) == A
    pool.answered(pool.pick(2.0))
    assert pool.fail(3.0, again=True) == B


def test_failures_of_different_calls_count_together_if_no_answer_comes_between():
    pool = Pool()
    first, second, third = (pool.pick(0.0) for _ in range(3))
    pool.failed(first, "why", now=5.0)
    pool.failed(second, "why", now=6.0)  # under way when the first was reported
    pool.answered(pool.pick(6.0))
    assert pool.fail(8.0, again=False) == A
    pool.failed(third, "why", now=8.5)
    assert pool.current == A
    assert pool.fail(9.0, again=False) == B


def test_answer_from_before_the_first_failure_does_not_restore_the_second_attempt():
    pool = Pool()
    early = pool.pick(0.0)
    assert pool.fail(1.0, again=False) == A
    pool.answered(early)
    assert pool.fail(2.0, again=False) == B


def test_a_host_of_its_own_never_switches():
    alone = Pool(HostTable(preferred=A))
    for now in range(5):
        assert alone.fail(now) == A
    assert alone.picks(5.0) == A
    assert alone.switches == []


def test_concurrent_failures_switch_once():
    pool = Pool()
    for now, again in ((5.0, False), (7.0, True)):
        leases = [pool.pick(now - 1) for _ in range(1000)]
        for i, lease in enumerate(leases):
            pool.failed(lease, "why", now=now + i / 1000, again=again)
    assert pool.switches == [(A, B)]


def test_old_failure_after_the_switch_is_ignored():
    """It neither extends the rest of the host that was left nor counts against the new one."""
    pool = Pool()
    old = pool.pick(0.0)
    assert pool.fail(1.0) == B
    pool.failed(old, "late", now=1.0 + REST - 1, again=True)
    assert pool.current == B
    assert pool.picks(1.0 + REST) == A
    assert [state.trouble for state in pool.state(2.0)] == ["why", ""]


def test_old_failure_of_a_host_that_became_current_again_is_ignored():
    pool = Pool()
    pool.fail(0.0)
    old = pool.pick(1.0)  # B, which is left because A recovers
    pool.answered(pool.pick(REST))
    pool.fail(REST + 1)
    pool.failed(old, "late", now=REST + 2, again=True)
    assert pool.switches == [(A, B), (B, A), (A, B)]


def test_one_query_tries_the_preferred_host_when_its_rest_is_over_and_its_answer_brings_all_back():
    pool = Pool()
    pool.fail(0.0)
    assert pool.picks(REST - 0.1) == B
    assert pool.picks(REST, replayable=False) == B
    probe, *others = (pool.pick(REST) for _ in range(3))
    assert [lease.host for lease in (probe, *others)] == [A, B, B]
    pool.answered(probe)
    assert pool.switches == [(A, B), (B, A)]
    assert pool.picks(REST + 1) == A


def test_a_message_tries_the_preferred_host_after_a_long_rest_in_which_no_query_has():
    pool = Pool()
    pool.fail(0.0)
    assert pool.picks(LONG_REST - 1, replayable=False) == B
    probe, other = (pool.pick(LONG_REST, replayable=False) for _ in range(2))
    assert [probe.host, other.host] == [A, B]
    pool.answered(probe)
    assert pool.current == A


def test_failed_probe_restarts_the_rest_and_a_cancelled_one_does_not():
    pool = Pool()
    pool.fail(0.0)
    probe = pool.pick(REST)
    pool.failed(probe, "why", now=REST + 5)
    assert pool.switches == [(A, B)]
    assert pool.picks(REST + 5 + REST - 1) == B
    assert pool.picks(REST + 5 + REST) == A  # and the result of the probe is never reported
    assert pool.picks(REST + 5 + REST + 9) == B
    assert pool.picks(REST + 5 + REST + 10) == A


def test_second_probe_that_fails_does_not_extend_the_rest():
    pool = Pool()
    pool.fail(0.0)
    probes = [pool.pick(REST), pool.pick(REST + 10)]
    assert [probe.host for probe in probes] == [A, A]
    for probe, now in zip(probes, (REST + 11, REST + 20), strict=True):
        pool.failed(probe, "why", now=now)
    assert pool.picks(REST + 11 + REST - 1) == B
    assert pool.picks(REST + 11 + REST) == A


def test_second_probe_that_fails_after_the_first_was_answered_is_ignored():
    pool = Pool()
    pool.fail(0.0)
    probes = [pool.pick(REST), pool.pick(REST + 10)]
    pool.answered(probes[0])
    pool.failed(probes[1], "why", now=REST + 12, again=True)
    assert pool.switches == [(A, B), (B, A)]


def test_probe_counts_although_the_current_host_has_failed_since():
    pool = Pool(TABLE)
    pool.fail(0.0)
    probe = pool.pick(REST)
    pool.fail(REST + 1)
    pool.answered(probe)
    assert pool.current == TABLE.preferred


def test_old_answer_after_the_switch_does_not_switch_back():
    pool = Pool()
    old = pool.pick(5.0)
    pool.fail(10.0)
    pool.answered(old)
    assert pool.switches == [(A, B)]
    assert pool.picks(11.0) == B


def test_answer_of_a_less_preferred_host_does_not_switch():
    pool = Pool()
    pool.fail(0.0)
    late = pool.pick(1.0)
    pool.answered(pool.pick(REST))
    pool.answered(late)
    assert pool.switches == [(A, B), (B, A)]


def test_host_that_is_not_current_gets_no_second_attempt():
    pool = Pool()
    pool.fail(0.0)
    pool.answered(pool.pick(1.0))
    late = pool.pick(2.0)
    pool.answered(pool.pick(REST))
    pool.failed(late, "why", now=REST + 1)
    assert [(state.host, state.rests) for state in pool.state(REST + 1)] == [(A, 0.0), (B, REST)]


def test_answer_ends_the_rest_of_the_current_host():
    pool = Pool()
    assert [pool.fail(0.0), pool.fail(1.0)] == [B, A]
    assert [state.rests for state in pool.state(2.0)] == [REST - 2, REST - 1]
    pool.answered(pool.pick(2.0))
    assert [state.rests for state in pool.state(2.0)] == [0.0, REST - 1]


def test_failure_sent_before_the_recovery_does_not_count():
    pool = Pool()
    old = pool.pick(9.0)
    pool.fail(10.0)
    pool.answered(pool.pick(10.0 + REST))
    pool.failed(old, "late", now=12.0 + REST, again=True)
    assert pool.picks(12.0 + REST) == A


def test_drop_of_a_host_that_is_not_current_does_not_switch():
    pool = Pool(TABLE)
    pool.fail(0.0)
    assert pool.drop(TABLE.alternate, now=REST) is False
    assert pool.drop(NEIGHBOUR_2, now=REST)
    assert pool.switches == [(TABLE.preferred, NEIGHBOUR)]


def test_primary_is_never_dropped():
    pool = Pool()
    assert [pool.drop(host, now=0.0) for host in (A, B)] == [False] * 2


def test_dns_failure_of_a_regional_host_does_not_lead_to_the_alternate_primary():
    pool = Pool(TABLE)
    assert [pool.fail(0.0), pool.fail(1.0, dns=True)] == [NEIGHBOUR, NEIGHBOUR_2]


def test_result_of_a_dropped_host_is_ignored():
    pool = Pool(TABLE)
    region = pool.fail(5.0)
    answered, failed = pool.pick(5.5), pool.pick(5.5)
    assert pool.drop(region, now=6.0)
    pool.answered(answered)
    pool.failed(failed, "late", now=6.5)
    assert pool.picks(7.0) not in (region, TABLE.preferred)
    (dropped,) = [state for state in pool.state(7.0) if state.gone]
    assert (dropped.host, dropped.rests, dropped.trouble) == (region, 0.0, "does not offer the service")


@pytest.mark.parametrize(
    ("verdict", "attempts"),
    [
        (Retry(error=ServerError("busy", status=503), other_host=True), 2),
        (Retry(error=ServerError("busy", status=503), other_host=True, after=5.0), 1),
        (Fail(error=ServerError("busy", status=503), other_host=True), 2),
        (Retry(error=RateLimited("limit", status=429), after=5.0), None),
        (Done(result=None), None),
    ],
    ids=str,
)
def test_reports_switch_after_the_documented_attempts(verdict, attempts):
    pool, failed_at, failures = Pool(), set(), []
    pool.on_failure = lambda: failures.append(pool.current)
    for now in range(attempts or 5):
        assert pool.switches == []
        pool.report(pool.pick(now), verdict, failed_at, now=now)
    assert pool.switches == ([(A, B)] if attempts else [])
    assert len(failures) == (attempts or 0)


def test_report_counts_the_failures_of_a_request_at_each_host():
    pool, failed_at = Pool(), set()
    verdict = Retry(error=ServerError("busy", status=503), other_host=True)
    for now in range(2):
        assert pool.switches == []
        pool.report(pool.pick(now), verdict, failed_at, now=now)
        pool.report(pool.pick(now), Done(result=None), set(), now=now)
    assert pool.switches == [(A, B)]
    assert failed_at == {A}


@pytest.mark.parametrize(
    ("kind", "then"),
    [(FailureKind.DNS, TABLE.alternate), (FailureKind.RESET, NEIGHBOUR)],
    ids=str,
)
def test_only_dns_leads_to_the_alternate_primary(kind, then):
    pool, failed_at = Pool(TABLE), set()
    verdict = Retry(error=TransportError("no response", kind=kind), other_host=True)
    for now in range(2):
        pool.report(pool.pick(now), verdict, failed_at, now=now)
    assert pool.current == then


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "fail", "answer", "not offered", "area"]),
            st.integers(0, 99),
            st.floats(0, 60),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_a_host_is_always_picked_and_the_preferred_one_returns(happenings):
    """Attempts end in any order, and some never end."""
    pool, now, leases = Pool(TABLE), 0.0, []
    for what, number, seconds, flag in happenings:
        now += seconds
        leases.append(pool.pick(now, replayable=flag))
        assert leases[-1].host in HOSTS
        assert not next(state.gone for state in pool.state(now) if state.host == leases[-1].host)
        lease = leases[-1 - number % len(leases)]
        if what == "fail":
            pool.failed(lease, "why", now=now, again=flag, dns=flag)
        elif what == "answer":
            pool.answered(lease)
        elif what == "not offered":
            pool.drop(HOSTS[number % len(HOSTS)], now=now)
        elif what == "area":
            pool.area = AREAS[number % len(AREAS)]
        assert sum(state.current for state in pool.state(now)) == 1
    now += REST + 60
    last = pool.pick(now)
    assert last.host == TABLE.preferred
    pool.answered(last)
    assert pool.current == TABLE.preferred
