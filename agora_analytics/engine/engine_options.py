"""The options of an engine, in a module that does not import the engine: a client has options before it connects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from agora_analytics.engine.clock import Clock
    from agora_analytics.engine.events import Observer
    from agora_analytics.engine.ledger import Ledger
    from agora_analytics.engine.retry_policy import RetryPolicy
    from agora_analytics.engine.shared_resources import SharedResources
    from agora_analytics.engine.transports import Transport

CACHE_BYTES = 16_000_000
"""The default of `cache_bytes`."""


@frozen(kw_only=True)
class EngineOptions:
    """What a user may pass instead of the defaults; `ClientOptions` describes each."""

    retry: RetryPolicy | None = None
    transport: Transport | None = None
    http_client: httpx.AsyncClient | None = None
    observer: Observer | Sequence[Observer] | None = None
    ledger: Ledger | None = None
    clock: Clock | None = None
    cache_bytes: int = CACHE_BYTES
    resources: SharedResources | None = None
