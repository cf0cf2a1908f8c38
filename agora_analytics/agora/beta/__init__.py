"""The 2021 beta API of Agora Analytics, for accounts and archives that still use it.

Today's API is `agora_analytics.AsyncAgora`. Rates are PERCENT here, and fractions there.
"""

from typing import TYPE_CHECKING

from agora_analytics.lazy import lazy_names

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

# The simulator reads the limits, and must not import the client.
__all__, __getattr__ = lazy_names(
    __name__,
    {
        "client": ("AsyncAgoraBeta",),
        "enums": (
            *("EXPERIENCES", "FACTORS", "BetaExperienceMetric"),
            *("BetaNetMetric", "BetaScaleMetric", "BetaUsageMetric"),
        ),
        "limits": ("LIMITS",),
        "records": ("BetaPoint", "CallDetails", "CauseTag", "Diagnosis"),
    },
)
