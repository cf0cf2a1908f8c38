"""ApsaraVideo Live interaction metrics: its facts, its signature, its client.

Source: `reference/apsaravideo.md`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agora_analytics.apsaravideo.client import AsyncApsaraVideo as AsyncApsaraVideo
    from agora_analytics.apsaravideo.credentials import Credentials as Credentials
    from agora_analytics.apsaravideo.facts import LIMITS as LIMITS
    from agora_analytics.apsaravideo.facts import Metric as Metric
    from agora_analytics.apsaravideo.facts import Os as Os
    from agora_analytics.apsaravideo.facts import TerminalType as TerminalType
    from agora_analytics.apsaravideo.records import MetricPage as MetricPage
    from agora_analytics.apsaravideo.records import MetricPages as MetricPages
    from agora_analytics.apsaravideo.records import MetricPoint as MetricPoint

__all__ = [
    "LIMITS",
    "AsyncApsaraVideo",
    "Credentials",
    "Metric",
    "MetricPage",
    "MetricPages",
    "MetricPoint",
    "Os",
    "TerminalType",
]

_HOME = {
    "client": ("AsyncApsaraVideo",),
    "credentials": ("Credentials",),
    "facts": ("LIMITS", "Metric", "Os", "TerminalType"),
    "records": ("MetricPage", "MetricPages", "MetricPoint"),
}
_MODULE_OF = {name: f"{__name__}.{module}" for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:  # the simulator reads the facts, and must not bring in the client
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)
