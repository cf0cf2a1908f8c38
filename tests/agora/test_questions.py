"""Questions that the server would refuse, or answer with other users, take no request."""

import pytest

from agora_analytics.agora.records import Call
from agora_analytics.agora.user_ids import user_ids
from agora_analytics.errors import ConfigurationError, InvalidRequest
from tests.agora.harness import SINCE, UNTIL, scripted
from tests.agora.test_settings import settings
from tests.conftest import ok

CALL = Call(call_id="c", cname="r", created_ts=SINCE, destroyed_ts=UNTIL, finished=True)

MISSPELT = {
    "userCont.*did you mean 'userCount'": lambda c: c.insights.usage("userCont", "2d"),
    "usercount.*did you mean 'userCount'": lambda c: c.insights.usage(["sessionCount", "usercount"], "2d"),
    "user_count is not a metric.*did you mean 'userCount'": lambda c: c.insights.usage_totals(
        "user_count", "2d"
    ),
    "networkDelai.*did you mean 'networkDelay'": lambda c: c.insights.quality("networkDelai", "2d"),
    "no metric 'audioFreezRate'": lambda c: c.insights.estimate("audioFreezRate", "2d"),
    "no dimension 'contry'; did you mean 'country'": lambda c: c.insights.usage_totals(
        "userCount", "2d", by="contry"
    ),
    "no dimension 'OS'; did you mean 'os'": lambda c: c.realtime.top_usage("OS"),
    "no dimension 'netwrk'; did you mean 'network'": lambda c: c.statistics(
        CALL, "video_freeze_rate", "netwrk"
    ),
    "no product 'Web'; did you mean 'WebRTC'": lambda c: c.insights.quality(
        "networkDelay", "2d", product="Web"
    ),
    "no product 'native'; did you mean 'Native'": lambda c: c.realtime.usage(product="native"),
    "the product is empty": lambda c: c.realtime.usage(product=""),
    "no metric 'userCont'": lambda c: c.realtime.usage("userCont"),
    "no metric 'channelCout'": lambda c: c.realtime.estimate("channelCout"),
    "no metric 'video_freez_rate'": lambda c: c.freeze_distribution(CALL, "video_freez_rate"),
    "no metric 'user_cont'": lambda c: c.statistics_over_time(CALL, "user_cont"),
    "no usage by '1m'; pass a granularity of 1d, 1h": lambda c: c.insights.usage(
        "userCount", "2d", granularity="1m"
    ),
    "no usage by 'minute'": lambda c: c.insights.usage("userCount", "2d", granularity="minute"),
    "granularity='1H' is not a documented length": lambda c: c.insights.quality(
        "networkDelay", "2d", granularity="1H"
    ),
    "granularity='1day' is not a documented length": lambda c: c.insights.quality(
        "networkDelay", "2d", granularity="1day"
    ),
    "granularity='hour' is not a documented length": lambda c: c.insights.quality(
        "networkDelay", "2d", granularity="hour"
    ),
}


@pytest.mark.parametrize("said", MISSPELT)
def test_misspelt_question_takes_no_request(said):
    harness = scripted(ok(data=[]))
    with pytest.raises(InvalidRequest, match=said):
        harness.run(MISSPELT[said])
    assert harness.transport.requests == []


def test_misspelt_metric_of_a_follow_takes_no_request():
    async def job(client):
        with pytest.raises(InvalidRequest, match="did you mean 'userCount'"):
            await anext(aiter(client.realtime.follow(["networkDelay", "userCont"])))

    scripted().run(job)


def test_validate_false_sends_a_misspelt_name():
    harness = scripted(ok(data=[]))
    harness.run(lambda c: c.insights.usage("userCont", "2d", granularity="1m", validate=False))
    sent = dict(harness.transport.requests[0].query)
    assert (sent["metric"], sent["aggregateGranularity"]) == ("userCont", "1m")


@pytest.mark.parametrize("name", ["network", "sdkVersion"])
def test_the_other_spelling_of_a_dimension_is_sent(name):
    harness = scripted(ok(data=[]))
    harness.run(lambda c: c.insights.usage_totals("peakCurrentUsers", "2d"))
    harness.run(lambda c: c.insights.usage_totals("userCount", "2d", by=name))
    assert len(harness.transport.requests) == 2


def test_minutes_of_quality_are_sent_in_any_spelling():
    harness = scripted(ok(data=[]))
    for granularity in ("1m", "1min", "60"):
        harness.run(lambda c, g=granularity: c.insights.quality("networkDelay", "2d", granularity=g))
    assert len(harness.transport.requests) == 3


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [("plan", "entreprise", "enterprise"), ("plan", "Premum", "premium"), ("region", "globl", "global")],
)
def test_misspelt_setting_names_the_right_one(name, value, meant):
    with pytest.raises(ConfigurationError, match=f"did you mean {meant!r}"):
        settings(**{name: value})


@pytest.mark.parametrize(
    ("uid", "sent"),
    [
        (-1, "4294967295"),
        ("-2", "4294967294"),
        (-(2**31), "2147483648"),
        (0, "0"),
        (2**31, "2147483648"),
        ("007", "007"),
        ("ann", "ann"),
        ("-ann", "-ann"),
    ],
)
def test_signed_user_id_becomes_unsigned(uid, sent):
    assert user_ids([uid]) == (sent,)


@pytest.mark.parametrize("uid", [-(2**31) - 1, "-99999999999999999999999", "", "1,2", " 7", "7\n", True])
def test_impossible_user_id_takes_no_request(uid):
    harness = scripted(ok(data=[]))

    async def job(client):
        with pytest.raises(InvalidRequest, match="user id"):
            await client.sessions(CALL, uids=[uid]).collect()
        with pytest.raises(InvalidRequest, match="user id"):
            await client.realtime.quality("networkDelay", cname="r", uids=[uid])

    harness.run(job)
    assert harness.transport.requests == []


def test_signed_user_ids_of_every_query_are_sent_unsigned():
    none = ok(call_info=[], total_size=0)
    harness = scripted(none, ok(data=[]), none)

    async def job(client):
        await client.sessions(CALL, uids=[-5, "4294967291"]).collect()
        await client.realtime.quality("networkDelay", cname="r", uids=[-5])
        await client.sessions(CALL, uids=[-5], validate=False).collect()

    harness.run(job)
    assert [dict(r.query)["uids"] for r in harness.transport.requests] == ["4294967291", "4294967291", "-5"]
