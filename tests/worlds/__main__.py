"""`python -m tests.worlds FIRST COUNT` runs worlds and prints the violations; exit code 1 if there are any."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.worlds.world import run_world


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.worlds", description=__doc__)
    parser.add_argument("first", type=int, help="the first seed")
    parser.add_argument("count", type=int, nargs="?", default=1, help="how many seeds (default: 1)")
    parser.add_argument("--first", dest="stop", action="store_true", help="stop at the first violation")
    parser.add_argument(
        "--trace", type=int, default=0, metavar="LINES", help="print the last steps of each failure"
    )
    options = parser.parse_args()
    begun, failed, done = time.process_time(), 0, 0
    ram_disk = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=ram_disk if ram_disk.is_dir() else None) as folder:
        for seed in range(options.first, options.first + options.count):
            result = run_world(seed, Path(folder, "world"), trace_lines=options.trace)
            done += 1
            if result.violations:
                failed += 1
                for line in result.trace:
                    print(line)
                for violation in result.violations:
                    print(f"seed {seed}: {violation}", flush=True)
                if options.stop:
                    break
    seconds = time.process_time() - begun
    print(f"{done} worlds, {failed} with violations, {seconds / done:.3f} CPU seconds a world")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
