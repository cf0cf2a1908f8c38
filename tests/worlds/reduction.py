"""Reduces a failing world: leaves out calls, faults and everything else that the violation does not need."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from attrs import evolve

from agora_analytics.simulator import Faults
from tests.worlds.settings import WorldSettings
from tests.worlds.world import Result, run_world

_PARTS: Mapping[str, Callable[[WorldSettings], WorldSettings]] = {
    "faults": lambda world: evolve(world, faults=Faults()),
    "dirt": lambda world: evolve(world, dirt=None),
    "latency": lambda world: evolve(world, latency=(0.0, 0.0)),
    "skew": lambda world: evolve(world, ahead=0.0),
    "clock-steps": lambda world: evolve(world, clock_steps=()),
    "compactions": lambda world: evolve(world, compactions=(), compacts_after_kill=False),
    "readers": lambda world: evolve(world, readers=()),
    "lookups": lambda world: evolve(world, lookups=0),
    "web-requests": lambda world: evolve(world, web_requests=0),
    "slow-tasks": lambda world: evolve(world, slow_share=0.0),
    "snapshots": lambda world: evolve(world, snapshots=0),
    "last-known": lambda world: evolve(world, last_known="now"),
    "flushes": lambda world: evolve(world, durable=False),
    "small-pages": lambda world: evolve(world, page_size=100, sids_in_a_request=20),
    "kills": lambda world: evolve(world, kills=tuple(() for _ in world.kills)),
}


def parts(settings: WorldSettings) -> Iterator[str]:
    """Yield the names of what can be left out of a world: the largest parts first."""
    if settings.harvests > 1:
        yield from (f"harvest-{number}" for number in range(settings.harvests))
    if len(settings.calls) > 1:
        yield from (call.cname for call in settings.calls)
    yield from (name for name, leave_out in _PARTS.items() if leave_out(settings) != settings)


def without(settings: WorldSettings, names: Iterable[str]) -> WorldSettings:
    """Return the settings of a world without some of its parts.

    Raises:
        ValueError: a name is not one of `parts`.
    """
    for name in names:
        kind, _, number = name.rpartition("-")
        if name in _PARTS:
            settings = _PARTS[name](settings)
        elif kind == "channel":
            calls = tuple(call for call in settings.calls if call.cname != name)
            settings = evolve(settings, calls=calls)
        elif kind == "harvest":
            kept = [n for n in range(settings.harvests) if n != int(number)]
            settings = evolve(
                settings,
                kills=tuple(settings.kills[n] for n in kept),
                gaps=tuple(settings.gaps[n] for n in kept),
            )
        else:
            raise ValueError(f"{name} cannot be left out; use {', '.join(parts(settings))}")
    return settings


def reduce(failed: Result, folder: Path) -> tuple[list[str], Result]:
    """Leave out one part after another, as long as the same invariant is broken.

    Args:
        failed: the result of the whole world.
        folder: for the worlds, one after another; does not exist.

    Returns:
        The names of what was left out, and the result of the smallest world that fails.
    """
    broken = {violation.invariant for violation in failed.violations}
    smallest, left_out = failed, list[str]()
    progress = True
    while progress:
        progress = False
        for name in parts(smallest.settings):
            settings = without(smallest.settings, [name])
            result = run_world(settings.seed, folder, trace_lines=failed.trace_lines, settings=settings)
            if broken & {violation.invariant for violation in result.violations}:
                smallest, progress = result, True
                left_out.append(name)
                break
    return left_out, smallest
