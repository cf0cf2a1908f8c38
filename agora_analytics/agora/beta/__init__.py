"""The 2021 beta API of Agora Analytics, for accounts and archives that still speak it.

Today's API is `agora_analytics.AsyncAgora`. Beware: rates are PERCENT here, and fractions there.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agora_analytics.agora.beta.client import AsyncAgoraBeta as AsyncAgoraBeta
    from agora_analytics.agora.beta.enums import EXPERIENCES as EXPERIENCES
    from agora_analytics.agora.beta.enums import FACTORS as FACTORS
    from agora_analytics.agora.beta.enums import BetaExperienceMetric as BetaExperienceMetric
    from agora_analytics.agora.beta.enums import BetaNetMetric as BetaNetMetric
    from agora_analytics.agora.beta.enums import BetaScaleMetric as BetaScaleMetric
    from agora_analytics.agora.beta.enums import BetaUsageMetric as BetaUsageMetric
    from agora_analytics.agora.beta.limits import LIMITS as LIMITS
    from agora_analytics.agora.beta.records import BetaPoint as BetaPoint
    from agora_analytics.agora.beta.records import CallDetails as CallDetails
    from agora_analytics.agora.beta.records import CauseTag as CauseTag
    from agora_analytics.agora.beta.records import Diagnosis as Diagnosis

__all__ = [
    "EXPERIENCES",
    "FACTORS",
    "LIMITS",
    "AsyncAgoraBeta",
    "BetaExperienceMetric",
    "BetaNetMetric",
    "BetaPoint",
    "BetaScaleMetric",
    "BetaUsageMetric",
    "CallDetails",
    "CauseTag",
    "Diagnosis",
]

_HOME = {
    "enums": (
        *("EXPERIENCES", "FACTORS", "BetaExperienceMetric"),
        *("BetaNetMetric", "BetaScaleMetric", "BetaUsageMetric"),
    ),
    "client": ("AsyncAgoraBeta",),
    "limits": ("LIMITS",),
    "records": ("BetaPoint", "CallDetails", "CauseTag", "Diagnosis"),
}
_MODULE_OF = {name: f"{__name__}.{module}" for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:  # the simulator reads the limits, and must not bring in the client
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)
