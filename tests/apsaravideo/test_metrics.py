"""Metrics from the client to the simulator and back, held against what is true there."""

import json
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest

from agora_analytics import BadRequest, DecodeError, InvalidRequest, WindowOutOfReach
from agora_analytics.apsaravideo import Metric, MetricPage, Os, TerminalType
from agora_analytics.engine.events import RangeClipped
from agora_analytics.simulator.apsaravideo import Terminals, summary
from tests.apsaravideo.harness import APP_ID, DAY, ENDPOINT, NOW, OTHER_APP_ID, WORLD, make_harness, scripted
from tests.conftest import response

MIDNIGHT = NOW - DAY / 2
COST = Metric.FIRST_FRAME_COST


def true_points(metric, begin, end, **terminals):
    """Return what is true in `begin <= t < end`, in seconds."""
    asked = Terminals(**({"app_id": APP_ID} | terminals))
    return WORLD.points(metric, asked, int(begin * 1000), int(end * 1000) - 1)


def truth(metric, begin, end, **terminals):
    return [(p.ms // 1000, float(p.value)) for p in true_points(metric, begin, end, **terminals)]


async def pages_of(listing):
    return [page async for page in listing.pages()]


@pytest.mark.parametrize("metric", list(Metric))
def test_whole_day_is_listed(metric):
    harness = make_harness()
    begin, end = MIDNIGHT - DAY, MIDNIGHT
    (page,) = harness.run(
        lambda client: pages_of(client.interaction_metrics(metric, begin, end)), keep_raw=True
    )
    assert [(p.ts, p.value) for p in page.records] == truth(metric, begin, end)
    assert 270 < len(page.records) < 288  # there are gaps
    assert (page.window.start, page.window.end) == (begin, end - 1)
    assert page.raw_summary == summary(true_points(metric, begin, end))
    assert page.summary == float(page.raw_summary)
    assert (page.metric, page.unreadable, page.resume_token) == (metric, 0, "")
    assert (page.meta.status, page.meta.attempts, harness.requests[ENDPOINT]) == (200, 1, 1)
    assert page.meta.request_id == json.loads(page.raw)["RequestId"]
    assert page.records[0].at == datetime.fromtimestamp(page.records[0].ts, timezone.utc)  # noqa: UP017


@pytest.mark.parametrize("rounds", [False, True])
@pytest.mark.parametrize("shift", [0, 1, 137])
def test_thirty_days_are_split_and_every_point_is_returned_once(rounds, shift):
    harness = make_harness(rounds=rounds)
    begin = NOW - 30 * DAY + 600 + shift
    pages = harness.run(lambda client: pages_of(client.interaction_metrics(COST, begin)))
    assert len(pages) == harness.requests[ENDPOINT] == 30
    assert all(page.window.length < DAY for page in pages)
    assert all(one.window.end + 1 == two.window.start for one, two in pairwise(pages))
    got = [(p.ts, p.value) for page in pages for p in page.records]
    wanted = truth(COST, begin, NOW - 300)
    if rounds and shift:
        # The server also returned the 5 minutes in which the range begins, and they are kept.
        wanted = truth(COST, begin - shift, NOW - 300)
    assert got[: len(wanted)] == wanted
    assert len({ts for ts, _ in got}) == len(got)
    assert harness.refusals == {}


def test_windows_are_fetched_concurrently_and_returned_in_order():
    harness = make_harness(latency=(1.0, 1.0))

    async def job(client):
        begin = harness.clock.now()
        pages = await pages_of(client.interaction_metrics(COST, "29d"))
        return harness.clock.now() - begin, [page.window.start for page in pages]

    seconds, starts = harness.run(job, prefetch=29)
    assert starts == sorted(starts)
    assert len(starts) == 29
    assert seconds < 3
    assert harness.run(job, prefetch=1)[0] > 29


@pytest.mark.parametrize(
    "terminals",
    [
        {"os": Os.IOS},
        {"os": "Android", "terminal_type": "mobile"},
        {"terminal_type": TerminalType.WEB},
        {"channel_id": WORLD.channel_ids[3]},
        {"app_id": OTHER_APP_ID},
    ],
)
def test_a_part_of_the_terminals(terminals):
    points = make_harness().run(
        lambda client: client.interaction_metrics(COST, "7h", "6h", **terminals).collect()
    )
    wanted = truth(COST, NOW - 7 * 3600, NOW - 6 * 3600, **terminals)
    assert [(p.ts, p.value) for p in points] == wanted
    assert wanted != truth(COST, NOW - 7 * 3600, NOW - 6 * 3600)


def test_a_channel_without_data_has_no_nodes():
    (page,) = make_harness().run(
        lambda client: pages_of(client.interaction_metrics(COST, "7h", channel_id="nobody")), keep_raw=True
    )
    assert "Nodes" not in json.loads(page.raw)
    assert (page.records, page.summary) == ([], 0.0)


def test_all_metrics_are_returned_one_after_the_other():
    harness = make_harness()
    pages = harness.run(lambda client: pages_of(client.all_metrics("2d", "1h")))
    assert [page.metric for page in pages] == [m for m in Metric for _ in range(2)]
    for metric in Metric:
        got = [(p.ts, p.value) for page in pages if page.metric == metric for p in page.records]
        assert got == truth(metric, NOW - 2 * DAY, NOW - 3600)


@pytest.mark.parametrize("behind", range(8))
@pytest.mark.parametrize("rounds", [False, True])
def test_listing_resumes_after_any_page(behind, rounds):
    harness = make_harness(rounds=rounds)
    asked = {"begin": NOW - 4 * DAY + 137, "end": "now", "metrics": (COST, "VideoStuckRate")}

    async def job(client):
        pages = await pages_of(client.all_metrics(**asked))
        harness.clock.step(5000)  # "now" is another by then, and the listing still the same
        return pages, await pages_of(client.all_metrics(**asked, resume=pages[behind].resume_token))

    pages, rest = harness.run(job)
    assert len(pages) == 8
    points = [(p.metric, p.ts, p.value) for page in pages[behind + 1 :] for p in page.records]
    assert [(p.metric, p.ts, p.value) for page in rest for p in page.records] == points


@pytest.mark.parametrize("token", ["x", "1.2", "1795000000.1795100000.0."])
def test_invalid_resume_token_is_refused(token):
    harness = make_harness()
    with pytest.raises(InvalidRequest, match="not a resume token"):
        harness.run(lambda client: client.interaction_metrics(COST, "1d", resume=token).collect())
    assert harness.requests[ENDPOINT] == 0


@pytest.mark.parametrize(
    "other",
    [
        {"begin": "3d"},
        {"end": "1h"},
        {"metrics": (COST,)},
        {"os": "iOS"},
        {"terminal_type": "web"},
        {"channel_id": "1"},
        {"app_id": "other"},
    ],
)
def test_token_of_another_question_takes_no_request(other):
    harness = make_harness()
    asked = {"begin": "4d", "end": "now", "metrics": (COST, "VideoStuckRate")}

    async def job(client):
        token = (await pages_of(client.all_metrics(**asked)))[2].resume_token
        sent = harness.requests[ENDPOINT]
        with pytest.raises(InvalidRequest, match="another listing"):
            await client.all_metrics(**(asked | other), resume=token).collect()
        for changed in (token[:-1], f"{token}x", token.swapcase()):
            with pytest.raises(InvalidRequest, match="not a resume token"):
                await client.all_metrics(**asked, resume=changed).collect()
        assert harness.requests[ENDPOINT] == sent

    harness.run(job)


def test_the_points_as_an_arrow_table():
    pa = pytest.importorskip("pyarrow")
    harness = make_harness()

    async def job(client):
        listing = client.interaction_metrics(COST, MIDNIGHT - 2 * DAY, MIDNIGHT)
        return await listing.to_arrow(), await pages_of(listing)

    table, pages = harness.run(job)
    assert table.schema.field("ts").type == pa.timestamp("s", "UTC")
    assert table.schema.field("value").type == pa.float64()
    assert table.column_names == ["metric", "ts", "value", "raw"]
    got = zip(table["ts"].cast(pa.int64()).to_pylist(), table["value"].to_pylist(), strict=True)
    assert list(got) == truth(COST, MIDNIGHT - 2 * DAY, MIDNIGHT)
    assert table.equals(pa.concat_tables([page.to_arrow() for page in pages]))
    assert table["raw"].null_count == len(table)


def test_points_are_sorted_by_time():
    times = [int(NOW) - ago for ago in (600, 1800, 900, 1200)]
    nodes = [{"Timestamp": str(ts * 1000), "Value": str(ts)} for ts in times]
    harness = scripted(response({"Nodes": nodes, "RequestId": "r"}))
    found = harness.run(lambda client: client.interaction_metrics(COST, "1h").collect())
    assert [(point.ts, point.value) for point in found] == [(ts, ts) for ts in sorted(times)]


def test_value_that_is_not_a_number_is_kept_and_counted():
    pa = pytest.importorskip("pyarrow")
    values = ["66.670000", "n/a", "", None, 12, "NaN", "1_0", [1], "1e3"]
    nodes = [
        {"Timestamp": str((NOW - 3600 + 300 * i) * 1000), "Value": value} for i, value in enumerate(values)
    ]
    nodes[0]["Unit"] = "percent"
    body = {"Nodes": nodes, "RequestId": "r", "SummaryData": "--"}
    (page,) = scripted(response(body)).run(lambda client: pages_of(client.interaction_metrics(COST, "2h")))
    assert isinstance(page, MetricPage)
    assert [p.value for p in page.records] == [66.67, None, None, None, 12.0, None, None, None, 1000.0]
    assert [p.raw for p in page.records] == [None, "n/a", "", None, None, "NaN", "1_0", "[1]", None]
    assert page.records[0].extra == {"Unit": "percent"}
    assert (page.unreadable, page.summary, page.raw_summary) == (6, None, "--")
    assert page.to_arrow()["value"].null_count == 6
    assert page.to_arrow()["raw"].cast(pa.string()).to_pylist()[1] == "n/a"


def test_names_in_lower_camel_case_are_read_too():
    body = {"nodes": [{"timestamp": "1795086000000", "value": "2.5"}], "requestId": "r", "summaryData": "2"}
    (page,) = scripted(response(body)).run(lambda client: pages_of(client.interaction_metrics(COST, "2h")))
    assert [(p.ts, p.value) for p in page.records] == [(1_795_086_000, 2.5)]
    assert (page.summary, page.meta.request_id) == (2.0, "r")


@pytest.mark.parametrize("nodes", [{"0": 1}, "none", 7])
def test_nodes_that_are_not_a_list_are_a_decode_error(nodes):
    with pytest.raises(DecodeError, match="expected a list") as caught:
        scripted(response({"RequestId": "r-1", "Nodes": nodes})).run(
            lambda client: client.interaction_metrics(COST, "2h").collect(),
        )
    assert (caught.value.path, caught.value.request_id) == ("$.Nodes", "r-1")
    assert caught.value.endpoint == "apsaravideo/interaction_metrics"


@pytest.mark.parametrize(
    "node",
    [
        7, None, {"Value": "1"}, {"Timestamp": "soon", "Value": "1"}, {"Timestamp": "1e30", "Value": "1"},
        {"Timestamp": "1795086000", "Value": "in seconds"}, {"Timestamp": 0, "Value": "1"}, {"Timestamp": True},
    ],
)  # fmt: skip
def test_point_without_a_readable_time_is_skipped_and_named(node):
    good = {"timestamp": 1795086000000.0, "value": "2.5"}
    body = {"Nodes": [good, node], "Code": 200.0, "RequestId": "r"}
    (page,) = scripted(response(body)).run(lambda client: pages_of(client.interaction_metrics(COST, "2h")))
    assert [(point.ts, point.value) for point in page.records] == [(1_795_086_000, 2.5)]
    assert [each.path for each in page.skipped] == ["$.Nodes[1]"]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"begin": NOW * 1000}, "milliseconds"),
        ({"begin": "1d", "end": int(NOW * 1000)}, "milliseconds"),
        ({"begin": datetime(2026, 11, 18)}, "no time zone"),  # noqa: DTZ001
        ({"begin": "1h", "end": "2h"}, "not before"),
        ({"begin": "1h", "end": "1h"}, "begin and end are the same time"),
        ({"begin": "last week"}, "not a time"),
        ({"begin": "1h", "metric": ""}, "metric='' is empty"),
        ({"begin": "1h", "metric": "firstframecost"}, "'FirstFrameCost'"),
        ({"begin": "1h", "os": "ios"}, "'iOS'"),
        ({"begin": "1h", "os": " "}, "empty"),
        ({"begin": "1h", "terminal_type": "Web"}, "'web'"),
        (
            {"begin": "1h", "metric": "VideoStukRate"},
            "no metric 'VideoStukRate'; did you mean 'VideoStuckRate'",
        ),
        ({"begin": "1h", "os": "Andriod"}, "did you mean 'Android'"),
        ({"begin": "1h", "terminal_type": "mobil"}, "did you mean 'mobile'"),
        ({"begin": "1h", "channel_id": ""}, "channel_id='' is empty"),
        ({"begin": "1h", "app_id": ""}, "app_id='' is empty"),
    ],
)
def test_invalid_arguments_are_refused_before_a_request(question, said):
    harness = make_harness()
    with pytest.raises(InvalidRequest, match=said):
        harness.run(lambda client: client.interaction_metrics(**({"metric": COST} | question)).collect())
    assert harness.requests[ENDPOINT] == 0


@pytest.mark.parametrize("metrics", [(), (COST, COST)])
def test_metrics_are_named_once(metrics):
    harness = make_harness()
    with pytest.raises(InvalidRequest, match=r"(a|no) metric is given"):
        harness.run(lambda client: client.all_metrics("1h", metrics=metrics).collect())
    assert harness.requests[ENDPOINT] == 0


@pytest.mark.parametrize("ends", [("60d", "31d"), (NOW + 60, NOW + 3600)])
def test_a_range_out_of_reach_is_refused_before_a_request(ends):
    harness = make_harness()
    with pytest.raises(WindowOutOfReach) as caught:
        harness.run(lambda client: client.interaction_metrics(COST, *ends).collect())
    first, last = caught.value.legal
    assert NOW - 30 * DAY <= first < NOW - 30 * DAY + 10
    assert NOW - 10 < last <= NOW
    assert harness.requests[ENDPOINT] == 0


def test_range_is_clipped_to_the_reach():
    harness = make_harness()
    pages = harness.run(lambda client: pages_of(client.interaction_metrics(COST, "45d")))
    assert len(pages) == 30
    assert NOW - 30 * DAY <= pages[0].window.start < NOW - 30 * DAY + 10
    (event,) = harness.events_of(RangeClipped)
    assert (event.requested_start, event.start) == (NOW - 45 * DAY, pages[0].window.start)
    assert harness.refusals == {}


def test_one_moment_in_three_time_zones():
    moment = datetime(2026, 11, 19, 8, 0, tzinfo=timezone.utc)  # noqa: UP017
    east = moment.astimezone(timezone(timedelta(hours=5, minutes=30)))

    async def job(client):
        return [
            await client.interaction_metrics(COST, begin, begin_plus).collect()
            for begin, begin_plus in (
                (moment, "2026-11-19T09:00Z"),
                (east, "2026-11-19T14:30+05:30"),
                (moment.timestamp(), moment.timestamp() + 3600),
            )
        ]

    one, *others = make_harness().run(job)
    assert len(one) > 8
    assert all(other == one for other in others)


def test_unknown_metric_is_sent_and_refused_by_the_server():
    with pytest.raises(BadRequest, match="Param Error:MetricType Delay"):
        make_harness().run(lambda client: client.interaction_metrics("Delay", "1h").collect())


def test_without_validation_the_server_refuses_a_long_range():
    harness = make_harness()
    with pytest.raises(BadRequest, match="24 hours"):
        harness.run(lambda client: client.interaction_metrics(COST, "2d").collect(), validate=False)
    assert harness.requests[ENDPOINT] == 1


def test_one_metric_may_be_named_without_a_list():
    harness = make_harness()
    points = harness.run(lambda client: client.all_metrics("1h", metrics="VideoStuckRate").collect())
    assert {point.metric for point in points} == {"VideoStuckRate"}


def test_without_validation_the_request_is_sent_unchanged():
    harness = scripted(response({"RequestId": "r"}))
    harness.run(
        lambda client: client.interaction_metrics("firstframecost", 99, 7, os="").collect(),
        validate=False,
    )
    (request,) = harness.transport.requests
    assert dict(request.query) == {
        "MetricType": "firstframecost",
        "BeginTs": "99000",
        "EndTs": "7999",
        "AppId": APP_ID,
        "Os": "",
    }
