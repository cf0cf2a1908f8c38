"""Simulators of the vendors' APIs: generated worlds with strict limits and injected faults.

They share facts with the clients, such as plan tables and enums, and no logic: they count and check independently.

Example:
    >>> world = World.generate(seed=7, since=1_795_000_000, until=1_795_086_400, calls=20)
    >>> sim = Simulator(world, plan="enterprise")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from agora_analytics.simulator.agora import Simulator
from agora_analytics.simulator.apsaravideo import DEMO_KEYS, ApsaraVideoSimulator, ApsaraVideoWorld
from agora_analytics.simulator.beta import BetaSimulator
from agora_analytics.simulator.counters import Seen
from agora_analytics.simulator.dirt import DIRT_KINDS, Dirt, DirtKind
from agora_analytics.simulator.faults import FaultKind, Faults
from agora_analytics.simulator.ground_truth.generator import SIMPLE, WorldConfig
from agora_analytics.simulator.ground_truth.records import CallTruth, Peer, SeriesTruth, SessionTruth, Totals
from agora_analytics.simulator.ground_truth.series import SampleTiming
from agora_analytics.simulator.impairments.impairment import IMPAIRMENT_CAUSES, Impairment, ImpairmentCause
from agora_analytics.simulator.impairments.planted_calls import (
    HELD_OUT_SEEDS,
    TUNING_SEEDS,
    PlantedCall,
    PlantedCause,
    planted_call,
)
from agora_analytics.simulator.planted_world import planted_world
from agora_analytics.simulator.server import run, serve, serve_in_thread
from agora_analytics.simulator.signaling import SignalingSimulator
from agora_analytics.simulator.simulated_api import CombinedSimulator
from agora_analytics.simulator.world import DEMO_APP_ID, DEMO_CREDENTIALS, World

if TYPE_CHECKING:
    from agora_analytics.simulator.opentok import (
        DEMO_PROJECT,
        OpenTokSimulator,
        OpenTokWorld,
        OpenTokWorldConfig,
    )

__all__ = [
    "DEMO_APP_ID",
    "DEMO_CREDENTIALS",
    "DEMO_KEYS",
    "DEMO_PROJECT",
    "DIRT_KINDS",
    "HELD_OUT_SEEDS",
    "IMPAIRMENT_CAUSES",
    "SIMPLE",
    "TUNING_SEEDS",
    "ApsaraVideoSimulator",
    "ApsaraVideoWorld",
    "BetaSimulator",
    "CallTruth",
    "CombinedSimulator",
    "Dirt",
    "DirtKind",
    "FaultKind",
    "Faults",
    "Impairment",
    "ImpairmentCause",
    "OpenTokSimulator",
    "OpenTokWorld",
    "OpenTokWorldConfig",
    "Peer",
    "PlantedCall",
    "PlantedCause",
    "SampleTiming",
    "Seen",
    "SeriesTruth",
    "SessionTruth",
    "SignalingSimulator",
    "Simulator",
    "Totals",
    "World",
    "WorldConfig",
    "planted_call",
    "planted_world",
    "run",
    "serve",
    "serve_in_thread",
]

_OPENTOK = {"DEMO_PROJECT", "OpenTokWorldConfig", "OpenTokSimulator", "OpenTokWorld"}


def __getattr__(name: str) -> Any:
    """Import the OpenTok simulator, which loads GraphQL and cryptography, at the first use."""
    if name in _OPENTOK:
        return getattr(import_module("agora_analytics.simulator.opentok"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
