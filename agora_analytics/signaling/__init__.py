"""Agora Signaling over REST: messages, their history, and the events of users and channels.

Source: Agora, "Signaling REST API".
"""

from typing import TYPE_CHECKING

from agora_analytics.lazy import lazy_names

if TYPE_CHECKING:
    from agora_analytics.agora.credentials import Basic as Basic
    from agora_analytics.signaling.client import AsyncSignaling as AsyncSignaling
    from agora_analytics.signaling.credentials import LegacyToken as LegacyToken
    from agora_analytics.signaling.credentials import Token as Token
    from agora_analytics.signaling.events import EventBatch as EventBatch
    from agora_analytics.signaling.events import EventMemory as EventMemory
    from agora_analytics.signaling.limits import LIMITS as LIMITS
    from agora_analytics.signaling.limits import MAX_NAME as MAX_NAME
    from agora_analytics.signaling.limits import MAX_PAYLOAD as MAX_PAYLOAD
    from agora_analytics.signaling.limits import SIXTY_A_SECOND as SIXTY_A_SECOND
    from agora_analytics.signaling.operations import EventsUnreadable as EventsUnreadable
    from agora_analytics.signaling.records import ArchivedMessage as ArchivedMessage
    from agora_analytics.signaling.records import ChannelEvent as ChannelEvent
    from agora_analytics.signaling.records import Delivery as Delivery
    from agora_analytics.signaling.records import DeliveryState as DeliveryState
    from agora_analytics.signaling.records import EventType as EventType
    from agora_analytics.signaling.records import HistoryMessage as HistoryMessage
    from agora_analytics.signaling.records import UserEvent as UserEvent

# The simulator reads the limits, and must not import the client.
__all__, __getattr__ = lazy_names(
    __name__,
    {
        "client": ("AsyncSignaling",),
        "credentials": ("Basic", "LegacyToken", "Token"),
        "events": ("EventBatch", "EventMemory"),
        "limits": ("LIMITS", "MAX_NAME", "MAX_PAYLOAD", "SIXTY_A_SECOND"),
        "operations": ("EventsUnreadable",),
        "records": (
            *("ArchivedMessage", "ChannelEvent", "Delivery", "DeliveryState"),
            *("EventType", "HistoryMessage", "UserEvent"),
        ),
    },
)
