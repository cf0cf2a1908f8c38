"""Runs worlds in a test."""

from pathlib import Path

from tests.worlds.world import Result, run_world

IN_A_TEST = 20
"""Worlds of one test."""


def assert_no_violation(first: int, folder: Path) -> None:
    """Run `IN_A_TEST` worlds from a seed on. A failure has the last steps and the command that replays them."""
    for seed in range(first, first + IN_A_TEST):
        result = run_world(seed, folder / str(seed), trace_lines=40)
        assert not result.violations, _report(result)


def _report(result: Result) -> str:
    violations = map(str, result.violations)
    return "\n".join(
        [*result.trace, *violations, f"python -m tests.worlds {result.settings.seed} --trace 40 --reduce"]
    )
