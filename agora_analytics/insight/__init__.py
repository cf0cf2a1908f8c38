"""Answers from a store: how good calls were. Needs the extra `insight`."""

from typing import TYPE_CHECKING

from agora_analytics.lazy import lazy_names

if TYPE_CHECKING:
    from agora_analytics.insight.scores import score as score

__all__, __getattr__ = lazy_names(__name__, {"scores": ("score",)})
