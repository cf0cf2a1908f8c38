"""Simulated Vonage / OpenTok Insights: a seeded world of sessions and days behind its own GraphQL server."""

from agora_analytics.simulator.opentok.app import DEMO_PROJECT, OpenTokSimulator
from agora_analytics.simulator.opentok.client_mix import OpenTokWorldConfig
from agora_analytics.simulator.opentok.rules import Rules
from agora_analytics.simulator.opentok.world import OpenTokWorld

__all__ = ["DEMO_PROJECT", "OpenTokSimulator", "OpenTokWorld", "OpenTokWorldConfig", "Rules"]
