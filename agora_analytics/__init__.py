"""Call-quality data of real-time video vendors: asyncio clients, a bulk harvester and simulators.

Every public name is here. Each is imported at its first use, so `import agora_analytics` is fast and a part that needs
an extra needs it only when it is used.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agora_analytics.lazy import lazy_names

if TYPE_CHECKING:
    from agora_analytics.agora.beta.client import AsyncAgoraBeta as AsyncAgoraBeta
    from agora_analytics.agora.beta.client import BetaOptions as BetaOptions
    from agora_analytics.agora.client import AsyncAgora as AsyncAgora
    from agora_analytics.agora.credentials import Basic as Basic
    from agora_analytics.agora.credentials import BasicSource as BasicSource
    from agora_analytics.agora.enums import Dimension as Dimension
    from agora_analytics.agora.enums import FreezeMetric as FreezeMetric
    from agora_analytics.agora.enums import Granularity as Granularity
    from agora_analytics.agora.enums import Names as Names
    from agora_analytics.agora.enums import Product as Product
    from agora_analytics.agora.enums import QualityMetric as QualityMetric
    from agora_analytics.agora.enums import RealtimeMetric as RealtimeMetric
    from agora_analytics.agora.enums import TimeMetric as TimeMetric
    from agora_analytics.agora.enums import UsageMetric as UsageMetric
    from agora_analytics.agora.follow import Follow as Follow
    from agora_analytics.agora.follow import LiveWindow as LiveWindow
    from agora_analytics.agora.insights import Insights as Insights
    from agora_analytics.agora.listings import MetricsPage as MetricsPage
    from agora_analytics.agora.metric_ids import METRIC_IDS as METRIC_IDS
    from agora_analytics.agora.metric_ids import metric_name as metric_name
    from agora_analytics.agora.plans import ENTERPRISE as ENTERPRISE
    from agora_analytics.agora.plans import PLANS as PLANS
    from agora_analytics.agora.plans import PREMIUM as PREMIUM
    from agora_analytics.agora.plans import STANDARD as STANDARD
    from agora_analytics.agora.plans import Plan as Plan
    from agora_analytics.agora.queries import Cost as Cost
    from agora_analytics.agora.query_operations import OPERATIONS as OPERATIONS
    from agora_analytics.agora.realtime import Realtime as Realtime
    from agora_analytics.agora.record_list import Rows as Rows
    from agora_analytics.agora.records import Call as Call
    from agora_analytics.agora.records import Session as Session
    from agora_analytics.agora.settings import AgoraOptions as AgoraOptions
    from agora_analytics.agora.settings import PlanName as PlanName
    from agora_analytics.agora.settings import Region as Region
    from agora_analytics.agora.settings import RegionName as RegionName
    from agora_analytics.agora.settings import Settings as Settings
    from agora_analytics.agora.stat_records import FreezeBucket as FreezeBucket
    from agora_analytics.agora.stat_records import GroupStatistic as GroupStatistic
    from agora_analytics.agora.stat_records import Point as Point
    from agora_analytics.agora.stat_records import TopGroup as TopGroup
    from agora_analytics.agora.stat_records import Total as Total
    from agora_analytics.agora.user_calls import UserCall as UserCall
    from agora_analytics.apsaravideo.client import ApsaraVideoSettings as ApsaraVideoSettings
    from agora_analytics.apsaravideo.client import AsyncApsaraVideo as AsyncApsaraVideo
    from agora_analytics.apsaravideo.records import MetricPoint as MetricPoint
    from agora_analytics.blocking.agora import Agora as Agora
    from agora_analytics.blocking.agora import AgoraBeta as AgoraBeta
    from agora_analytics.blocking.apsaravideo import ApsaraVideo as ApsaraVideo
    from agora_analytics.blocking.opentok import OpenTok as OpenTok
    from agora_analytics.blocking.signaling import Signaling as Signaling
    from agora_analytics.core.columns import MetricColumns as MetricColumns
    from agora_analytics.core.columns import Series as Series
    from agora_analytics.core.domains import DomainState as DomainState
    from agora_analytics.core.endpoint import Endpoint as Endpoint
    from agora_analytics.core.limits import Limits as Limits
    from agora_analytics.core.record import Record as Record
    from agora_analytics.core.record_list import Records as Records
    from agora_analytics.core.verdicts import SkippedRecord as SkippedRecord
    from agora_analytics.core.windows import Window as Window
    from agora_analytics.engine.call_options import CallOptions as CallOptions
    from agora_analytics.engine.clock import Clock as Clock
    from agora_analytics.engine.clock import SystemClock as SystemClock
    from agora_analytics.engine.engine import Quota as Quota
    from agora_analytics.engine.events import AttemptAbandoned as AttemptAbandoned
    from agora_analytics.engine.events import AttemptFailed as AttemptFailed
    from agora_analytics.engine.events import AttemptStarted as AttemptStarted
    from agora_analytics.engine.events import Event as Event
    from agora_analytics.engine.events import FilterIgnored as FilterIgnored
    from agora_analytics.engine.events import FixedWindowsRefused as FixedWindowsRefused
    from agora_analytics.engine.events import HostSwitched as HostSwitched
    from agora_analytics.engine.events import ListingNarrowed as ListingNarrowed
    from agora_analytics.engine.events import ListingShort as ListingShort
    from agora_analytics.engine.events import NotYetAvailable as NotYetAvailable
    from agora_analytics.engine.events import Observer as Observer
    from agora_analytics.engine.events import PartialResponse as PartialResponse
    from agora_analytics.engine.events import QuotaClosed as QuotaClosed
    from agora_analytics.engine.events import RangeClipped as RangeClipped
    from agora_analytics.engine.events import RecordsSkipped as RecordsSkipped
    from agora_analytics.engine.events import RequestEnded as RequestEnded
    from agora_analytics.engine.events import RequestStarted as RequestStarted
    from agora_analytics.engine.events import ResponseReceived as ResponseReceived
    from agora_analytics.engine.events import Waited as Waited
    from agora_analytics.engine.events import WaitReason as WaitReason
    from agora_analytics.engine.events import WindowsLost as WindowsLost
    from agora_analytics.engine.ledger import Budget as Budget
    from agora_analytics.engine.ledger import Grant as Grant
    from agora_analytics.engine.ledger import Ledger as Ledger
    from agora_analytics.engine.ledger import MemoryLedger as MemoryLedger
    from agora_analytics.engine.ledger import TooEarly as TooEarly
    from agora_analytics.engine.network.postgres import PostgresLedger as PostgresLedger
    from agora_analytics.engine.network.redis import RedisLedger as RedisLedger
    from agora_analytics.engine.open_ledger import open_ledger as open_ledger
    from agora_analytics.engine.pace import Pace as Pace
    from agora_analytics.engine.pace import WindowPhase as WindowPhase
    from agora_analytics.engine.pages import Meta as Meta
    from agora_analytics.engine.pages import Page as Page
    from agora_analytics.engine.pages import Pages as Pages
    from agora_analytics.engine.retry_policy import RetryPolicy as RetryPolicy
    from agora_analytics.engine.shared_resources import SharedResources as SharedResources
    from agora_analytics.engine.sqlite_ledger import SqliteLedger as SqliteLedger
    from agora_analytics.engine.transports import Transport as Transport
    from agora_analytics.engine.transports.aiohttp import AiohttpTransport as AiohttpTransport
    from agora_analytics.engine.transports.asgi import AsgiTransport as AsgiTransport
    from agora_analytics.engine.transports.dns import Resolve as Resolve
    from agora_analytics.engine.transports.httpx import HttpxTransport as HttpxTransport
    from agora_analytics.errors import AccessDenied as AccessDenied
    from agora_analytics.errors import AgoraAnalyticsError as AgoraAnalyticsError
    from agora_analytics.errors import APIError as APIError
    from agora_analytics.errors import Attempt as Attempt
    from agora_analytics.errors import AuthenticationError as AuthenticationError
    from agora_analytics.errors import BadRequest as BadRequest
    from agora_analytics.errors import CallNotFound as CallNotFound
    from agora_analytics.errors import ConfigurationError as ConfigurationError
    from agora_analytics.errors import DeadlineExceeded as DeadlineExceeded
    from agora_analytics.errors import DecodeError as DecodeError
    from agora_analytics.errors import FencedOff as FencedOff
    from agora_analytics.errors import IncompleteListing as IncompleteListing
    from agora_analytics.errors import InvalidRequest as InvalidRequest
    from agora_analytics.errors import LedgerUnavailable as LedgerUnavailable
    from agora_analytics.errors import NotFound as NotFound
    from agora_analytics.errors import QueueUnavailable as QueueUnavailable
    from agora_analytics.errors import QuotaExhausted as QuotaExhausted
    from agora_analytics.errors import RateLimited as RateLimited
    from agora_analytics.errors import RowsRefused as RowsRefused
    from agora_analytics.errors import ServerError as ServerError
    from agora_analytics.errors import StoreConflict as StoreConflict
    from agora_analytics.errors import StoreDamaged as StoreDamaged
    from agora_analytics.errors import StoreError as StoreError
    from agora_analytics.errors import StoreVersionError as StoreVersionError
    from agora_analytics.errors import TransportError as TransportError
    from agora_analytics.errors import WindowOutOfReach as WindowOutOfReach
    from agora_analytics.errors import WindowRefused as WindowRefused
    from agora_analytics.fleet.local import harvest_accounts as harvest_accounts
    from agora_analytics.fleet.one_account import harvest_account as harvest_account
    from agora_analytics.fleet.report import AccountBegun as AccountBegun
    from agora_analytics.fleet.report import AccountEvent as AccountEvent
    from agora_analytics.fleet.report import AccountObserver as AccountObserver
    from agora_analytics.fleet.report import AccountReport as AccountReport
    from agora_analytics.harvest.call_value import ValueName as ValueName
    from agora_analytics.harvest.call_value import ValueRule as ValueRule
    from agora_analytics.harvest.estimate import Estimate as Estimate
    from agora_analytics.harvest.estimate import estimate as estimate
    from agora_analytics.harvest.insights import harvest_insights as harvest_insights
    from agora_analytics.harvest.report import CallSkipped as CallSkipped
    from agora_analytics.harvest.report import CallsListed as CallsListed
    from agora_analytics.harvest.report import CallStored as CallStored
    from agora_analytics.harvest.report import HarvestEvent as HarvestEvent
    from agora_analytics.harvest.report import HarvestObserver as HarvestObserver
    from agora_analytics.harvest.report import HarvestReport as HarvestReport
    from agora_analytics.harvest.report import PointsStored as PointsStored
    from agora_analytics.harvest.run import HarvestClient as HarvestClient
    from agora_analytics.harvest.run import harvest as harvest
    from agora_analytics.instants import Instant as Instant
    from agora_analytics.kit.client import ClientOptions as ClientOptions
    from agora_analytics.kit.client import ConfigPath as ConfigPath
    from agora_analytics.messages import FailureKind as FailureKind
    from agora_analytics.messages import Request as Request
    from agora_analytics.messages import Response as Response
    from agora_analytics.messages import TransportFailure as TransportFailure
    from agora_analytics.opentok.client import AsyncOpenTok as AsyncOpenTok
    from agora_analytics.opentok.client import OpenTokSettings as OpenTokSettings
    from agora_analytics.opentok.credentials import Application as Application
    from agora_analytics.opentok.credentials import ProjectKey as ProjectKey
    from agora_analytics.signaling.client import AsyncSignaling as AsyncSignaling
    from agora_analytics.signaling.client import SignalingSettings as SignalingSettings
    from agora_analytics.store import BucketStore as BucketStore
    from agora_analytics.store import HarvestWriter as HarvestWriter
    from agora_analytics.store import ParquetStore as ParquetStore
    from agora_analytics.store import Store as Store
    from agora_analytics.store import StoreWriter as StoreWriter
    from agora_analytics.store import open_store as open_store
    from agora_analytics.store.records import FileDamaged as FileDamaged
    from agora_analytics.store.records import Unreadable as Unreadable

__version__ = "0.1.0"

__all__, _import = lazy_names(
    __name__,
    {
        "agora.beta.client": ("AsyncAgoraBeta", "BetaOptions"),
        "agora.client": ("AsyncAgora",),
        "agora.credentials": ("Basic", "BasicSource"),
        "agora.enums": (
            "Dimension", "FreezeMetric", "Granularity", "Names", "Product", "QualityMetric",
            "RealtimeMetric", "TimeMetric", "UsageMetric",
        ),
        "agora.follow": ("Follow", "LiveWindow"),
        "agora.insights": ("Insights",),
        "agora.listings": ("MetricsPage",),
        "agora.metric_ids": ("METRIC_IDS", "metric_name"),
        "agora.plans": ("ENTERPRISE", "PLANS", "PREMIUM", "Plan", "STANDARD"),
        "agora.queries": ("Cost",),
        "agora.query_operations": ("OPERATIONS",),
        "agora.realtime": ("Realtime",),
        "agora.record_list": ("Rows",),
        "agora.records": ("Call", "Session"),
        "agora.settings": ("AgoraOptions", "PlanName", "Region", "RegionName", "Settings"),
        "agora.stat_records": ("FreezeBucket", "GroupStatistic", "Point", "TopGroup", "Total"),
        "agora.user_calls": ("UserCall",),
        "apsaravideo.client": ("ApsaraVideoSettings", "AsyncApsaraVideo"),
        "apsaravideo.records": ("MetricPoint",),
        "blocking.agora": ("Agora", "AgoraBeta"),
        "blocking.apsaravideo": ("ApsaraVideo",),
        "blocking.opentok": ("OpenTok",),
        "blocking.signaling": ("Signaling",),
        "core.columns": ("MetricColumns", "Series"),
        "core.domains": ("DomainState",),
        "core.endpoint": ("Endpoint",),
        "core.limits": ("Limits",),
        "core.record": ("Record",),
        "core.record_list": ("Records",),
        "core.verdicts": ("SkippedRecord",),
        "core.windows": ("Window",),
        "engine.call_options": ("CallOptions",),
        "engine.clock": ("Clock", "SystemClock"),
        "engine.engine": ("Quota",),
        "engine.events": (
            "AttemptAbandoned", "AttemptFailed", "AttemptStarted", "Event", "FilterIgnored", "FixedWindowsRefused",
            "HostSwitched", "ListingNarrowed", "ListingShort", "NotYetAvailable", "Observer", "PartialResponse",
            "QuotaClosed", "RangeClipped", "RecordsSkipped", "RequestEnded", "RequestStarted", "ResponseReceived", "Waited",
            "WaitReason", "WindowsLost",
        ),
        "engine.ledger": ("Budget", "Grant", "Ledger", "MemoryLedger", "TooEarly"),
        "engine.network.postgres": ("PostgresLedger",),
        "engine.network.redis": ("RedisLedger",),
        "engine.open_ledger": ("open_ledger",),
        "engine.pace": ("Pace", "WindowPhase"),
        "engine.pages": ("Meta", "Page", "Pages"),
        "engine.retry_policy": ("RetryPolicy",),
        "engine.shared_resources": ("SharedResources",),
        "engine.sqlite_ledger": ("SqliteLedger",),
        "engine.transports": ("Transport",),
        "engine.transports.aiohttp": ("AiohttpTransport",),
        "engine.transports.asgi": ("AsgiTransport",),
        "engine.transports.dns": ("Resolve",),
        "engine.transports.httpx": ("HttpxTransport",),
        "errors": (
            "APIError", "AccessDenied", "AgoraAnalyticsError", "Attempt", "AuthenticationError",
            "BadRequest", "CallNotFound", "ConfigurationError", "DeadlineExceeded", "DecodeError",
            "FencedOff", "IncompleteListing", "InvalidRequest", "LedgerUnavailable", "NotFound", "QueueUnavailable",
            "QuotaExhausted", "RateLimited", "RowsRefused", "ServerError", "StoreConflict", "StoreDamaged", "StoreError", "StoreVersionError",
            "TransportError", "WindowOutOfReach", "WindowRefused",
        ),
        "fleet.local": ("harvest_accounts",),
        "fleet.one_account": ("harvest_account",),
        "fleet.report": ("AccountBegun", "AccountEvent", "AccountObserver", "AccountReport"),
        "harvest.estimate": ("Estimate", "estimate"),
        "harvest.insights": ("harvest_insights",),
        "harvest.report": (
            "CallSkipped", "CallStored", "CallsListed", "HarvestEvent", "HarvestObserver", "HarvestReport",
            "PointsStored",
        ),
        "harvest.call_value": ("ValueName", "ValueRule"),
        "harvest.run": ("HarvestClient", "harvest"),
        "instants": ("Instant",),
        "kit.client": ("ClientOptions", "ConfigPath"),
        "messages": ("FailureKind", "Request", "Response", "TransportFailure"),
        "opentok.client": ("AsyncOpenTok", "OpenTokSettings"),
        "opentok.credentials": ("Application", "ProjectKey"),
        "signaling.client": ("AsyncSignaling", "SignalingSettings"),
        "store": (
            "BucketStore", "FileDamaged", "HarvestWriter", "ParquetStore", "Store", "StoreWriter", "Unreadable",
            "open_store",
        ),
    },
)  # fmt: skip


def __getattr__(name: str) -> Any:
    value = globals()[name] = _import(name)
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


class _Package(ModuleType):
    """Keeps `harvest` the function: importing the subpackage of that name would replace it by the module."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
