"""The requests of Real-time: which endpoint tells a metric, of which windows, and what is sent to it."""

from collections.abc import Sequence

from agora_analytics.agora import window_policies
from agora_analytics.agora.enums import LIVE_COUNTS, names
from agora_analytics.agora.operations import (
    REALTIME_QUALITY,
    REALTIME_QUALITY_TOP,
    REALTIME_USAGE,
    REALTIME_USAGE_TOP,
)
from agora_analytics.agora.parsers import QueryContext
from agora_analytics.agora.queries import Parameter, PlannedRequest, QueryRunner
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.windows import Window, reachable
from agora_analytics.instants import Instant, epoch_seconds


def endpoint_of(metric: str) -> Endpoint:
    """Return the endpoint that tells a metric by 20 seconds; names that nobody knows are taken for quality."""
    return REALTIME_USAGE if metric in LIVE_COUNTS else REALTIME_QUALITY


def top_endpoint_of(metric: str) -> Endpoint:
    """Return the endpoint that tells a metric of the largest groups; names that nobody knows are taken for quality."""
    return REALTIME_USAGE_TOP if metric in LIVE_COUNTS else REALTIME_QUALITY_TOP


def live_windows(
    asker: QueryRunner, endpoint: Endpoint, since: Instant, until: Instant, *, checked: bool
) -> Sequence[window_policies.Span]:
    """Return the windows that a time range is asked for in; unchecked, the range as it was given.

    Raises:
        WindowOutOfReach: no whole window of the range is in the plan's reach.
    """
    if not checked:
        return [asker.as_given(since, until)]
    return window_policies.realtime_windows(
        asker.window(since, until), asker.limits(endpoint), asker.now(), endpoint=endpoint.name
    )


def live_moment(
    asker: QueryRunner, endpoint: Endpoint, at: Instant | None, *, checked: bool
) -> window_policies.Span:
    """Return a moment as it is asked for; None is one of the newest window that the plan has.

    Raises:
        WindowOutOfReach: the moment is not in the plan's reach.
    """
    now, limits = asker.now(), asker.limits(endpoint)
    if at is None:  # the window that ended last, and not the one that goes on
        at = window_policies.on_grid_before(reachable(limits, now).end) - window_policies.GRID
    if not checked:
        return asker.as_given(at, at)
    ts = int(epoch_seconds(at, now=now, name="at"))
    return window_policies.keep_moment(Window(ts, ts), limits, now, endpoint.name)


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
    window: window_policies.Span,
    params: tuple[Parameter, ...],
    dimension: str | None = None,
    users: Sequence[str] = (),
    *,
    cut: window_policies.Cut = window_policies.cut_realtime,
) -> PlannedRequest:
    """Return one request."""
    uids: tuple[Parameter, ...] = (("uids", ",".join(users)),) if users else ()
    return PlannedRequest(
        endpoint=endpoint,
        asked=QueryContext(metric=metric, dimension=dimension, window=window),
        params=(("metric", metric), *params, *uids),
        cut=cut,
    )
