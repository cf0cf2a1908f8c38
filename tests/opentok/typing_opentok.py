"""What type checkers must see of both clients. `warn_unused_ignores` proves the refusals."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, assert_type

from agora_analytics import Records
from agora_analytics.blocking import opentok as blocking
from agora_analytics.core.windows import Window
from agora_analytics.engine.engine import Quota
from agora_analytics.opentok import (
    Application,
    AsyncOpenTok,
    Connection,
    InsightsPage,
    InsightsPages,
    Interval,
    Meeting,
    Problem,
    ProjectKey,
    ProjectRow,
    Publisher,
    QueryResult,
    Session,
    SessionSummary,
    StreamSample,
    Subscriber,
)


async def awaited() -> None:
    async with AsyncOpenTok(ProjectKey("45000001", "secret"), prefetch=2) as client:
        listing = client.stream_stats(["a", "b"], since="1d", roles=["publisher"])
        assert_type(listing, InsightsPages[StreamSample])
        async for page in listing.pages():
            assert_type(page, InsightsPage[StreamSample])
            assert_type(page.problems, Sequence[Problem])
        async for sample in listing:
            assert_type(sample.video_packet_loss, float | None)
        assert_type(client.session_summaries("1d"), InsightsPages[SessionSummary])
        assert_type(client.sessions("a"), InsightsPages[Session])
        assert_type(client.meetings(["a"], until="1h"), InsightsPages[Meeting])
        assert_type(client.connections("a", meeting_id="m"), InsightsPages[Connection])
        assert_type(client.publishers("a"), InsightsPages[Publisher])
        assert_type(client.subscribers("a"), InsightsPages[Subscriber])
        assert_type(await client.session_summaries("1d").collect(), Records[SessionSummary])
        assert_type(client.reach(), Window)
        assert_type(client.window("1d"), Window)
        assert_type(await client.quota(), Records[Quota])
        assert_type(client.project_id, str)
        rows = client.project_data(0, interval=Interval.DAILY, group_by="COUNTRY")
        assert_type(await rows.collect(), Records[ProjectRow])
        result = await client.query("{ a }")
        assert_type(result, QueryResult)
        assert_type(result.data, Mapping[str, Any])
        client.stream_stats()  # type: ignore[call-arg]
        client.sessions("a", since="1d")  # type: ignore[call-arg]
        client.sessions([1])  # type: ignore[list-item]
        client.project_data(0, interval=Interval)  # type: ignore[arg-type]
        await client.query({"a": 1})  # type: ignore[arg-type]
        AsyncOpenTok("45000001", "secret")  # type: ignore[call-arg, arg-type]


def waiting() -> None:
    with blocking.OpenTok(Application("5c1a4ee8-8d4b-4d0c-a3f1-3f0fd0e0c3b1", "PEM")) as client:
        listing = client.stream_stats("a")
        assert_type(listing, blocking.InsightsPages[StreamSample])
        assert_type(listing.pages(), Iterator[InsightsPage[StreamSample]])
        assert_type([one.role for one in listing], list[str])
        assert_type(client.project_data(0), blocking.InsightsPages[ProjectRow])
        assert_type(client.session_summaries("1d"), blocking.InsightsPages[SessionSummary])
        assert_type(client.sessions("a"), blocking.InsightsPages[Session])
        assert_type(client.meetings("a"), blocking.InsightsPages[Meeting])
        assert_type(client.connections("a"), blocking.InsightsPages[Connection])
        assert_type(client.publishers("a"), blocking.InsightsPages[Publisher])
        assert_type(client.subscribers("a"), blocking.InsightsPages[Subscriber])
        assert_type(client.query("{ a }"), QueryResult)
        assert_type(client.quota(), Records[Quota])
        client.meetings("a", role="publisher")  # type: ignore[call-arg]
