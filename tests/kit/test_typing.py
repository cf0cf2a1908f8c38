"""Type checkers refuse misspelt settings and plans, for every client."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_mypy_sees_the_signatures():
    pytest.importorskip("mypy")
    file = "tests/kit/typing_settings.py"
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", file], capture_output=True, text=True, cwd=ROOT
    )
    assert checked.returncode == 0, checked.stdout
