"""A world of planted calls, for a simulator to serve."""

from collections.abc import Iterable

from agora_analytics.simulator.ground_truth.series import SampleTiming
from agora_analytics.simulator.impairments.planted_calls import PlantedCall
from agora_analytics.simulator.impairments.simulated_points import SimulatedPoints
from agora_analytics.simulator.world import World


def planted_world(planted: Iterable[PlantedCall], *, timing: SampleTiming | None = None) -> World:
    """Return a world whose calls are planted ones.

    Args:
        planted: the calls; see `planted_call`.
        timing: how often sessions report.

    Example:
        >>> from agora_analytics.simulator import planted_call
        >>> planted = planted_call(3)
        >>> planted_world([planted]).call(planted.call.call_id).cname
        'planted-3'
    """
    timing = timing or SampleTiming(max_series=100)
    planted = tuple(planted)
    calls = [(each.call, each.impairments) for each in planted]
    silent = frozenset[str]().union(*(each.silent for each in planted))
    return World([call for call, _ in calls], timing=timing, points=SimulatedPoints(calls, timing, silent))
