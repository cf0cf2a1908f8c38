"""One attempt of a request, as a vendor's reader sees it."""

from typing import Any

from agora_analytics.core.verdicts import Exchange, Payload


def exchange(
    outcome: Any, endpoint: Any, *, now: float = 0.0, sent_at: float | None = None, **more: Any
) -> Exchange:
    """Return an attempt of an endpoint that ended with a response or a failure at `now` (the server's clock)."""
    sent_at = now if sent_at is None else sent_at
    return Exchange(
        **{"endpoint": endpoint, "payload": Payload(), "outcome": outcome, "sent_at": sent_at, "now": now}
        | more
    )
