"""The blocking face as users type it. Not meant to be run: mypy --strict and pyright (strict) must accept it."""

from collections.abc import Iterator
from typing import assert_type

from agora_analytics import Call, Estimate, HarvestReport, MetricPoint, Page, Quota, Records, Series, Session
from agora_analytics.agora.beta import BetaPoint, CallDetails, Diagnosis
from agora_analytics.agora.follow import LiveWindow
from agora_analytics.agora.record_list import Rows
from agora_analytics.agora.stat_records import Point
from agora_analytics.blocking import Agora, AgoraBeta, ApsaraVideo, Pages, Signaling, estimate, harvest
from agora_analytics.signaling import Basic, Delivery, EventBatch, HistoryMessage, UserEvent


def today() -> None:
    with Agora.from_env() as client:
        assert_type(client, Agora)
        calls = client.calls("6h", "now", cname="room")
        assert_type(calls, Pages[Call])
        for call in calls:
            assert_type(call, Call)
            assert_type(client.sessions(call, uids=["1", 2]).collect(), Records[Session])
            for series in client.metrics(call, sids=["S1"]):
                assert_type(series, Series)
        for page in calls.pages():
            assert_type(page, Page[Call])
        assert_type(client.quota(), Records[Quota])
        assert_type(client.insights.usage(["userCount"], "7d"), Rows[Point])
        assert_type(client.insights.usage(["userCount"], "7d", deadline=5, max_wait=None), Rows[Point])
        assert_type(
            client.sessions("call id", 0, 60, deadline=None, max_wait=0.5).collect(), Records[Session]
        )
        for window in client.realtime.follow("userCount"):
            assert_type(window, LiveWindow)
        assert_type(harvest(client, since="1d", store="folder"), HarvestReport)


def beta(client: AgoraBeta) -> None:
    assert_type(client.calls("6h"), Pages[Call])
    assert_type(client.details("c", 0, 60).collect(), Records[CallDetails])
    assert_type(client.live_scale(), Rows[BetaPoint])
    assert_type(client.live_diagnosis().collect(), Records[Diagnosis])


def signaling() -> None:
    with Signaling(Basic("id", "secret"), app_id="app", region="cn") as client:
        assert_type(client.peer_message("server", "ann", "hi", wait_for_ack=True), Delivery)
        assert_type(client.user_events(), Iterator[EventBatch[UserEvent]])
        assert_type(client.history("ann", "room").collect(), Records[HistoryMessage])
        estimate(client, since="1d", store="folder")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def apsaravideo(client: ApsaraVideo) -> None:
    assert_type(client.interaction_metrics("VideoStuckRate", "2d").collect(), Records[MetricPoint])
    assert_type(harvest(client, since="1d", store="folder"), HarvestReport)
    assert_type(estimate(client, since="1d", store="folder"), Estimate)


def wrong(client: Agora) -> None:
    client.calls("6h", cnam="room")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.calls("6h", deadline="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.calls()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Agora("id", "secret")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
