"""Generated worlds: reproducible, independent of the window, and with all difficult cases."""

import numpy as np
import pytest

from agora_analytics.simulator import SIMPLE, World, WorldConfig

HOUR = 3600


@pytest.fixture(scope="module")
def world():
    t = 1_795_046_400
    return World.generate(seed=11, since=t - 4 * 24 * HOUR, until=t, calls=1500)


def contents(world):
    return [
        (call, session, [(s.mid, s.peer_uid, s.ts.tolist(), np.nan_to_num(s.value, nan=-1).tolist()) for s in world.points(session)])
        for call in world.calls
        for session in call.sessions
    ]  # fmt: skip


def test_world_follows_from_its_seed_and_app(t):
    def make(**more):
        return World.generate(**{"seed": 5, "since": t - HOUR, "until": t, "calls": 12} | more)

    assert contents(make()) == contents(make())
    first = {call.call_id for call in make().calls}
    assert not first & {call.call_id for call in make(seed=6).calls}
    assert not first & {call.call_id for call in make(app_id="a" * 32).calls}


def test_points_do_not_depend_on_the_window(t):
    world = World.generate(seed=5, since=t - HOUR, until=t, calls=12, null_share=0)
    checked = 0
    for call in world.calls:
        for session in call.sessions:
            whole = {(s.mid, s.peer_uid): list(zip(s.ts.tolist(), s.value.tolist(), strict=True)) for s in world.points(session)}  # fmt: skip
            pieces: dict = {key: [] for key in whole}
            for low in range(call.created_ts, call.destroyed_ts + 1, 97):
                for s in world.points(session, low, low + 96):
                    pieces[s.mid, s.peer_uid] += zip(s.ts.tolist(), s.value.tolist(), strict=True)
            assert pieces == whole
            checked += sum(map(len, whole.values()))
    assert checked > 1000


def test_times_are_consistent(world, t):
    assert [-call.created_ts for call in world.calls] == sorted(-call.created_ts for call in world.calls)
    for call in world.calls:
        assert t - 4 * 24 * HOUR <= call.created_ts < t
        assert call.created_ts < call.destroyed_ts
        users = [session for session in call.sessions if not session.server]
        assert min(session.join_ts for session in users) == call.created_ts
        assert max(session.leave_ts for session in users) == call.destroyed_ts
        for session in call.sessions:
            assert call.created_ts <= session.join_ts < session.leave_ts <= call.destroyed_ts
    for call in world.calls[:30]:
        for session in call.sessions:
            keys = set()
            for series in world.points(session):
                assert session.join_ts <= series.ts[0]
                assert series.ts[-1] <= session.leave_ts
                assert (np.diff(series.ts) > 0).all()
                keys.add((series.mid, series.peer_uid))
            assert len(keys) == len(world.points(session))


def test_world_has_all_difficult_cases(world, t):
    lengths = [call.destroyed_ts - call.created_ts for call in world.calls]
    sessions = [session for call in world.calls for session in call.sessions]
    assert any(6 * HOUR < length < 24 * HOUR for length in lengths)
    assert any(length > 24 * HOUR for length in lengths)
    assert np.median(lengths) < 15 * 60
    assert max(len(call.sessions) for call in world.calls) > 100
    ongoing = [call for call in world.calls if call.destroyed_ts > t]
    assert len(ongoing) == 30
    assert all(not call.finished(t) for call in ongoing)
    assert any(session.server for session in sessions)
    assert any(not session.uid_is_number for session in sessions)
    assert any(session.uid_is_number and int(session.uid) > 2**31 for session in sessions)
    assert {type(session.extra.get("roles")) for session in sessions} == {str, list, type(None)}
    assert {"account" in session.extra for session in sessions} == {True, False}
    assert all("isp" in session.extra for session in sessions if not session.server)
    assert any(len({s.uid for s in call.sessions}) < len(call.sessions) for call in world.calls)
    assert len({session.sid for session in sessions}) == len(sessions)


def test_points_are_irregular_sparse_and_sometimes_null(world):
    distances, nulls, points, mids, peers, fractional = set(), 0, 0, set(), set(), False
    for call in world.calls[:40]:
        for session in call.sessions:
            for series in world.points(session):
                mids.add(series.mid)
                peers.add(series.peer_uid == "0")
                nulls += int(np.isnan(series.value).sum())
                points += len(series.value)
                fractional |= bool((series.value % 1 == 0.25).any())
                if series.mid == 20022:
                    distances |= set(np.diff(series.ts).tolist())
    assert {2, 3, 4, 5, 6} <= distances
    assert max(distances) > 30  # a gap
    assert 0.005 < nulls / points < 0.02
    assert 20099 in mids
    assert len(mids) > 20
    assert peers == {True, False}
    assert fractional


def test_quality_depends_on_network_and_hour(world):
    """Worse networks have more loss and freezes, and evenings have more calls than nights."""
    loss: dict[str, list[float]] = {}
    freeze: dict[str, list[float]] = {}
    for call in world.calls[:250]:
        for session in call.sessions[:12]:
            for series in world.points(session, session.join_ts, session.join_ts + 300):
                if series.mid == 20015:
                    loss.setdefault(session.network, []).append(float(np.nanmean(np.append(series.value, 0))))
                if series.mid in {20005, 20011}:
                    freeze.setdefault(session.network, []).append(
                        float(np.nanmean(np.append(series.value, 0)))
                    )
    order = ["Ethernet", "Wi-Fi", "4G", "Mobile 3G"]
    for told_by in (loss, freeze):
        means = [np.mean(told_by[network]) for network in order]
        assert means == sorted(means)
        assert means[3] > 3 * means[0]
    hours = [call.created_ts // HOUR % 24 for call in world.calls]
    assert hours.count(20) > 3 * hours.count(3)


def test_simple_world_has_no_special_cases(t):
    world = World.generate(since=t - 24 * HOUR, until=t, calls=400, simple=True)
    sessions = [session for call in world.calls for session in call.sessions]
    sizes = {len(call.sessions) for call in world.calls}
    assert sizes == set(range(1, 21))
    assert all(call.destroyed_ts <= t and call.destroyed_ts - call.created_ts <= HOUR for call in world.calls)
    assert not any(session.server or session.extra for session in sessions)


def test_totals_depend_on_now(world, t):
    call = next(call for call in world.calls if call.finished(t) and len(call.sessions) > 1 and call.destroyed_ts - call.created_ts > 300)  # fmt: skip
    alone = World([call], app_id=world.app_id)
    users = [session for session in call.sessions if not session.server]
    assert alone.totals(call.created_ts - 1).calls == 0
    assert alone.totals(call.created_ts).calls == 1
    assert alone.totals(call.created_ts).sessions == sum(s.join_ts == call.created_ts for s in users)
    early, late, whole = (alone.totals(now) for now in (call.created_ts + 100, call.created_ts + 200, None))
    assert 0 < early.points < late.points < whole.points
    assert whole == alone.totals(call.destroyed_ts)
    assert alone.totals(server_users=True).sessions == len(call.sessions)


def test_totals_equal_the_sum_of_the_series(t):
    world = World.generate(seed=2, since=t - HOUR, until=t, calls=10)
    series = [s for call in world.calls for session in call.sessions if not session.server for s in world.points(session)]  # fmt: skip
    totals = world.totals()
    assert totals.points == sum(len(s.ts) for s in series)
    assert totals.value_sum == sum(float(np.nansum(s.value)) for s in series)
    assert totals.ts_sum == sum(int(s.ts.sum()) for s in series)


def test_ten_million_points_fit_in_400_requests(t):
    world = World.generate(
        since=t - 12 * HOUR, until=t, calls=190, simple=True, session_range=(20, 20), minutes=15, sigma=0.01, full_stay=True
    )  # fmt: skip
    sample = [
        sum(len(s.ts) for session in call.sessions for s in world.points(session))
        for call in world.calls[:10]
    ]
    assert 2 + 2 * len(world.calls) <= 400
    assert np.mean(sample) * len(world.calls) > 10_000_000


def test_unknown_setting_is_an_error(t):
    with pytest.raises(TypeError, match="sessions_per_call"):
        World.generate(since=t - HOUR, until=t, calls=1, sessions_per_call=3)
    assert WorldConfig() != SIMPLE
