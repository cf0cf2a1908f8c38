"""What type checkers must see of both clients of ApsaraVideo. `warn_unused_ignores` proves the refusals."""

from collections.abc import Iterator
from typing import assert_type

from agora_analytics import Records, blocking
from agora_analytics.apsaravideo import AsyncApsaraVideo, Metric, MetricPage, MetricPoint
from agora_analytics.apsaravideo.auth import Credentials
from agora_analytics.blocking.wrappers import Pages as BlockingPages
from agora_analytics.engine.pages import Pages


async def credentials() -> Credentials:
    return Credentials("an-id", "a-secret", security_token="a-token")


async def awaited() -> None:
    async with AsyncApsaraVideo(app_id="app", credentials=credentials) as client:
        listing = client.interaction_metrics(Metric.FIRST_FRAME_COST, "1d", os="iOS")
        assert_type(listing, Pages[MetricPoint, MetricPage])
        async for page in listing.pages():
            assert_type(page, MetricPage)
            assert_type(page.summary, float | None)
        async for point in client.all_metrics("1d", metrics=["VideoStuckRate"]):
            assert_type(point, MetricPoint)
            assert_type(point.value, float | None)
        assert_type(await listing.collect(), Records[MetricPoint])
        client.interaction_metrics("FirstFrameCost")  # type: ignore[call-arg]


def waiting() -> None:
    with blocking.ApsaraVideo("an-id", "a-secret", app_id="app") as client:
        listing = client.interaction_metrics("FirstFrameCost", "1d")
        assert_type(listing, BlockingPages[MetricPoint, MetricPage])
        assert_type(listing.pages(), Iterator[MetricPage])
        assert_type([point.ts for point in listing], list[int])
        client.all_metrics("1d", channel="770513")  # type: ignore[call-arg]
