"""Bulk harvest: fetches everything that the plan allows, at its rate limits, into a store, exactly once."""

from agora_analytics.harvest.estimate import Estimate, estimate
from agora_analytics.harvest.insights import harvest_insights
from agora_analytics.harvest.report import CallSkipped, CallsListed, CallStored, HarvestReport, PointsStored
from agora_analytics.harvest.run import harvest
from agora_analytics.store.records import FileDamaged, Unreadable

__all__ = [
    "CallSkipped",
    "CallStored",
    "CallsListed",
    "Estimate",
    "FileDamaged",
    "HarvestReport",
    "PointsStored",
    "Unreadable",
    "estimate",
    "harvest",
    "harvest_insights",
]
