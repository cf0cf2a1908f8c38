"""Type checkers see the real parameters, settings and results of all clients, also of the blocking ones.

The files `typing_*.py` contain what must be accepted and, with `type: ignore`, what must be refused: mypy reports an
ignore that is not needed.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import NEEDS

TESTS = Path(__file__).parent
FILES = [
    file
    for file in sorted(TESTS.rglob("typing_*.py"))
    if all(map(find_spec, NEEDS.get(file.parent.name, ())))
]


def test_mypy_accepts_the_typing_files():
    if find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    command = [sys.executable, "-m", "mypy", "--strict", *map(str, FILES)]
    checked = subprocess.run(command, capture_output=True, text=True, cwd=TESTS.parent)
    assert checked.returncode == 0, checked.stdout
