"""Planted calls: reproducible, with the answer that follows from the model, served over a real socket."""

from collections import Counter

import numpy as np
import pytest
from attrs import evolve

from agora_analytics import AsyncAgora, MemoryLedger, harvest, open_store
from agora_analytics.simulator import (
    DEMO_CREDENTIALS,
    HELD_OUT_SEEDS,
    IMPAIRMENT_CAUSES,
    TUNING_SEEDS,
    Impairment,
    Simulator,
    World,
    planted_call,
    planted_world,
    serve,
)
from agora_analytics.simulator.ground_truth.participants import participants_of
from agora_analytics.simulator.impairments.experience import poor_seconds
from agora_analytics.simulator.impairments.media_path import CallMedia
from agora_analytics.simulator.impairments.rejoins import sessions_under

SEEDS = range(120)
((CUSTOMER, SECRET),) = DEMO_CREDENTIALS.items()


@pytest.fixture(scope="module")
def planted():
    return [planted_call(seed) for seed in SEEDS]


def points(world):
    return [
        (session.sid, series.mid, series.peer_uid, series.ts.tolist(), np.nan_to_num(series.value, nan=-1).tolist())
        for call in world.calls
        for session in call.sessions
        for series in world.points(session)
    ]  # fmt: skip


def test_the_seeds_of_published_figures_are_not_for_tuning():
    assert not set(HELD_OUT_SEEDS) & set(TUNING_SEEDS)
    assert len(HELD_OUT_SEEDS) == 1000


def test_planted_calls_follow_from_their_seed():
    again = planted_world([planted_call(seed) for seed in (3, 7)])
    world = planted_world([planted_call(seed) for seed in (7, 3)])
    assert points(world) == points(again)
    assert planted_call(3).causes == planted_call(3).causes
    assert planted_call(3).call.call_id != planted_call(4).call.call_id


def test_points_do_not_depend_on_the_window():
    world = planted_world([planted_call(3)])
    (call,) = world.calls
    middle = (call.created_ts + call.destroyed_ts) // 2
    for session in call.sessions:
        whole = {(series.mid, series.peer_uid): series.ts.tolist() for series in world.points(session)}
        halves: dict = {}
        for start, end in ((0, middle), (middle + 1, 1 << 40)):
            for series in world.points(session, start, end):
                halves.setdefault((series.mid, series.peer_uid), []).extend(series.ts.tolist())
        assert whole == halves


def test_every_kind_and_every_cause_is_planted_on_either_side(planted):
    kinds = Counter(each.kind for each in planted)
    assert kinds.keys() == {"healthy", "elsewhere", "single", "overlapping", "no_data"}
    assert kinds["single"] > 0.4 * len(planted)
    assert kinds["healthy"] > 0.15 * len(planted)
    causes = Counter(cause.cause for each in planted for cause in each.causes)
    assert causes.keys() == set(IMPAIRMENT_CAUSES)
    assert {cause.side for each in planted for cause in each.causes} == {"sender", "receiver", "server"}


def test_the_answer_follows_from_what_the_user_notices(planted):
    for each in planted:
        side, cause, party = each.answer
        uids = {session.uid for session in each.call.sessions}
        noticed = [found for found in each.causes if found.is_noticed]
        if each.kind == "no_data":
            assert (side, cause, party) == ("unknown", "unknown", None)
        elif not noticed:
            assert (side, cause, party) == ("none", "none", None)
        else:
            assert (side, cause, party) == (noticed[0].side, noticed[0].cause, noticed[0].party)
            assert (party is None) == (side == "server")
            assert (party == each.uid) == (side == "receiver")
            assert party is None or party in uids
        assert len(each.causes) == {"single": 1, "overlapping": 2}.get(each.kind, 0)
        assert each.is_mild == (each.kind in ("single", "overlapping") and not noticed)
        assert not (each.is_mild and each.is_clear)
        if each.kind in ("healthy", "elsewhere", "no_data"):
            assert each.is_clear
        if each.kind == "overlapping":
            assert not each.is_clear


def test_causes_without_a_symptom_of_their_own_are_not_clear():
    """Without video, a browser does not show a busy processor, and audio fits into a narrow link."""
    call = next(
        each
        for each in map(planted_call, range(900))
        if each.kind == "single" and each.impairments[0].cause == "cpu" and each.is_clear
    )
    party = call.impairments[0].uid
    audio = tuple(evolve(each, video=False) for each in call.call.sessions)
    browsers = tuple(evolve(each, platform="Web" if each.uid == party else "iOS") for each in audio)
    low = (evolve(call.impairments[0], cause="low_bitrate"),)
    assert not evolve(call, call=evolve(call.call, sessions=browsers)).is_clear
    assert not evolve(call, call=evolve(call.call, sessions=audio), impairments=low).is_clear


def test_problems_elsewhere_have_many_causes_and_are_not_noticed():
    calls = [each for each in map(planted_call, range(700)) if each.kind == "elsewhere"]
    assert len({each.impairments[0].cause for each in calls}) >= 6
    for each in calls:
        assert each.impairments[0].uid != each.uid
        assert each.answer == ("none", "none", None)
    unreceived = sum(
        each.impairments[0].uid
        not in {
            peer.uid for session in each.call.sessions if session.uid == each.uid for peer in session.peers
        }
        for each in calls
    )
    assert 3 <= unreceived < 0.6 * len(calls)


def test_healthy_users_have_few_poor_seconds_but_some(planted):
    shares = [
        poor_seconds(CallMedia(each.call, each.impairments), each.uid).mean()
        for each in planted
        if each.kind in ("healthy", "elsewhere")
    ]
    assert max(shares) < 0.1
    assert 0 < np.mean(shares) < 0.03


def test_the_only_peer_of_a_healthy_user_gets_in():
    """A user who is alone for the whole call has a problem, the peer's failure to join."""
    failing = 0
    for each in map(planted_call, range(1000)):
        if each.kind != "elsewhere" or each.impairments[0].cause != "join_failure":
            continue
        failing += 1
        media = CallMedia(each.call, each.impairments)
        peers = {
            peer.uid for session in each.call.sessions if session.uid == each.uid for peer in session.peers
        }
        assert any(media.stays_of(uid) for uid in peers)
    assert failing > 3


@pytest.fixture(scope="module")
def healthy():
    """Calls in which nothing is wrong, with the points of their sessions."""
    calls = [each for each in map(planted_call, range(250)) if each.kind == "healthy"]
    return [(session, world.points(session)) for each in calls for world in [planted_world([each])]
            for session in each.call.sessions]  # fmt: skip


def test_healthy_users_join_again(healthy):
    """A second session or one without data does not mean that something is wrong."""
    lengths = [session.leave_ts - session.join_ts for session, _ in healthy]
    users = Counter(session.uid for session, _ in healthy)
    assert 0.05 < np.mean([count > 1 for count in users.values()]) < 0.3
    assert 0.02 < np.mean([length < 20 for length in lengths]) < 0.2
    without = [session for session, points in healthy if not points]
    assert without
    assert all(session.leave_ts - session.join_ts < 10 for session in without)


def test_healthy_users_lose_single_reports(healthy):
    gaps = [
        gap
        for _, points in healthy
        for series in points
        if series.mid == 20022
        for gap in np.diff(series.ts).tolist()
    ]
    assert 0.005 < np.mean([9 <= gap <= 24 for gap in gaps]) < 0.03


def values_of(points, mid):
    return [series.value[~np.isnan(series.value)] for series in points if series.mid == mid]


def test_healthy_media_varies(healthy):
    """A constant metric would make every change a symptom."""
    for mid, least in ((20003, 0.05), (20024, 0.08), (20013, 0.03), (20021, 0.2), (20001, 0.02)):
        varies = [
            values.std() / values.mean()
            for _, points in healthy
            for values in values_of(points, mid)
            if len(values) > 10
        ]
        assert np.median(varies) > least, mid


def test_a_silent_pause_does_not_mean_that_the_microphone_is_dead(healthy):
    volumes = [values for _, points in healthy for values in values_of(points, 20025) if len(values) > 10]
    assert 0.1 < np.mean([(values == 0).any() for values in volumes]) < 0.5


def test_a_still_screen_does_not_mean_that_the_capture_stopped(healthy):
    rates = [values for _, points in healthy for values in values_of(points, 20007) if len(values) > 10]
    assert 0.03 < np.mean([(values <= 1).any() for values in rates]) < 0.2


def test_a_user_without_data_has_no_points(planted):
    silent = next(each for each in planted if each.kind == "no_data")
    world = planted_world([silent])
    for session in silent.call.sessions:
        assert bool(world.points(session)) == (session.uid != silent.uid)


def test_the_peers_of_a_user_without_data_report_the_users_streams(planted):
    reporting = 0
    for silent in (each for each in map(planted_call, range(400)) if each.kind == "no_data"):
        world = planted_world([silent])
        peers = {peer.uid for session in silent.call.sessions for peer in session.peers}
        heard = {series.peer_uid for session in silent.call.sessions for series in world.points(session)}
        assert (silent.uid in peers) == (silent.uid in heard)
        reporting += silent.uid in heard
    assert reporting


async def test_a_harvest_stores_the_points_of_planted_calls(tmp_path):
    world = planted_world([planted_call(seed) for seed in range(6)])
    now = max(call.destroyed_ts for call in world.calls) + 3600.0
    clock = FixedClock(now)
    simulator = Simulator(world, now=clock.now)
    async with (
        serve(simulator) as url,
        AsyncAgora(
            CUSTOMER,
            SECRET,
            app_id=world.app_id,
            plan="enterprise",
            base_url=url,
            clock=clock,
            ledger=MemoryLedger(),
        ) as client,
    ):
        report = await harvest(client, since=now - 6 * 3600, until=now - 600, store=tmp_path / "calls.store")
    assert report.complete
    totals = world.totals()
    stored = open_store(tmp_path / "calls.store")
    assert stored.counts()["metrics"] == totals.points > 10_000
    assert stored.counts()["sessions"] == totals.sessions
    assert stored.sql("select sum(value) from metrics").fetchall() == [(totals.value_sum,)]


class FixedClock:
    def __init__(self, now):
        self._now = now

    def now(self):
        return self._now


def test_a_generated_world_takes_impairments(t):
    begin, end = t - 7200, t
    arguments = {"seed": 5, "since": begin, "until": end, "calls": 4, "simple": True}
    bad = Impairment(cause="high_delay", severity=1.0, since=begin, until=end, network="Wi-Fi")
    none = Impairment(cause="high_delay", severity=1.0, since=begin, until=begin)
    round_trips = {}
    for name, impairment in (("bad", bad), ("none", none)):
        world = World.generate(**arguments, impairments=[impairment])
        assert world.totals().points == sum(
            len(series.ts)
            for call in world.calls
            for session in call.sessions
            for series in world.points(session)
        )
        for call in world.calls:
            for session in call.sessions:
                for series in world.points(session):
                    if series.mid == 20022:
                        kind = name, session.network == "Wi-Fi"
                        round_trips.setdefault(kind, []).append(float(np.nanmedian(series.value)))
    assert min(round_trips["bad", True]) > 500
    assert max(round_trips["bad", False] + round_trips["none", True] + round_trips["none", False]) < 400


def test_a_generated_world_makes_the_sessions_of_a_call_at_their_first_use(t, monkeypatch):
    made = []
    monkeypatch.setattr(
        "agora_analytics.simulator.world.sessions_under",
        lambda call, impairments: made.append(call.call_id) or sessions_under(call, impairments),
    )
    bad = Impairment(cause="cpu", severity=1.0, since=t - 7200, until=t)
    world = World.generate(seed=5, since=t - 7200, until=t, calls=50, simple=True, impairments=[bad])
    assert not made
    assert world.calls[3].sessions == world.calls[3].sessions
    assert made == [world.calls[3].call_id]


def test_failed_attempts_to_join_are_not_participants():
    planted = next(
        each for each in map(planted_call, SEEDS) if any(not session.joined for session in each.call.sessions)
    )
    joined = {(each.uid, each.join_ts) for each in planted.call.sessions if each.joined}
    people = participants_of([planted.call])
    assert set(zip(people.uid.tolist(), people.join.tolist(), strict=True)) == joined
