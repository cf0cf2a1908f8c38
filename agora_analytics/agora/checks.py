"""What is refused before a request is spent on it; each refusal says what is allowed.

Source: `reference/agora-analytics-api.md`, "Endpoints".
"""

from collections.abc import Iterable, Sequence

from agora_analytics.agora.enums import KNOWN_METRICS, PEAKS, TAKES, Dimension, UsageMetric
from agora_analytics.agora.operations import INSIGHT_QUALITY_TOTALS, MAX_UIDS, REALTIME_USAGE
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.errors import InvalidRequest


def check_metrics(endpoint: Endpoint, metrics: Sequence[str]) -> None:
    """Refuse no metric at all, and one that belongs to another endpoint. Names that nobody knows pass.

    Raises:
        InvalidRequest: naming what the endpoint takes.
    """
    takes = TAKES[endpoint.name]
    if not metrics or not all(metrics):
        raise _refusal(endpoint, f"no metric is named; it takes {_listed(takes)}")
    for metric in metrics:
        if metric in KNOWN_METRICS and metric not in takes:
            raise _refusal(endpoint, f"it does not tell {metric}; it takes {_listed(takes)}")


def check_dimension(endpoint: Endpoint, metrics: Sequence[str], dimension: str | None) -> None:
    """Refuse a dimension that a metric or an endpoint does not take.

    Raises:
        InvalidRequest: saying which it takes.
    """
    if dimension is None:
        return
    if not dimension:
        raise _refusal(endpoint, "the dimension is empty")
    if dimension == Dimension.CHANNEL_SIZE and endpoint is not INSIGHT_QUALITY_TOTALS:
        here = set(map(str, Dimension)) - {dimension}
        raise _refusal(endpoint, f"only quality totals go by {dimension}; here there are {_listed(here)}")
    if peaks := [metric for metric in metrics if metric in PEAKS]:
        raise _refusal(endpoint, f"{_listed(peaks)} takes no dimension; ask for it without one")
    if endpoint is REALTIME_USAGE and (others := [m for m in metrics if m != UsageMetric.USER_COUNT]):
        raise _refusal(endpoint, f"{_listed(others)} takes no dimension; only {UsageMetric.USER_COUNT} does")


def check_values(endpoint: Endpoint, dimension: str | None, values: Sequence[str]) -> None:
    """Refuse values of no dimension, and such as a query cannot quote.

    Raises:
        InvalidRequest: saying why.
    """
    if values and dimension is None:
        raise _refusal(endpoint, "values= are of a dimension; give that too")
    if quoted := [value for value in values if '"' in value]:
        raise _refusal(endpoint, f"the value {quoted[0]!r} holds a double quote, which the API quotes with")


def check_country(endpoint: Endpoint, dimension: str | None, country: str | None) -> None:
    """Refuse the filter by country but with the regions of it.

    Raises:
        InvalidRequest: saying what it goes with.
    """
    if country is not None and dimension != Dimension.REGION:
        raise _refusal(endpoint, f"the filter by country goes with the dimension {Dimension.REGION} only")


def check_uids(endpoint: Endpoint, uids: Sequence[str], cname: str | None) -> None:
    """Refuse users of no channel.

    Raises:
        InvalidRequest: saying what is missing.
    """
    if uids and not cname:
        raise _refusal(endpoint, "uids= are of a channel; give its name as cname=")
    if bad := [uid for uid in uids if not uid or "," in uid]:
        raise _refusal(endpoint, f"{bad[0]!r} is not a user id that a comma list can hold")


def chunks(uids: Sequence[str], size: int = MAX_UIDS) -> list[Sequence[str]]:
    """Return the users in as few parts as requests take; one empty part for none."""
    return [uids[i : i + size] for i in range(0, len(uids), size)] or [()]


def _refusal(endpoint: Endpoint, text: str) -> InvalidRequest:
    return InvalidRequest(text, endpoint=endpoint.name)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
