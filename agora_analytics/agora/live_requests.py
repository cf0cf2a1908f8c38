"""The requests of Real-time: which endpoint tells a metric, and what is sent to it."""

from collections.abc import Sequence

from agora_analytics.agora.asking import Ask, Parameter
from agora_analytics.agora.endpoints import REALTIME_QUALITY, REALTIME_USAGE
from agora_analytics.agora.ranges import Cut, Span, cut_realtime
from agora_analytics.agora.reading import Asked
from agora_analytics.agora.vocabulary import LIVE_COUNTS, names
from agora_analytics.core.endpoint import Endpoint


def endpoint_of(metric: str) -> Endpoint:
    """Return the endpoint that tells a metric by 20 seconds; names that nobody knows are taken for quality."""
    return REALTIME_USAGE if metric in LIVE_COUNTS else REALTIME_QUALITY


def live_params(
    product: str, by: str | None, values: Sequence[str], cname: str | None
) -> tuple[Parameter, ...]:
    """Return what the requests of a question have in common."""
    params: list[Parameter] = [("productType", str(product))]
    if by is not None:
        params.append(("dimension", str(by)))
    if values:
        params.append(("dimensionValues", list(names(values))))
    if cname is not None:
        params.append(("cname", cname))
    return tuple(params)


def live_ask(
    endpoint: Endpoint,
    metric: str,
    window: Span,
    params: tuple[Parameter, ...],
    dimension: str | None = None,
    users: Sequence[str] = (),
    *,
    cut: Cut = cut_realtime,
) -> Ask:
    """Return one request."""
    uids: tuple[Parameter, ...] = (("uids", ",".join(users)),) if users else ()
    return Ask(
        endpoint=endpoint,
        asked=Asked(metric=metric, dimension=dimension, window=window),
        params=(("metric", metric), *params, *uids),
        cut=cut,
    )
