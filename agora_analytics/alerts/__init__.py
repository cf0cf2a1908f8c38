"""Alerts as code: rules over real-time values or a store, and their delivery to a webhook."""

from typing import TYPE_CHECKING

from agora_analytics.lazy import lazy_names

if TYPE_CHECKING:
    from agora_analytics.alerts.alert_database import AlertDatabase as AlertDatabase
    from agora_analytics.alerts.alert_event import AlertEvent as AlertEvent
    from agora_analytics.alerts.alert_queue import AlertQueue as AlertQueue
    from agora_analytics.alerts.incidents import Incident as Incident
    from agora_analytics.alerts.realtime_alerts import RealtimeAlerts as RealtimeAlerts
    from agora_analytics.alerts.rules import AlertRule as AlertRule
    from agora_analytics.alerts.rules import Silence as Silence
    from agora_analytics.alerts.rules_file import AlertRules as AlertRules
    from agora_analytics.alerts.rules_file import read_rules as read_rules
    from agora_analytics.alerts.store_alerts import AlertBacktest as AlertBacktest
    from agora_analytics.alerts.store_alerts import backtest as backtest
    from agora_analytics.alerts.store_alerts import evaluate_store as evaluate_store
    from agora_analytics.alerts.webhook import Webhook as Webhook
    from agora_analytics.alerts.webhook import WebhookSender as WebhookSender

__all__, __getattr__ = lazy_names(
    __name__,
    {
        "alert_database": ("AlertDatabase",),
        "alert_event": ("AlertEvent",),
        "alert_queue": ("AlertQueue",),
        "incidents": ("Incident",),
        "realtime_alerts": ("RealtimeAlerts",),
        "rules": ("AlertRule", "Silence"),
        "rules_file": ("AlertRules", "read_rules"),
        "store_alerts": ("AlertBacktest", "backtest", "evaluate_store"),
        "webhook": ("Webhook", "WebhookSender"),
    },
)
