"""Answers from a store: how good calls were, and whether they got worse."""

from typing import TYPE_CHECKING

from agora_analytics.lazy import lazy_names

if TYPE_CHECKING:
    from agora_analytics.insight.compare_periods import Comparison as Comparison
    from agora_analytics.insight.compare_periods import GroupComparison as GroupComparison
    from agora_analytics.insight.compare_periods import compare as compare
    from agora_analytics.insight.mix import MixChange as MixChange
    from agora_analytics.insight.mix import ShareChange as ShareChange
    from agora_analytics.insight.scores import score as score

__all__, __getattr__ = lazy_names(
    __name__,
    {
        "compare_periods": ("Comparison", "GroupComparison", "compare"),
        "mix": ("MixChange", "ShareChange"),
        "scores": ("score",),
    },
)
