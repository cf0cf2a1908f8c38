"""Data Insights for blocking code."""

from agora_analytics.agora.insights import Insights as AsyncInsights
from agora_analytics.blocking.wrappers import BlockingPart, awaited, copy_docstring


@copy_docstring(AsyncInsights)
class Insights(BlockingPart):  # noqa: D101 - it has the docstring of the asynchronous class
    usage = awaited(AsyncInsights.usage)
    quality = awaited(AsyncInsights.quality)
    usage_totals = awaited(AsyncInsights.usage_totals)
    quality_totals = awaited(AsyncInsights.quality_totals)
    estimate = awaited(AsyncInsights.estimate)
