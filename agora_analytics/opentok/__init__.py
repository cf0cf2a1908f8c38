"""Vonage / OpenTok Insights: its client, credentials, records and field names."""

from typing import TYPE_CHECKING

from agora_analytics.lazy import lazy_names

if TYPE_CHECKING:
    from agora_analytics.opentok.client import AsyncOpenTok as AsyncOpenTok
    from agora_analytics.opentok.credentials import Application as Application
    from agora_analytics.opentok.credentials import ProjectKey as ProjectKey
    from agora_analytics.opentok.judge import Problem as Problem
    from agora_analytics.opentok.pagination import InsightsPage as InsightsPage
    from agora_analytics.opentok.pagination import InsightsPages as InsightsPages
    from agora_analytics.opentok.participant_minutes import ParticipantMinutes as ParticipantMinutes
    from agora_analytics.opentok.query_builders import CONNECTION as CONNECTION
    from agora_analytics.opentok.query_builders import DISTRIBUTIONS as DISTRIBUTIONS
    from agora_analytics.opentok.query_builders import ERRORS as ERRORS
    from agora_analytics.opentok.query_builders import PARTICIPANTS as PARTICIPANTS
    from agora_analytics.opentok.query_builders import QUALITY as QUALITY
    from agora_analytics.opentok.query_builders import STATS as STATS
    from agora_analytics.opentok.query_builders import STREAM as STREAM
    from agora_analytics.opentok.query_builders import SUMMARY as SUMMARY
    from agora_analytics.opentok.query_builders import USAGE as USAGE
    from agora_analytics.opentok.query_builders import pacific_midnight as pacific_midnight
    from agora_analytics.opentok.raw_query import QueryResult as QueryResult
    from agora_analytics.opentok.records import Connection as Connection
    from agora_analytics.opentok.records import Meeting as Meeting
    from agora_analytics.opentok.records import MeetingSummary as MeetingSummary
    from agora_analytics.opentok.records import ProjectRow as ProjectRow
    from agora_analytics.opentok.records import Publisher as Publisher
    from agora_analytics.opentok.records import Session as Session
    from agora_analytics.opentok.records import SessionSummary as SessionSummary
    from agora_analytics.opentok.records import StreamSample as StreamSample
    from agora_analytics.opentok.records import Subscriber as Subscriber
    from agora_analytics.opentok.spec import Browser as Browser
    from agora_analytics.opentok.spec import GroupBy as GroupBy
    from agora_analytics.opentok.spec import Interval as Interval
    from agora_analytics.opentok.spec import SdkType as SdkType

__all__, __getattr__ = lazy_names(
    __name__,
    {
        "client": ("AsyncOpenTok",),
        "credentials": ("Application", "ProjectKey"),
        "judge": ("Problem",),
        "pagination": ("InsightsPage", "InsightsPages"),
        "participant_minutes": ("ParticipantMinutes",),
        "query_builders": (
            "CONNECTION", "DISTRIBUTIONS", "ERRORS", "PARTICIPANTS", "QUALITY", "STATS", "STREAM", "SUMMARY",
            "USAGE", "pacific_midnight",
        ),
        "raw_query": ("QueryResult",),
        "records": (
            "Connection", "Meeting", "MeetingSummary", "ProjectRow", "Publisher", "Session", "SessionSummary",
            "StreamSample", "Subscriber",
        ),
        "spec": ("Browser", "GroupBy", "Interval", "SdkType"),
    },
)  # fmt: skip
