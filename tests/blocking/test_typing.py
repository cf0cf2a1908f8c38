"""Type checkers see the real parameters of the blocking methods: warn_unused_ignores proves the refusals too."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_mypy_sees_the_signatures():
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    file = "tests/blocking/typing_blocking.py"
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", file], capture_output=True, text=True, cwd=ROOT
    )
    assert checked.returncode == 0, checked.stdout
