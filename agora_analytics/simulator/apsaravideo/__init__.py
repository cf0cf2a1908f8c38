"""Simulated ApsaraVideo Live: interaction metrics, with its own check of signatures, windows and limits."""

from agora_analytics.simulator.apsaravideo.app import DEMO_KEYS, ApsaraVideoSimulator
from agora_analytics.simulator.apsaravideo.world import ApsaraVideoWorld

__all__ = ["DEMO_KEYS", "ApsaraVideoSimulator", "ApsaraVideoWorld"]
