"""Vonage / OpenTok Insights: its client, its credentials, its records and the names of its fields."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agora_analytics.opentok.client import AsyncOpenTok as AsyncOpenTok
    from agora_analytics.opentok.credentials import Application as Application
    from agora_analytics.opentok.credentials import ProjectKey as ProjectKey
    from agora_analytics.opentok.facts import Browser as Browser
    from agora_analytics.opentok.facts import GroupBy as GroupBy
    from agora_analytics.opentok.facts import Interval as Interval
    from agora_analytics.opentok.facts import SdkType as SdkType
    from agora_analytics.opentok.free_query import QueryResult as QueryResult
    from agora_analytics.opentok.gathering import Problem as Problem
    from agora_analytics.opentok.questions import CONNECTION as CONNECTION
    from agora_analytics.opentok.questions import DISTRIBUTIONS as DISTRIBUTIONS
    from agora_analytics.opentok.questions import ERRORS as ERRORS
    from agora_analytics.opentok.questions import PARTICIPANTS as PARTICIPANTS
    from agora_analytics.opentok.questions import QUALITY as QUALITY
    from agora_analytics.opentok.questions import STATS as STATS
    from agora_analytics.opentok.questions import STREAM as STREAM
    from agora_analytics.opentok.questions import SUMMARY as SUMMARY
    from agora_analytics.opentok.questions import USAGE as USAGE
    from agora_analytics.opentok.questions import pacific_midnight as pacific_midnight
    from agora_analytics.opentok.records import Connection as Connection
    from agora_analytics.opentok.records import Meeting as Meeting
    from agora_analytics.opentok.records import MeetingSummary as MeetingSummary
    from agora_analytics.opentok.records import ProjectRow as ProjectRow
    from agora_analytics.opentok.records import Publisher as Publisher
    from agora_analytics.opentok.records import Session as Session
    from agora_analytics.opentok.records import SessionSummary as SessionSummary
    from agora_analytics.opentok.records import StreamSample as StreamSample
    from agora_analytics.opentok.records import Subscriber as Subscriber
    from agora_analytics.opentok.walk import InsightsPage as InsightsPage
    from agora_analytics.opentok.walk import InsightsPages as InsightsPages

__all__ = [
    "CONNECTION",
    "DISTRIBUTIONS",
    "ERRORS",
    "PARTICIPANTS",
    "QUALITY",
    "STATS",
    "STREAM",
    "SUMMARY",
    "USAGE",
    "Application",
    "AsyncOpenTok",
    "Browser",
    "Connection",
    "GroupBy",
    "InsightsPage",
    "InsightsPages",
    "Interval",
    "Meeting",
    "MeetingSummary",
    "Problem",
    "ProjectKey",
    "ProjectRow",
    "Publisher",
    "QueryResult",
    "SdkType",
    "Session",
    "SessionSummary",
    "StreamSample",
    "Subscriber",
    "pacific_midnight",
]

_HOME = {
    "client": ("AsyncOpenTok",),
    "credentials": (
        "Application",
        "ProjectKey",
    ),
    "facts": (
        "Browser",
        "GroupBy",
        "Interval",
        "SdkType",
    ),
    "free_query": ("QueryResult",),
    "gathering": ("Problem",),
    "questions": (
        "CONNECTION",
        "DISTRIBUTIONS",
        "ERRORS",
        "PARTICIPANTS",
        "QUALITY",
        "STATS",
        "STREAM",
        "SUMMARY",
        "USAGE",
        "pacific_midnight",
    ),
    "records": (
        "Connection",
        "Meeting",
        "MeetingSummary",
        "ProjectRow",
        "Publisher",
        "Session",
        "SessionSummary",
        "StreamSample",
        "Subscriber",
    ),
    "walk": (
        "InsightsPage",
        "InsightsPages",
    ),
}
_MODULE_OF = {name: f"{__name__}.{module}" for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:  # who reads the facts only must not bring in the client
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)
