"""Tests that worlds are the same in every run, and that they find, replay and reduce a violation."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agora_analytics.harvest import call_fetcher
from tests.worlds.__main__ import main
from tests.worlds.reduction import parts, reduce, without
from tests.worlds.settings import WorldSettings
from tests.worlds.world import run_world

KILLED = 1  # a seed whose harvests are killed


def test_seed_decides_the_order_of_all_steps(tmp_path):
    whole = [run_world(KILLED, tmp_path / "world", trace_lines=100_000).trace for _ in range(2)]
    assert len(whole[0]) > 500
    assert whole[0] == whole[1]


@pytest.mark.slow
def test_seed_decides_the_order_in_another_process(tmp_path):
    program = (
        "import sys; from pathlib import Path; from tests.worlds.world import run_world\n"
        f"print(*run_world({KILLED}, Path(sys.argv[1]), trace_lines=100_000).trace, sep='\\n')"
    )
    traces = [
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "world")],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert traces[0] == traces[1]
    assert "is killed" in traces[0]


@pytest.fixture
def bug(monkeypatch):
    """Plant a bug: the second after a snapshot is fetched again."""
    real = call_fetcher.covered_until
    monkeypatch.setattr(call_fetcher, "covered_until", lambda call, units: real(call, units) - 1)


def first_failure(folder: Path):
    results = (run_world(seed, folder / str(seed), trace_lines=20) for seed in range(100))
    return next(result for result in results if result.violations)


def test_violation_is_replayed_by_its_command(tmp_path, bug, capsys):
    failed = first_failure(tmp_path)
    assert main([str(failed.settings.seed), "--trace", "20"]) == 1
    printed = capsys.readouterr().out
    assert f"replay: python -m tests.worlds {failed.settings.seed}" in printed
    assert all(str(violation) in printed for violation in failed.violations)
    assert failed.trace[-1] in printed


def test_reduction_keeps_what_the_violation_needs(tmp_path, bug):
    failed = first_failure(tmp_path)
    left_out, smallest = reduce(failed, tmp_path / "world")
    assert smallest.violations
    assert smallest.settings == without(failed.settings, left_out)
    assert smallest.settings.harvests == 1
    assert len(smallest.settings.calls) == 1
    for name in parts(smallest.settings):
        again = run_world(
            failed.settings.seed, tmp_path / "world", settings=without(smallest.settings, [name])
        )
        assert not again.violations, f"{name} is not needed"


def test_unknown_part_is_refused():
    with pytest.raises(ValueError, match="weather cannot be left out"):
        without(WorldSettings.draw(1), ["weather"])
