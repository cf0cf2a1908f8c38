"""A dlt source: loads calls, sessions, samples and points into a destination that dlt can merge into.

Needs the extra `dlt`.

Example:
    import dlt
    from agora_analytics.integrations.dlt import agora_source

    pipeline = dlt.pipeline("calls", destination="duckdb", dataset_name="agora")
    pipeline.run(agora_source(since="2d"))
"""

from agora_analytics.errors import ConfigurationError

try:
    from agora_analytics.integrations.dlt.account import AgoraAccount
    from agora_analytics.integrations.dlt.source import agora_source
except ModuleNotFoundError as error:
    missing = (error.name or "").partition(".")[0]
    if missing == "agora_analytics":
        raise
    raise ConfigurationError(f"the dlt source needs {missing}; install agora-analytics[dlt]") from error

__all__ = ["AgoraAccount", "agora_source"]
