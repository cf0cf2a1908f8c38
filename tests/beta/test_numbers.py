"""Usage by the day, live metrics by the minute, and the diagnosis."""

import json

import pytest

from agora_analytics import errors
from agora_analytics.agora.beta import (
    EXPERIENCES,
    FACTORS,
    BetaExperienceMetric,
    BetaNetMetric,
    BetaScaleMetric,
    BetaUsageMetric,
)
from agora_analytics.engine.events import PartialResponse
from tests.beta.harness import CUSTOMER, SINCE, UNTIL, make_harness, make_world, scripted
from tests.conftest import response


def body(data, **more):
    return json.dumps({"code": 200, "message": "success", "data": data, **more}).encode()


def test_usage_by_the_day():
    world = make_world(40)
    harness = make_harness(world=world)
    rows = harness.run(lambda c: c.usage(SINCE - 86_400, UNTIL))
    days = {(row.ts, row.metric): row.value for row in rows}
    assert days[SINCE, "channelCount"] == 40
    assert days[SINCE - 86_400, "channelCount"] == 0
    assert days[SINCE, "sessionCount"] >= days[SINCE, "userCount"] > 40
    assert len(days) == len(rows) == 6
    assert harness.requests["beta/insight/usage/by_time"] == 1
    assert rows[0].at.isoformat() == "2026-11-17T00:00:00+00:00"


def test_usage_stays_within_one_request_a_minute_and_ten_a_day():
    harness = make_harness()

    async def job(client):
        for _ in range(10):
            await client.usage(SINCE, UNTIL, metrics="userCount")
        with pytest.raises(errors.QuotaExhausted):
            await client.usage(SINCE, UNTIL)
        return next(q for q in await client.quota() if q.endpoint == "beta/insight/usage/by_time")

    assert harness.run(job).left == 0
    assert harness.simulator.seen.worst_window("beta/insight/usage/by_time", 60) == 1
    assert not harness.refusals


def test_less_than_a_day_is_refused_before_a_request():
    with pytest.raises(errors.InvalidRequest, match="a day"):
        scripted().run(lambda c: c.usage(SINCE, UNTIL - 1))
    harness = scripted(body([]))
    assert list(harness.run(lambda c: c.usage(SINCE, UNTIL - 1), validate=False)) == []
    assert dict(harness.transport.requests[0].query) == {
        "start_ts": str(SINCE),
        "end_ts": str(UNTIL - 1),
        "appid": "app",
        "metric": "userCount,sessionCount,channelCount",
    }


def test_one_whole_day_has_its_row_and_ends_where_the_next_begins():
    harness = make_harness()
    (row,) = harness.run(lambda c: c.usage(SINCE, UNTIL, metrics="userCount"))
    assert row.ts == SINCE
    harness = scripted(
        body([{"ts": SINCE, "userCount": 1}, {"ts": UNTIL, "userCount": 2}]), now=UNTIL + 9 * 3600
    )
    (row,) = harness.run(lambda c: c.usage(SINCE, UNTIL, metrics="userCount"))
    assert (row.ts, dict(harness.transport.requests[0].query)["end_ts"]) == (SINCE, str(UNTIL))


@pytest.mark.parametrize("hour", [7, 9, 12, 23])
def test_error_for_less_than_an_available_day_names_the_last_whole_day(hour):
    harness = make_harness(now=UNTIL + hour * 3600)
    with pytest.raises(errors.InvalidRequest, match="the last whole day is") as caught:
        harness.run(lambda c: c.usage("1d"))
    last = SINCE if hour >= 8 else SINCE - 86_400
    assert f"(since={last}, until={last + 86_400})" in str(caught.value)
    assert not harness.requests
    assert harness.run(lambda c: c.usage(last, last + 86_400))


def test_the_live_numbers():
    world = make_world(400)
    at = SINCE + 12 * 3600
    harness = make_harness(world=world, now=at)

    async def job(client):
        return (
            await client.live_scale(at - 600, at - 300),
            await client.live_experience(at - 600, at - 300),
            await client.live_net("50m", metrics=[BetaNetMetric.VIDEO_UPSTREAM]),
        )

    scale, experience, net = harness.run(job)
    assert [row.ts for row in scale if row.metric == "pcc"] == [at - 600 + 60 * i for i in range(5)]
    wanted = sum(call.created_ts < at - 540 and call.destroyed_ts >= at - 600 for call in world.calls)
    assert [row.value for row in scale if (row.metric, row.ts) == ("pcc", at - 600)] == [wanted]
    joined = [row.value for row in experience if row.metric == BetaExperienceMetric.JOIN_SUCCESS_RATE]
    assert all(85 <= value <= 100 for value in joined)  # percent, as it was sent
    assert {row.metric for row in experience} == set(BetaExperienceMetric)
    assert {row.metric for row in net} == {"videoUpstreamExcellentTransRate"}
    assert list(net) == sorted(net, key=lambda row: row.ts)
    assert 45 <= len(net) <= 48
    assert not harness.refusals


def test_live_numbers_as_arrow_table():
    pytest.importorskip("pyarrow")
    rows = scripted(body([{"ts": 60, "pcu": 1, "pcc": 2}])).run(lambda c: c.live_scale())
    assert rows.to_arrow().num_rows == len(rows) == 2


def test_row_without_a_requested_metric_is_skipped():
    harness = scripted(body([{"ts": SINCE, "users": 1}, {"ts": SINCE, "userCount": 1}]), now=UNTIL + 9 * 3600)
    rows = harness.run(lambda c: c.usage(SINCE, UNTIL, metrics="userCount"))
    assert len(rows) == 1
    assert [(one.path, one.reason) for one in rows.skipped] == [("$.data[0]", "userCount is missing")]


def test_golden_rows_with_missing_and_unknown_fields():
    data = [{"pcc": 42, "pcu": 102, "ts": 1548665578}, {"pcu": None, "ts": 1548665518, "new": [1]}]
    rows = scripted(body(data, requestId="r1")).run(lambda c: c.live_scale())
    assert [(row.ts, row.metric, row.value, row.extra) for row in rows] == [
        (1548665518, "pcu", None, {"new": [1]}),
        (1548665578, "pcu", 102, {}),
        (1548665578, "pcc", 42, {}),
    ]
    assert rows.meta[0].request_id == "r1"
    assert list(scripted(body(None)).run(lambda c: c.live_net())) == []


@pytest.mark.parametrize("data", [{}, "x", 7])
def test_data_of_another_shape_is_a_decode_error(data):
    with pytest.raises(errors.DecodeError, match=r"expected a list, .*\$\.data") as caught:
        scripted(body(data)).run(lambda c: c.live_scale())
    assert caught.value.endpoint == "beta/live/scale/by_time"


@pytest.mark.parametrize("row", [1, None, {"pcu": 1, "pcc": 2}, {"ts": 1548665578000, "pcu": 1, "pcc": 2}])
def test_row_that_cannot_be_read_is_skipped_and_named_once(row):
    rows = scripted(body([row, {"ts": "1548665578", "pcu": "x", "pcc": "7"}])).run(lambda c: c.live_scale())
    assert [(point.ts, point.metric, point.value, point.extra) for point in rows] == [
        (1548665578, "pcu", None, {"pcu": "x"}),
        (1548665578, "pcc", 7, {}),
    ]
    assert [each.path for each in rows.skipped] == ["$.data[0]"]


def test_metrics_are_checked():
    async def job(client):
        with pytest.raises(
            errors.InvalidRequest,
            match="pcu is a metric of another endpoint; pass some of userCount, sessionCount",
        ):
            await client.usage(SINCE, UNTIL, metrics="pcu")
        with pytest.raises(errors.InvalidRequest, match="no metric 'userCont'; did you mean 'userCount'"):
            await client.usage(SINCE, UNTIL, metrics=["channelCount", "userCont"])
        with pytest.raises(errors.InvalidRequest, match="no metric is given"):
            await client.live_scale(metrics=[])
        return await client.live_scale(metrics=["pcu", "brandNew"])

    rows = scripted(body([{"ts": 1, "pcu": 1, "brandNew": 2}])).run(job)
    assert {row.metric: row.value for row in rows} == {"pcu": 1, "brandNew": 2}
    with pytest.raises(errors.BadRequest, match="metric brandNew"):
        make_harness().run(lambda c: c.live_scale(metrics="brandNew"))


def test_the_live_range_is_an_hour():
    harness = make_harness()
    with pytest.raises(errors.WindowOutOfReach, match="1 h"):
        harness.run(lambda c: c.live_scale("3h", "2h"))
    assert harness.run(lambda c: c.live_scale("3h"))  # cut to what is there
    with pytest.raises(errors.WindowRefused):
        harness.run(lambda c: c.live_net("3h", "2h"), validate=False)


@pytest.mark.parametrize("most", [0, 2, 8])
def test_every_diagnosis_once(most):
    harness = make_harness(max_diagnoses=most)
    now = harness.clock.now()
    found = harness.run(lambda c: c.live_diagnosis(now - 3000, now - 600).collect())
    truth = harness.simulator.diagnoses(int(now) - 3000, int(now) - 601)
    assert sorted((d.ts, d.user) for d in found) == sorted((one["ts"], one["user"]) for one in truth)
    assert not harness.refusals


@pytest.mark.parametrize("messages", [9, 10])
def test_minute_with_a_full_response_is_returned(messages):
    """Ten messages are the most that a response has, so exactly ten may be all of them."""
    minute = int(UNTIL) - 1800

    def respond(request):
        start, end = (int(dict(request.query)[name]) for name in ("start_ts", "end_ts"))
        rows = [
            {"user": str(i), "exp_id": 4, "cname": "r", "cause_tags": [], "ts": minute}
            for i in range(messages)
            if start <= minute <= end
        ]
        return response({"code": 200, "message": "", "data": rows})

    harness = scripted(*[respond] * 40, now=UNTIL)
    found = harness.run(lambda c: c.live_diagnosis("50m", "5m").collect())
    assert sorted(int(d.user) for d in found) == list(range(messages))
    reported = harness.events_of(PartialResponse)
    assert [event.endpoint for event in reported] == ["beta/live/diagnosis"] * (messages // 10)
    assert all("has 10 records, the most that the server returns" in event.message for event in reported)


def test_busy_minutes_are_returned_as_far_as_the_server_lists_them():
    harness = make_harness(max_diagnoses=40)
    found = harness.run(lambda c: c.live_diagnosis().collect())
    assert len(found) >= 10 * len(harness.events_of(PartialResponse)) > 0


def test_a_golden_diagnosis():
    pytest.importorskip("pyarrow")
    data = [
        {
            "user": "83817682",
            "exp_id": 4,
            "cname": "C148474015",
            "cause_tags": [
                {"factor_id": 18, "host_user": "44361248"},
                {"factor_id": 23, "host_user": "", "new": 1},
            ],
            "ts": 1548668575,
        },
        {"user": 7, "exp_id": "99", "ts": 1548668570, "severity": 3},
    ]

    async def job(client):
        listing = client.live_diagnosis()
        return await listing.collect(), await listing.to_arrow()

    (freeze, unknown), table = scripted(body(data), body(data)).run(job)
    assert (freeze.user, freeze.experience, freeze.cname) == ("83817682", "Video freeze", "C148474015")
    assert [(c.factor_id, c.factor, c.host_user) for c in freeze.cause_tags] == [
        (18, None, "44361248"),
        (23, "Downstream packet loss in video transmission", ""),
    ]
    assert freeze.cause_tags[1].extra == {"new": 1}
    assert (unknown.user, unknown.exp_id, unknown.experience, unknown.cause_tags) == ("7", 99, None, ())
    assert unknown.extra == {"severity": 3}
    assert table.num_rows == 3
    assert table["factor"].to_pylist()[1].startswith("Downstream")


@pytest.mark.parametrize(
    ("row", "path"),
    [
        (None, "$.data[0]"),
        ({"exp_id": 4, "ts": 1}, "$.data[0]"),
        ({"user": "a", "exp_id": "x", "ts": 1}, "$.data[0]"),
        ({"user": "a", "exp_id": 4, "ts": 1, "cause_tags": {}}, "$.data[0].cause_tags"),
        ({"user": "a", "exp_id": 4, "ts": 1, "cause_tags": [{}]}, "$.data[0].cause_tags[0]"),
    ],
)
def test_part_of_a_diagnosis_that_cannot_be_read_is_skipped_and_named(row, path):
    async def job(client):
        return [page async for page in client.live_diagnosis().pages()]

    (page,) = scripted(body([row, {"user": "b", "exp_id": 5, "ts": 2}])).run(job)
    assert [diagnosis.user for diagnosis in page.records] == ["a"] * ("cause_tags" in path) + ["b"]
    assert [each.path for each in page.skipped] == [path]


def test_enums_match_the_page():
    assert sorted(EXPERIENCES) == [4, 5, 6]
    assert sorted(FACTORS) == [*range(1, 4), *range(8, 18), *range(21, 26), *range(29, 48)]
    assert FACTORS[47] == "Downstream network jitter in audio transmission"
    assert set(BetaScaleMetric) == {"pcu", "pcc"}
    assert set(BetaUsageMetric) == {"userCount", "sessionCount", "channelCount"}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, errors.BadRequest),
        (401, errors.AuthenticationError),
        (403, errors.AccessDenied),
        (404, errors.NotFound),
        (500, errors.ServerError),
    ],
)
def test_every_documented_code(code, kind):
    answer = json.dumps({"code": code, "message": "said so"}).encode()
    with pytest.raises(kind, match="said so"):
        scripted(*[answer] * 6).run(lambda c: c.live_scale())


def test_only_the_right_customer():
    with pytest.raises(errors.AuthenticationError, match="Invalid authentication"):
        make_harness().run(lambda c: c.live_scale(), CUSTOMER[0], "wrong")
