"""Runs the scripts `writer_process.py`, `reader_process.py` and `limited_process.py` in subprocesses."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HERE / script), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=HERE.parents[1],
        env={"PYTHONPATH": f"{HERE}:{HERE.parents[1]}", "PATH": "/usr/bin:/bin"},
    )


def run(script: str, *arguments: object) -> tuple[int, str]:
    with start(script, *arguments) as process:
        output, _ = process.communicate(timeout=60)
        return process.returncode, output
