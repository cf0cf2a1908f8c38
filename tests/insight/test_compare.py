"""`compare` on stores: planted differences, values by hand, the mix of users, own groups, and what is refused."""

import pickle
import re
import time

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from attrs import evolve

from agora_analytics.errors import InvalidRequest
from agora_analytics.insight import Comparison, call_sums, compare, score
from agora_analytics.store import open_store

from .stored_calls import AFTER, APP, BEFORE, FREEZE, PERIODS, ROUND_TRIP, StoredCall, User, store_calls

AUDIO_LOSS = 20016
VERSIONS = ("4.4.0", "4.5.0", "4.6.0")
WORSE = "4.6.0"


def planted_calls(*, calls=60, seed=2):
    """Yield calls of both periods: freezes of one SDK version become three times as frequent, those of others do not."""
    rng = np.random.default_rng(seed)
    for period, start in enumerate((BEFORE, AFTER)):
        for number in range(calls):
            users = []
            for _ in range(int(rng.integers(2, 5))):
                version = VERSIONS[rng.integers(3)]
                chance = 0.15 * (3 if period and version == WORSE else 1)
                frozen = rng.random(12) < chance
                users.append(
                    User(
                        uid=f"{rng.integers(100)}",
                        sdk_version=version,
                        network=("WiFi", "4G")[rng.integers(2)],
                        values={
                            FREEZE: [float(value) for value in frozen * rng.uniform(200, 2000, 12)],
                            ROUND_TRIP: [float(value) for value in rng.normal(80, 10, 12)],
                        },
                    )
                )
            begin = start + int(rng.integers(7 * 86_400 - 600))
            yield StoredCall(call_id=f"{period}-{number}", start=begin, users=users)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    store = open_store(tmp_path_factory.mktemp("planted") / "store", create=True, durable=False)
    store_calls(store, planted_calls())
    return store


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store", create=True, durable=False)


def test_planted_difference_of_one_sdk_version_is_found(planted):
    result = compare(planted, "video_freeze_rate", by="sdk_version", **PERIODS)
    verdicts = {group.group: group.verdict for group in result.groups}
    assert verdicts == {"4.4.0": "none", "4.5.0": "none", "4.6.0": "worse"}
    worse = next(group for group in result.groups if group.group == WORSE)
    # 15 % and 45 % of the samples freeze for 1.1 s of 4 s on average.
    assert worse.before == pytest.approx(0.15 * 1.1 / 4, rel=0.25)
    assert worse.after == pytest.approx(0.45 * 1.1 / 4, rel=0.25)
    assert 0 < worse.low < worse.difference < worse.high
    assert (result.total.calls_before, result.total.calls_after) == (60, 60)
    assert result.total.verdict == "worse"
    assert result.mix == ()


def test_other_metric_of_the_same_calls_has_no_difference(planted):
    result = compare(planted, "round_trip_time", by="sdk_version", **PERIODS)
    assert {group.verdict for group in (*result.groups, result.total)} == {"none"}
    assert result.unit == "ms"
    assert result.total.before == pytest.approx(80, abs=1)


def test_same_store_gives_the_same_result(planted):
    first = compare(planted, "video_freeze_rate", by="network", **PERIODS)
    assert compare(planted, "video_freeze_rate", by="network", **PERIODS) == first
    assert compare(planted, "video_freeze_rate", by="network", seed=2, **PERIODS) != first


@pytest.mark.parametrize("most", [100, 400])
def test_samples_are_added_up_in_parts(planted, monkeypatch, most):
    """Large stores are read day by day, and large days in parts of their calls."""
    days = {"before": "2026-11-01..2026-11-02", "after": "2026-11-08..2026-11-09"}
    whole = compare(planted, "video_freeze_rate", by="sdk_version", **days)
    monkeypatch.setattr(call_sums, "_MOST_SAMPLES", most)
    parts = compare(planted, "video_freeze_rate", by="sdk_version", **days)
    for one, other in zip((*parts.groups, parts.total), (*whole.groups, whole.total), strict=True):
        assert one.to_dict() == pytest.approx(other.to_dict())
    assert whole.total.calls_before > 4


def test_values_are_those_of_the_definition(store):
    """Two calls, by hand. Each sample covers 4 s, also one without a value, which is not measured."""
    users = [
        User(uid="a", values={FREEZE: [0, 1000, None, 3000], ROUND_TRIP: [100, 200, 300, 400]}),
        User(uid="b", values={FREEZE: [500, 0], ROUND_TRIP: [50]}),
    ]
    store_calls(store, [StoredCall(call_id="1", start=BEFORE, users=users)])
    store_calls(store, [StoredCall(call_id="2", start=AFTER, users=users[1:])])
    freezes = compare(store, "video_freeze_rate", **PERIODS).total
    assert (freezes.before, freezes.after) == pytest.approx((4.5 / 20, 0.5 / 8))
    assert (freezes.users_before, freezes.users_after) == (2, 1)
    delay = compare(store, "round_trip_time", **PERIODS).total
    assert (delay.before, delay.after) == pytest.approx(((100 + 200 + 300 + 400 + 50) / 5, 50))
    above = compare(store, "round_trip_time", above=200, **PERIODS)
    assert (above.total.before, above.total.after, above.unit) == (pytest.approx(2 / 5), 0, "ratio")
    below = compare(store, "round_trip_time", below=200, **PERIODS).total
    assert (below.before, below.after) == (pytest.approx(2 / 5), 1)
    assert freezes.verdict == "unknown"
    assert freezes.reason == "fewer than 20 calls before"


def test_freeze_is_never_longer_than_its_sample(store):
    for call_id, start in (("1", BEFORE), ("2", AFTER)):
        user = User(uid="a", values={FREEZE: [90_000, 0]})
        store_calls(store, [StoredCall(call_id=call_id, start=start, users=[user])])
    assert compare(store, "video_freeze_rate", **PERIODS).total.before == 0.5


def test_call_belongs_to_the_period_in_which_it_began(store):
    user = User(uid="a", values={ROUND_TRIP: [10.0] * 30})
    starts = (BEFORE - 1, BEFORE, AFTER - 1, AFTER, AFTER + 7 * 86_400 - 1, AFTER + 7 * 86_400)
    store_calls(store, [StoredCall(call_id=str(start), start=start, users=[user]) for start in starts])
    total = compare(store, "round_trip_time", **PERIODS).total
    assert (total.calls_before, total.calls_after) == (2, 2)
    hours = compare(store, "round_trip_time", before=(BEFORE, AFTER), after=(AFTER, AFTER + 3600)).total
    assert (hours.calls_before, hours.calls_after) == (2, 1)


def test_periods_that_end_now_meet(store):
    user = User(uid="a", values={ROUND_TRIP: [10.0] * 3})
    now = int(time.time())
    store_calls(
        store,
        [StoredCall(call_id=str(ago), start=now - ago * 86_400 - 60, users=[user]) for ago in range(14)],
    )
    result = compare(store, "round_trip_time", before="14d..7d", after="7d..now")
    assert result.after.start == result.before.end + 1
    assert (result.total.calls_before, result.total.calls_after) == (7, 7)


def test_files_of_other_days_are_not_read(planted, tmp_path):
    """A damaged file of another day does not matter."""
    store = open_store(tmp_path / "copy", create=True, durable=False)
    store_calls(store, planted_calls(calls=10))
    later = StoredCall(
        call_id="z", start=AFTER + 20 * 86_400, users=[User(uid="a", values={ROUND_TRIP: [1.0]})]
    )
    store_calls(store, [later])
    for table in ("calls", "sessions", "metrics"):
        (file,) = (path for path in store.files(table) if path.name.startswith("z"))
        file.write_bytes(b"damaged")
    assert compare(store, "round_trip_time", **PERIODS).total.calls_before == 10


def shifted_calls(*, calls=80, seed=1):
    """Yield calls whose users move from WiFi to 4G, which has three times the delay. No network gets slower."""
    rng = np.random.default_rng(seed)
    for period, start in enumerate((BEFORE, AFTER)):
        for number in range(calls):
            users = []
            for place in range(3):
                mobile = rng.random() < (0.6 if period else 0.2)
                delays = rng.normal(150 if mobile else 50, 10, 10)
                users.append(
                    User(
                        uid=f"{number}-{place}",
                        network="4G" if mobile else "WiFi",
                        values={ROUND_TRIP: [float(value) for value in delays]},
                    )
                )
            yield StoredCall(call_id=f"{period}-{number}", start=start + 60 * number, users=users)


def lossy_calls(*, calls=40, seed=5):
    """Yield calls of both periods: one SDK version loses more packets in the second."""
    rng = np.random.default_rng(seed)
    for period, start in enumerate((BEFORE, AFTER)):
        for number in range(calls):
            users = [
                User(
                    uid=f"{number}-{version}",
                    sdk_version=version,
                    values={
                        AUDIO_LOSS: [
                            float(value)
                            for value in rng.gamma(2, 2 + 4 * (period and version == WORSE), 12).round(2)
                        ],
                        ROUND_TRIP: [60.0] * 12,
                    },
                )
                for version in VERSIONS
            ]
            yield StoredCall(call_id=f"{period}-{number}", start=start + 3600 * number, users=users)


def test_scores_are_compared_as_means_and_as_shares_below_a_limit(store):
    store_calls(store, lossy_calls())
    mean = compare(store, "audio_score", by="sdk_version", **PERIODS)
    assert [group.group for group in mean.groups if group.verdict == "worse"] == [WORSE]
    assert all(1 <= group.before <= 4.5 for group in mean.groups)
    total = score(store, by="channel", media="audio").to_pylist()
    seconds = sum(row["seconds"] for row in total)
    assert (
        mean.total.before > sum(row["score"] * row["seconds"] for row in total) / seconds > mean.total.after
    )
    share = compare(store, "audio_score", below=3.5, by="sdk_version", **PERIODS)
    assert (share.metric, share.unit) == ("audio_score_below_3.5", "ratio")
    assert [group.group for group in share.groups if group.verdict == "worse"] == [WORSE]


def test_changed_mix_of_networks_is_named_and_explains_the_difference(store):
    store_calls(store, shifted_calls())
    result = compare(store, "round_trip_time", by="network", **PERIODS)
    assert result.total.verdict == "worse"
    assert {group.verdict for group in result.groups} == {"none"}
    (change,) = result.mix
    assert (change.group, change.column) == ("total", "network")
    assert {share.value: round(share.after - share.before, 1) for share in change.shares} == {
        "4G": 0.4,
        "WiFi": -0.4,
    }
    assert change.low < 0 < change.high
    assert abs(change.difference) < 5 < result.total.low
    assert "the mix by network changed (total)" in str(result)


def test_mix_of_a_group_with_a_difference_is_checked(store):
    store_calls(store, shifted_calls())
    result = compare(store, "round_trip_time", by="platform", **PERIODS)
    assert [(change.group, change.column) for change in result.mix] == [
        ("total", "network"),
        ("iOS", "network"),
    ]


def test_value_of_one_period_only_has_no_adjusted_difference(store):
    for call in planted_calls():
        users = call.users
        if call.start >= AFTER:
            users = [evolve(user, sdk_version="5.0.0") for user in users]
        store_calls(store, [evolve(call, users=users)])
    result = compare(store, "video_freeze_rate", by="sdk_version", **PERIODS)
    (change,) = result.mix
    assert change.difference is None
    assert change.reason == "100 % of the time has values that only one period has"
    reasons = {group.group: group.reason for group in result.groups}
    assert reasons == {"5.0.0": "no data before", **dict.fromkeys(VERSIONS, "no data after")}


def test_missing_values_are_a_group_of_their_own(store):
    user = User(uid="a", values={ROUND_TRIP: [10.0, 20.0]}, network=None)
    empty = User(uid="b", values={ROUND_TRIP: [10.0, 20.0]}, network="")
    for call_id, start in (("1", BEFORE), ("2", AFTER)):
        store_calls(store, [StoredCall(call_id=call_id, start=start, users=[user, empty])])
    (group,) = compare(store, "round_trip_time", by="network", **PERIODS).groups
    assert (group.group, group.users_before) == ("(none)", 2)


@pytest.fixture(params=["mapping", "csv", "parquet", "arrow", "pandas"])
def cohorts(request, tmp_path):
    """Groups of users in every form: even and odd user ids below 90."""
    mapping = {str(uid): ("even", "odd")[uid % 2] for uid in range(90)}
    table = pa.table({"user_id": list(mapping), "group": list(mapping.values())})
    match request.param:
        case "csv":
            pyarrow.csv.write_csv(table, tmp_path / "cohorts.csv")
            return str(tmp_path / "cohorts.csv")
        case "parquet":
            pq.write_table(table, tmp_path / "cohorts.parquet")
            return tmp_path / "cohorts.parquet"
        case "pandas":
            pytest.importorskip("pandas")
            return table.to_pandas()
        case "arrow":
            return table
    return mapping


def test_own_groups_of_users(planted, cohorts):
    result = compare(planted, "round_trip_time", by="user_id", groups=cohorts, **PERIODS)
    assert {group.group for group in result.groups} == {"even", "odd", "(none)"}
    users = sum(group.users_before for group in result.groups)
    assert users == result.total.users_before


def test_own_groups_of_calls_and_of_columns(planted):
    calls = {f"{period}-{number}": "first" for period in (0, 1) for number in range(30)}
    by_call = compare(planted, "round_trip_time", by="call_id", groups=calls, **PERIODS)
    assert {group.group: group.calls_before for group in by_call.groups} == {"first": 30, "(none)": 30}
    versions = {"4.4.0": "old", "4.5.0": "old", "4.6.0": "new"}
    by_age = compare(planted, "video_freeze_rate", by="sdk_version", groups=versions, **PERIODS)
    assert {group.group: group.verdict for group in by_age.groups} == {"old": "none", "new": "worse"}


def test_user_ids_in_a_file_stay_text(store, tmp_path):
    for call_id, start in (("1", BEFORE), ("2", AFTER)):
        users = [User(uid=uid, values={ROUND_TRIP: [10.0, 20.0]}) for uid in ("007", "7")]
        store_calls(store, [StoredCall(call_id=call_id, start=start, users=users)])
    (tmp_path / "agents.csv").write_text("user_id,group\n007,agents\n", encoding="utf-8")
    result = compare(store, "round_trip_time", by="user_id", groups=tmp_path / "agents.csv", **PERIODS)
    assert {group.group: group.users_before for group in result.groups} == {"agents": 1, "(none)": 1}


def test_only_the_largest_groups_are_compared(store):
    user = User(uid="a", values={ROUND_TRIP: [10.0, 20.0]})
    for number in range(12):
        for period, start in enumerate((BEFORE, AFTER)):
            channel = "large" if number < 6 else f"small-{number}"
            store_calls(
                store,
                [StoredCall(call_id=f"{period}-{number}", start=start, users=[user], channel=channel)],
            )
    result = compare(store, "round_trip_time", by="channel", most_groups=2, **PERIODS)
    assert [(group.group, group.calls_after) for group in result.groups] == [("large", 6), ("small-10", 1)]
    assert result.left_out == 5
    assert result.total.calls_after == 12


def points(calls, *, start, vendor="opentok", metric="video_packet_loss_received", base=0.02):
    """Return OpenTok's values of some calls: two streams of three values, 30 s apart."""
    rows = [
        (call, stream, start + 600 * number + 30 * sample, base + 0.001 * number)
        for number, call in enumerate(calls)
        for stream in range(2)
        for sample in range(3)
    ]
    names, streams, times, values = zip(*rows, strict=True)
    return pa.table(
        {
            "vendor": [vendor] * len(rows),
            "channel": ["1_MX4"] * len(rows),
            "call_id": list(names),
            "session_id": [f"{call}-{stream}" for call, stream in zip(names, streams, strict=True)],
            "user_id": [f"connection-{stream}" for stream in streams],
            "metric": [metric] * len(rows),
            "unit": ["ratio"] * len(rows),
            "ts": pa.array([1000 * ts for ts in times], pa.timestamp("ms", "UTC")),
            "value": list(values),
            "source_metric": ["subscriber.videoPacketLoss"] * len(rows),
        }
    )


def store_opentok(store, base_after=0.05):
    for name, start, base in (("b", BEFORE, 0.02), ("a", AFTER, base_after)):
        rows = points([f"{name}{number}" for number in range(25)], start=start, base=base)
        store.writer.put(
            "points",
            name,
            rows,
            app_id="46",
            day="2026-11-01" if name == "b" else "2026-11-08",
            pending=False,
        )


def test_opentok_is_compared_as_far_as_its_data_goes(store):
    store_opentok(store)
    result = compare(store, "video_packet_loss_received", by="channel", **PERIODS)
    (group,) = result.groups
    assert (group.group, group.verdict, group.calls_before, group.users_before) == ("1_MX4", "worse", 25, 2)
    assert result.mix_checked == ()
    assert "The mix of users was not checked" in str(result)
    with pytest.raises(InvalidRequest, match="opentok sends no network; compare by channel"):
        compare(store, "video_packet_loss_received", by="network", **PERIODS)


def test_two_vendors_are_not_added_up(store):
    store_opentok(store)
    loss = User(uid="a", values={20018: [5.0, 5.0]})
    store_calls(
        store,
        [StoredCall(call_id=str(start), start=start, users=[loss]) for start in (BEFORE, AFTER)],
    )
    with pytest.raises(InvalidRequest, match="agora and opentok have video_packet_loss_received"):
        compare(store, "video_packet_loss_received", **PERIODS)
    agora = compare(store, "video_packet_loss_received", vendor="agora", **PERIODS)
    assert agora.total.before == pytest.approx(0.05)
    assert compare(store, "video_packet_loss_received", vendor="opentok", **PERIODS).total.calls_after == 25
    assert compare(store, "video_packet_loss_received", app_id=APP, **PERIODS) == agora


def test_values_without_a_call_are_refused(store):
    """ApsaraVideo has totals of all users only, so there are no calls to resample."""
    for name, start, day in (("b", BEFORE, "2026-11-01"), ("a", AFTER, "2026-11-08")):
        rows = points([name], start=start, vendor="apsaravideo", metric="video_freeze_rate")
        rows = rows.set_column(
            rows.column_names.index("call_id"), "call_id", pa.nulls(len(rows), pa.string())
        )
        store.writer.put("points", name, rows, app_id="46", day=day, pending=False)
    with pytest.raises(InvalidRequest, match="the store has no metrics of calls that began"):
        compare(store, "video_freeze_rate", **PERIODS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "video_freze_rate"}, "did you mean 'video_freeze_rate'"),
        ({"metric": "audio_latency_sent"}, "they have round_trip_time, video_freeze_time"),
        ({"metric": "x'; drop table calls"}, "no call of the two periods has"),
        ({"by": "sdk-version"}, "cannot compare by 'sdk-version'; did you mean 'sdk_version'"),
        ({"by": "region"}, "no vendor sends the region of a user"),
        ({"by": "xyz"}, "use one of sdk_version, network"),
        ({"by": "user_id"}, "too many values to compare each; pass groups"),
        ({"groups": {"1": "x"}}, "groups needs by"),
        ({"by": "user_id", "groups": 7}, "groups is a int; pass a mapping"),
        ({"by": "user_id", "groups": "no.csv"}, "cannot read groups from no.csv"),
        ({"by": "user_id", "groups": "no.xlsx"}, "use a file that ends with .csv or .parquet"),
        ({"by": "user_id", "groups": pa.table({"uid": ["1"]})}, "have no column 'user_id' but uid"),
        (
            {"by": "user_id", "groups": pa.table({"user_id": ["1", "1"], "group": ["a", "b"]})},
            "two groups for user_id '1'",
        ),
        ({"before": "2026-11-01"}, "before='2026-11-01' is not a period; give two times"),
        ({"before": "2026-11-01.."}, "is not a period"),
        ({"before": "2026-11-07..2026-11-01"}, "give the earlier time first"),
        ({"before": "2026-11-01..2026-11-01"}, "the range is empty"),
        ({"before": "2026-11-01..2026-11-09"}, "the periods overlap"),
        ({"before": "2026-11-20..2026-11-22"}, "before is later than after; exchange the two"),
        ({"before": "2026-10-01..2026-10-02"}, "no call that began before .* has 'video_freeze_time'"),
        ({"above": 1.0}, "a share of time already; set a limit for a sampled metric"),
        ({"metric": "round_trip_time", "above": 1.0, "below": 2.0}, "cannot be combined"),
        ({"metric": "round_trip_time", "above": float("nan")}, "the limit nan is not a number"),
        ({"most_groups": 0}, "not between 1 and 500"),
        ({"seed": -1}, "seed=-1 is negative"),
        ({"vendor": "zoom"}, "there is no vendor 'zoom'; use one of agora, apsaravideo, opentok"),
    ],
)
def test_wrong_arguments_are_refused_with_advice(planted, options, message):
    arguments = {"metric": "video_freeze_rate", **PERIODS, **options}
    with pytest.raises(InvalidRequest, match=message):
        compare(planted, arguments.pop("metric"), **arguments)


def test_small_differences_have_enough_decimals(store):
    rng = np.random.default_rng(1)
    for number in range(25):
        for period, start in enumerate((BEFORE, AFTER)):
            freezes = [float(value) for value in rng.uniform(0, 4, 5)]
            call = StoredCall(
                call_id=f"{period}-{number}", start=start, users=[User(uid="a", values={FREEZE: freezes})]
            )
            store_calls(store, [call])
    row = repr(compare(store, "video_freeze_rate", **PERIODS)).splitlines()[1]
    assert re.search(r" 0\.0[345]\d+ .* -0\.0\d\d+ to \+0\.0\d\d+ ", row)


def test_result_prints_as_a_table_and_becomes_json_and_frames(planted):
    result = compare(planted, "video_freeze_rate", by="sdk_version", **PERIODS)
    lines = repr(result).splitlines()
    columns = "sdk_version before % after % change pp 95 % interval verdict calls users"
    assert " ".join(lines[0].split()) == columns
    assert {line.split()[0] for line in lines[1:5]} == {*VERSIONS, "total"}
    assert "Verdicts are corrected for 3 groups (Holm, 5 % together); intervals are 95 % each." in lines
    assert result.groups.to_arrow().num_rows == 3
    assert result.to_dict()["total"]["verdict"] == "worse"
    assert pickle.loads(pickle.dumps(result)) == result
    assert isinstance(result, Comparison)
