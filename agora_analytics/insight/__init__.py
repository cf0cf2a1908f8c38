"""Answers from a store: how good calls were, why, and whether they got worse."""

from typing import TYPE_CHECKING

from agora_analytics.lazy import lazy_names

if TYPE_CHECKING:
    from agora_analytics.insight.compare_periods import Comparison as Comparison
    from agora_analytics.insight.compare_periods import GroupComparison as GroupComparison
    from agora_analytics.insight.compare_periods import compare as compare
    from agora_analytics.insight.diagnosis.diagnose import diagnose as diagnose
    from agora_analytics.insight.diagnosis.diagnose import diagnose_live as diagnose_live
    from agora_analytics.insight.diagnosis.diagnosis import Diagnosis as Diagnosis
    from agora_analytics.insight.diagnosis.diagnosis import Evidence as Evidence
    from agora_analytics.insight.mix import MixChange as MixChange
    from agora_analytics.insight.mix import ShareChange as ShareChange
    from agora_analytics.insight.scores import score as score

__all__, __getattr__ = lazy_names(
    __name__,
    {
        "compare_periods": ("Comparison", "GroupComparison", "compare"),
        "diagnosis.diagnose": ("diagnose", "diagnose_live"),
        "diagnosis.diagnosis": ("Diagnosis", "Evidence"),
        "mix": ("MixChange", "ShareChange"),
        "scores": ("score",),
    },
)
