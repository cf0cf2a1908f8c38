"""The pool of hosts as a pure thing: whatever happens in whatever order, some host is picked, and the best one is returned to."""

from hypothesis import given
from hypothesis import strategies as st

from agora_analytics.agora.domains import AREAS, NEIGHBOURS, host_table
from agora_analytics.core.domains import LONG_REST, REST, Domains, HostTable

A, B = "https://a", "https://b"
TABLE = host_table("agora.io", regional=True)
HOSTS = [TABLE.preferred, TABLE.alternate, *(host for hosts in TABLE.regional.values() for host in hosts)]


def two() -> Domains:
    return Domains(HostTable(preferred=A, alternate=B))


def fail(pool, host, now, *, times=2, began=None, dns=False):
    return pool.failed(host, "why", began=now if began is None else began, now=now, times=times, dns=dns)


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
    pool = two()
    assert fail(pool, A, 1.0, times=1) is None
    assert fail(pool, A, 2.0).new == B
    assert fail(pool, B, 3.0, times=1).new == A


def test_failures_of_different_calls_count_together_if_no_answer_comes_between():
    pool = two()
    assert fail(pool, A, 5.0, times=1, began=0.0) is None
    assert fail(pool, A, 6.0, times=1, began=4.9) is None  # under way when the first was learnt
    pool.answered(A, began=6.0, now=7.0)
    assert fail(pool, A, 8.0, times=1, began=7.0) is None
    assert fail(pool, A, 9.0, times=1, began=8.1).new == B


def test_a_host_of_its_own_never_switches():
    alone = Domains(HostTable(preferred=A))
    assert fail(alone, A, 0.0) is None
    assert alone.pick(1.0) == A


def test_failures_at_the_same_time_switch_once():
    pool = two()
    switches = [fail(pool, A, 5.0 + i / 1000, began=0.0) for i in range(1000)]
    assert sum(switch is not None for switch in switches) == 1


def test_one_query_tries_the_preferred_host_when_its_rest_is_over_and_its_answer_brings_all_back():
    pool = two()
    fail(pool, A, 0.0)
    assert pool.pick(REST - 0.1) == B
    assert pool.pick(REST, replayable=False) == B
    assert [pool.pick(REST) for _ in range(3)] == [A, B, B]
    assert pool.answered(A, began=REST, now=REST + 1).new == A
    assert pool.pick(REST + 1) == A


def test_a_message_tries_the_preferred_host_after_a_long_rest_in_which_no_query_has():
    pool = two()
    fail(pool, A, 0.0)
    assert pool.pick(LONG_REST - 1, replayable=False) == B
    assert [pool.pick(LONG_REST, replayable=False) for _ in range(2)] == [A, B]
    assert pool.answered(A, began=LONG_REST, now=LONG_REST + 1).new == A


def test_failed_probe_restarts_the_rest_and_a_cancelled_one_does_not():
    pool = two()
    fail(pool, A, 0.0)
    assert pool.pick(REST) == A
    assert fail(pool, A, REST + 5, began=REST, times=1) is None
    assert pool.pick(REST + 5 + REST - 1) == B
    assert pool.pick(REST + 5 + REST) == A  # and the result of the probe is never reported
    assert pool.pick(REST + 5 + REST + 9) == B
    assert pool.pick(REST + 5 + REST + 10) == A


def test_response_sent_before_the_failure_does_not_restore_the_host():
    pool = two()
    fail(pool, A, 10.0)
    assert pool.answered(A, began=5.0, now=11.0) is None
    assert pool.pick(11.0) == B


def test_failure_sent_before_the_recovery_does_not_count():
    pool = two()
    fail(pool, A, 10.0)
    pool.pick(10.0 + REST)
    pool.answered(A, began=10.0 + REST, now=11.0 + REST)
    assert fail(pool, A, 12.0 + REST, began=9.0) is None
    assert pool.pick(12.0 + REST) == A


def test_primary_is_never_dropped():
    pool = two()
    assert [pool.not_offered(host, now=0.0) for host in (A, B)] == [(False, None)] * 2


def test_success_of_a_dropped_host_does_not_restore_it():
    pool = Domains(TABLE)
    region = fail(pool, TABLE.preferred, 5.0).new
    _, switch = pool.not_offered(region, now=6.0)
    assert pool.answered(region, began=5.5, now=6.5) is None
    assert pool.pick(7.0) == switch.new != region


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["fail", "answer", "not offered", "area"]),
            st.sampled_from(HOSTS),
            st.floats(0, 60),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_a_host_is_always_picked_and_the_preferred_one_returns(happenings):
    pool, now = Domains(TABLE), 0.0
    for what, host, seconds, flag in happenings:
        now += seconds
        picked = pool.pick(now, replayable=flag)
        assert picked in HOSTS
        assert not next(state.gone for state in pool.state(now) if state.host == picked)
        if what == "fail":
            fail(pool, picked if flag else host, now, dns=flag)
        elif what == "answer":
            pool.answered(picked if flag else host, began=now, now=now)
        elif what == "not offered":
            pool.not_offered(host, now=now)
        else:
            pool.area = AREAS[len(host) % len(AREAS)]
        assert sum(state.current for state in pool.state(now)) == 1
    now += REST + 60
    assert pool.pick(now) == TABLE.preferred
    pool.answered(TABLE.preferred, began=now, now=now)
    assert [state.host for state in pool.state(now) if state.current] == [TABLE.preferred]
