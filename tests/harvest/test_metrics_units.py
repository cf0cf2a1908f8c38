"""The names of metrics units, and which units of an interrupted run a call keeps."""

from collections.abc import Collection

from agora_analytics.agora.plans import ENTERPRISE
from agora_analytics.agora.records import Call, Session, Uid
from agora_analytics.core.windows import Window
from agora_analytics.harvest.units import expired_units, metrics_units, parse_unit_name

START, END = 1_795_000_000, 1_795_000_000 + 8 * 3600
LIMITS = ENTERPRISE.limits["call/metrics"]
REACH = Window(START - 1000, END + 1000)


def make_call(call_id: str = "call") -> Call:
    return Call(call_id=call_id, cname="room", created_ts=START, destroyed_ts=END, finished=True)


def members(*numbers: int) -> list[Session]:
    return [
        Session(sid=f"s{number:04d}", uid=Uid(str(number)), join_ts=START, leave_ts=END, finished=True)
        for number in numbers
    ]


def names(sessions: list[Session], *, call: Call | None = None, until: int = END) -> list[str]:
    units = metrics_units(call or make_call(), sessions, LIMITS, REACH, since=START, until=until)
    return [unit.name for unit in units]


def expired(
    sessions: list[Session], *, since: int = START, until: int = END, **units: Collection[str]
) -> list[str]:
    return expired_units(make_call(), sessions, since=since, until=until, **({"names": ()} | units))


def test_units_share_a_name_only_if_they_have_the_same_sessions_and_window():
    every, shifted, without_last = members(*range(41)), members(*range(1, 41)), members(*range(40))
    assert not set(names(every)) & set(names(shifted))
    windows = {parse_unit_name(name)[1] for name in names(every)}
    assert len(windows) == 2
    assert set(names(without_last)) < set(names(every))
    assert names(every[:20]) == names(every[:20][::-1])  # one batch, in any order
    assert len(set(names(every))) == 3 * len(windows)


def test_name_of_a_unit_has_the_id_of_its_call_and_fits_a_file():
    call = make_call("c." * 200)
    for name in names(members(1), call=call):
        assert len(name) < 200
        assert parse_unit_name(name)[1].start in {0, 6 * 3600}


def test_expired_units_of_other_sessions_are_not_kept():
    every, others = members(*range(25)), members(*range(1, 26))
    stored = {*names(every), *names(others)}
    kept = expired(every, stored=stored)
    assert set(kept) == set(names(every))


def test_expired_units_of_overlapping_windows_are_kept_once():
    """An ongoing call was fetched up to two different seconds."""
    sessions = members(*range(25))
    short, long = names(sessions, until=START + 100), names(sessions, until=START + 200)
    kept = expired(sessions, stored={*short, *long})
    assert set(kept) == set(long)
    assert expired(sessions, stored={*short, *long}, names=short) == []


def test_units_outside_the_expired_seconds_are_not_kept():
    sessions = members(1)
    first, second = names(sessions)
    stored = {first, second}
    assert expired(sessions, until=END - 1, stored=stored) == [first]
    assert expired(sessions, since=START + 1, stored=stored) == [second]
