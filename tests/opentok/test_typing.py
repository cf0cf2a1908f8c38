"""Type checkers see pages with problems, and the parameters of the blocking methods."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_mypy_sees_the_signatures():
    pytest.importorskip("mypy")
    file = "tests/opentok/typing_opentok.py"
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", file], capture_output=True, text=True, cwd=ROOT
    )
    assert checked.returncode == 0, checked.stdout
