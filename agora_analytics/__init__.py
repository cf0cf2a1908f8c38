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
    from agora_analytics.agora.client import AsyncAgora as AsyncAgora
    from agora_analytics.agora.credentials import Basic as Basic
    from agora_analytics.agora.credentials import BasicSource as BasicSource
    from agora_analytics.agora.enums import Dimension as Dimension
    from agora_analytics.agora.enums import FreezeMetric as FreezeMetric
    from agora_analytics.agora.enums import Granularity as Granularity
    from agora_analytics.agora.enums import Product as Product
    from agora_analytics.agora.enums import QualityMetric as QualityMetric
    from agora_analytics.agora.enums import RealtimeMetric as RealtimeMetric
    from agora_analytics.agora.enums import TimeMetric as TimeMetric
    from agora_analytics.agora.enums import UsageMetric as UsageMetric
    from agora_analytics.agora.follow import LiveWindow as LiveWindow
    from agora_analytics.agora.metric_ids import METRIC_IDS as METRIC_IDS
    from agora_analytics.agora.metric_ids import metric_name as metric_name
    from agora_analytics.agora.plans import ENTERPRISE as ENTERPRISE
    from agora_analytics.agora.plans import PLANS as PLANS
    from agora_analytics.agora.plans import PREMIUM as PREMIUM
    from agora_analytics.agora.plans import STANDARD as STANDARD
    from agora_analytics.agora.plans import Plan as Plan
    from agora_analytics.agora.record_list import Rows as Rows
    from agora_analytics.agora.records import Call as Call
    from agora_analytics.agora.records import Session as Session
    from agora_analytics.agora.settings import PlanName as PlanName
    from agora_analytics.agora.settings import Region as Region
    from agora_analytics.agora.settings import RegionName as RegionName
    from agora_analytics.agora.stat_records import FreezeBucket as FreezeBucket
    from agora_analytics.agora.stat_records import GroupStatistic as GroupStatistic
    from agora_analytics.agora.stat_records import Point as Point
    from agora_analytics.agora.stat_records import TopGroup as TopGroup
    from agora_analytics.agora.stat_records import Total as Total
    from agora_analytics.apsaravideo.client import AsyncApsaraVideo as AsyncApsaraVideo
    from agora_analytics.apsaravideo.records import MetricPoint as MetricPoint
    from agora_analytics.blocking.agora import Agora as Agora
    from agora_analytics.blocking.agora import AgoraBeta as AgoraBeta
    from agora_analytics.blocking.apsaravideo import ApsaraVideo as ApsaraVideo
    from agora_analytics.blocking.opentok import OpenTok as OpenTok
    from agora_analytics.blocking.signaling import Signaling as Signaling
    from agora_analytics.core.columns import Series as Series
    from agora_analytics.core.domains import DomainState as DomainState
    from agora_analytics.core.limits import Limits as Limits
    from agora_analytics.core.verdicts import SkippedRecord as SkippedRecord
    from agora_analytics.engine.call_options import CallOptions as CallOptions
    from agora_analytics.engine.engine import Quota as Quota
    from agora_analytics.engine.ledger import MemoryLedger as MemoryLedger
    from agora_analytics.engine.ledger import SqliteLedger as SqliteLedger
    from agora_analytics.engine.pages import Page as Page
    from agora_analytics.engine.pages import Pages as Pages
    from agora_analytics.engine.retry_policy import RetryPolicy as RetryPolicy
    from agora_analytics.engine.transports.aiohttp import AiohttpTransport as AiohttpTransport
    from agora_analytics.engine.transports.asgi import AsgiTransport as AsgiTransport
    from agora_analytics.engine.transports.httpx import HttpxTransport as HttpxTransport
    from agora_analytics.errors import AccessDenied as AccessDenied
    from agora_analytics.errors import AgoraAnalyticsError as AgoraAnalyticsError
    from agora_analytics.errors import APIError as APIError
    from agora_analytics.errors import Attempt as Attempt
    from agora_analytics.errors import AuthenticationError as AuthenticationError
    from agora_analytics.errors import BadRequest as BadRequest
    from agora_analytics.errors import ConfigurationError as ConfigurationError
    from agora_analytics.errors import DeadlineExceeded as DeadlineExceeded
    from agora_analytics.errors import DecodeError as DecodeError
    from agora_analytics.errors import IncompleteListing as IncompleteListing
    from agora_analytics.errors import InvalidRequest as InvalidRequest
    from agora_analytics.errors import NotFound as NotFound
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
    from agora_analytics.harvest.estimate import Estimate as Estimate
    from agora_analytics.harvest.estimate import estimate as estimate
    from agora_analytics.harvest.insights import harvest_insights as harvest_insights
    from agora_analytics.harvest.report import HarvestReport as HarvestReport
    from agora_analytics.harvest.run import harvest as harvest
    from agora_analytics.kit.client import ConfigPath as ConfigPath
    from agora_analytics.messages import FailureKind as FailureKind
    from agora_analytics.messages import Request as Request
    from agora_analytics.messages import Response as Response
    from agora_analytics.messages import TransportFailure as TransportFailure
    from agora_analytics.opentok.client import AsyncOpenTok as AsyncOpenTok
    from agora_analytics.opentok.credentials import Application as Application
    from agora_analytics.opentok.credentials import ProjectKey as ProjectKey
    from agora_analytics.signaling.client import AsyncSignaling as AsyncSignaling
    from agora_analytics.store import open_store as open_store

__version__ = "0.1.0"

__all__, _import = lazy_names(
    __name__,
    {
        "agora.beta.client": ("AsyncAgoraBeta",),
        "agora.client": ("AsyncAgora",),
        "agora.credentials": ("Basic", "BasicSource"),
        "agora.follow": ("LiveWindow",),
        "agora.stat_records": (
            "FreezeBucket",
            "GroupStatistic",
            "Point",
            "TopGroup",
            "Total",
        ),
        "agora.metric_ids": (
            "METRIC_IDS",
            "metric_name",
        ),
        "agora.plans": (
            "ENTERPRISE",
            "PLANS",
            "PREMIUM",
            "STANDARD",
            "Plan",
        ),
        "agora.records": (
            "Call",
            "Session",
        ),
        "agora.record_list": ("Rows",),
        "agora.settings": ("PlanName", "Region", "RegionName"),
        "agora.enums": (
            "Dimension",
            "FreezeMetric",
            "Granularity",
            "Product",
            "QualityMetric",
            "RealtimeMetric",
            "TimeMetric",
            "UsageMetric",
        ),
        "apsaravideo.client": ("AsyncApsaraVideo",),
        "apsaravideo.records": ("MetricPoint",),
        "blocking.agora": ("Agora", "AgoraBeta"),
        "blocking.apsaravideo": ("ApsaraVideo",),
        "blocking.opentok": ("OpenTok",),
        "blocking.signaling": ("Signaling",),
        "core.columns": ("Series",),
        "core.domains": ("DomainState",),
        "core.limits": ("Limits",),
        "core.verdicts": ("SkippedRecord",),
        "engine.call_options": ("CallOptions",),
        "engine.engine": ("Quota",),
        "engine.ledger": (
            "MemoryLedger",
            "SqliteLedger",
        ),
        "engine.pages": (
            "Page",
            "Pages",
        ),
        "engine.retry_policy": ("RetryPolicy",),
        "engine.transports.aiohttp": ("AiohttpTransport",),
        "engine.transports.asgi": ("AsgiTransport",),
        "engine.transports.httpx": ("HttpxTransport",),
        "errors": (
            "APIError",
            "AccessDenied",
            "AgoraAnalyticsError",
            "Attempt",
            "AuthenticationError",
            "BadRequest",
            "ConfigurationError",
            "DeadlineExceeded",
            "DecodeError",
            "IncompleteListing",
            "InvalidRequest",
            "NotFound",
            "StoreConflict",
            "QuotaExhausted",
            "RateLimited",
            "RowsRefused",
            "ServerError",
            "StoreDamaged",
            "StoreError",
            "StoreVersionError",
            "TransportError",
            "WindowOutOfReach",
            "WindowRefused",
        ),
        "harvest.estimate": (
            "Estimate",
            "estimate",
        ),
        "harvest.insights": ("harvest_insights",),
        "harvest.report": ("HarvestReport",),
        "harvest.run": ("harvest",),
        "kit.client": ("ConfigPath",),
        "messages": (
            "FailureKind",
            "Request",
            "Response",
            "TransportFailure",
        ),
        "opentok.client": ("AsyncOpenTok",),
        "opentok.credentials": ("Application", "ProjectKey"),
        "signaling.client": ("AsyncSignaling",),
        "store": ("open_store",),
    },
)


def __getattr__(name: str) -> Any:
    value = globals()[name] = _import(name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps `harvest` the function: importing the subpackage of that name would replace it by the module."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
