"""Runs the worlds of a copy of the project: `python -m tests.worlds.mutants.in_copy FIRST COUNT --first`, in its folder."""

import atexit
import runpy
import sys
import time
from pathlib import Path

import agora_analytics

CPU_SECONDS = "CPU seconds: "


def main() -> None:
    """Run the worlds, and print the CPU seconds at the end. Exits with their exit code."""
    if Path.cwd() not in Path(agora_analytics.__file__).parents:
        sys.exit(f"the worlds would test {agora_analytics.__file__} instead of the copy in {Path.cwd()}")
    atexit.register(lambda: print(f"{CPU_SECONDS}{time.process_time():.1f}", flush=True))
    runpy.run_module("tests.worlds", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
