"""The blocking client of Agora Signaling."""

from typing import Any

from agora_analytics.blocking.wrappers import (
    Blocking,
    awaited,
    constructor,
    copy_docstring,
    copy_init,
    listing,
    stream,
)
from agora_analytics.signaling.client import AsyncSignaling
from agora_analytics.signaling.credentials import Credentials, CredentialsSource


@copy_docstring(AsyncSignaling)
class Signaling(Blocking[AsyncSignaling]):  # noqa: D101 - it has the docstring of AsyncSignaling
    @copy_init(AsyncSignaling)
    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(AsyncSignaling, *args, **settings)

    from_env = constructor(AsyncSignaling.from_env)
    from_config = constructor(AsyncSignaling.from_config)
    peer_message = awaited(AsyncSignaling.peer_message)
    channel_message = awaited(AsyncSignaling.channel_message)
    user_events = stream(AsyncSignaling.user_events)
    channel_events = stream(AsyncSignaling.channel_events)
    history = listing(AsyncSignaling.history)
    legacy_history = listing(AsyncSignaling.legacy_history)
    legacy_count = awaited(AsyncSignaling.legacy_count)

    @property
    def app_id(self) -> str:
        """The project's App ID."""
        return self._subject.app_id

    @property
    def credentials(self) -> Credentials | CredentialsSource:
        """How the client authenticates. Its repr has no secret."""
        return self._subject.credentials
