"""ApsaraVideo Live interaction metrics: its client and its facts.

Source: Alibaba Cloud, "ApsaraVideo Live: DescribeLiveInteractionMetricData".
"""

from typing import TYPE_CHECKING

from agora_analytics.lazy import lazy_names

if TYPE_CHECKING:
    from agora_analytics.apsaravideo.auth import Credentials as Credentials
    from agora_analytics.apsaravideo.client import AsyncApsaraVideo as AsyncApsaraVideo
    from agora_analytics.apsaravideo.records import MetricPage as MetricPage
    from agora_analytics.apsaravideo.records import MetricPoint as MetricPoint
    from agora_analytics.apsaravideo.spec import LIMITS as LIMITS
    from agora_analytics.apsaravideo.spec import Metric as Metric
    from agora_analytics.apsaravideo.spec import Os as Os
    from agora_analytics.apsaravideo.spec import TerminalType as TerminalType

__all__, __getattr__ = lazy_names(
    __name__,
    {
        "auth": ("Credentials",),
        "client": ("AsyncApsaraVideo",),
        "records": ("MetricPage", "MetricPoint"),
        "spec": ("LIMITS", "Metric", "Os", "TerminalType"),
    },
)
