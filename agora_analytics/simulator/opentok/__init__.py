"""Simulated Vonage / OpenTok Insights: a GraphQL server over generated sessions and days."""

from agora_analytics.simulator.opentok.app import DEMO_PROJECT, OpenTokSimulator
from agora_analytics.simulator.opentok.generator import OpenTokWorldConfig
from agora_analytics.simulator.opentok.rules import Rules
from agora_analytics.simulator.opentok.world import OpenTokWorld

__all__ = ["DEMO_PROJECT", "OpenTokSimulator", "OpenTokWorld", "OpenTokWorldConfig", "Rules"]
