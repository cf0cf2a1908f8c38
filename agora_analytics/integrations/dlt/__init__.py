"""A dlt source: loads calls, sessions, samples and points into a destination that dlt can merge into.

Needs the extra `dlt`.

Example:
    import dlt
    from agora_analytics.integrations.dlt import agora_source

    pipeline = dlt.pipeline("calls", destination="duckdb", dataset_name="agora")
    pipeline.run(agora_source(since="2d"))
"""

from typing import TYPE_CHECKING, Any

from agora_analytics.errors import ConfigurationError
from agora_analytics.lazy import lazy_names

if TYPE_CHECKING:
    from agora_analytics.integrations.dlt.credentials import AgoraCredentials as AgoraCredentials
    from agora_analytics.integrations.dlt.source import agora_source as agora_source

__all__, _import = lazy_names(__name__, {"credentials": ("AgoraCredentials",), "source": ("agora_source",)})


def __getattr__(name: str) -> Any:
    try:
        return _import(name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise ConfigurationError(f"the dlt source needs {missing}; install agora-analytics[dlt]") from error
