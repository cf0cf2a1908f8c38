"""What the outcome of an attempt means for the engine, whatever the vendor. Pure."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve

from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.json_memory import refuse_expansion
from agora_analytics.core.verdicts import Done, Exchange, Verdict
from agora_analytics.engine.transports import LARGEST_BODY
from agora_analytics.errors import AgoraAnalyticsError, Attempt, QuotaExhausted
from agora_analytics.messages import FailureKind, Response, TransportFailure


def refused_redirect(response: Response) -> TransportFailure | None:
    """Refuse to follow a redirect, because it would send the credentials to its target."""
    if not (300 <= response.status < 400 and "location" in response.headers):
        return None
    try:
        target = urlsplit(response.headers["location"]).hostname or "another path"
    except ValueError:
        target = "an invalid address"
    return TransportFailure(FailureKind.REDIRECT, f"HTTP {response.status} to {target}")


def bounded(exchange: Exchange, response: Response) -> Exchange:
    """Return the exchange, with a failure in place of a response that would take too much memory."""
    columnar = exchange.endpoint.columnar
    failure = refuse_expansion(response.body, LARGEST_BODY, columnar=columnar)
    return exchange if failure is None else evolve(exchange, outcome=failure)


def is_from_the_api(verdict: Verdict[Any], outcome: Response | TransportFailure) -> bool:
    """Whether a response is from the API itself: it is good, or a refusal with a code of the API.

    A proxy has no such codes. A code that repeats the HTTP status may be its own.
    """
    if isinstance(verdict, Done):
        return True
    if isinstance(outcome, TransportFailure) or outcome.status >= 500:
        return False
    error = verdict.error
    return isinstance(error, QuotaExhausted) or getattr(error, "code", None) not in (None, outcome.status)


def with_context(
    error: AgoraAnalyticsError, endpoint: Endpoint, host: str, trail: Sequence[Attempt]
) -> AgoraAnalyticsError:
    """Attach the endpoint, host and trail to an error. The vendor's reader has already set the request id."""
    error.endpoint, error.host, error.trail = endpoint.name, host, tuple(trail)
    return error
