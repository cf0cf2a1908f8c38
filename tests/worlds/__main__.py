"""Run worlds, print the violations of their invariants, and exit with 1 if there are any."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.worlds.reduction import reduce, without
from tests.worlds.settings import WorldSettings
from tests.worlds.world import Result, run_world

_RAM_DISK = Path("/dev/shm")


def main(arguments: list[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.worlds", description=__doc__)
    parser.add_argument("seed", type=int, help="the first seed")
    parser.add_argument("count", type=int, nargs="?", default=1, help="how many seeds (default: 1)")
    parser.add_argument(
        "--first", dest="stop", action="store_true", help="stop at the first world that fails"
    )
    parser.add_argument(
        "--trace", type=int, default=0, metavar="N", help="print the last N steps of a world that fails"
    )
    parser.add_argument("--reduce", action="store_true", help="leave out what a violation does not need")
    parser.add_argument(
        "--without", default="", metavar="PARTS", help="leave out parts, as --reduce printed them"
    )
    options = parser.parse_args(arguments)
    left_out = [name for name in options.without.split(",") if name]
    begun, failed, done = time.process_time(), 0, 0
    with tempfile.TemporaryDirectory(dir=_RAM_DISK if _RAM_DISK.is_dir() else None) as temporary:
        folder = Path(temporary, "world")
        for seed in range(options.seed, options.seed + options.count):
            settings = without(WorldSettings.draw(seed), left_out)
            result = run_world(seed, folder, trace_lines=options.trace, settings=settings)
            done += 1
            if not result.violations:
                continue
            failed += 1
            if options.reduce:
                more, result = reduce(result, folder)
                print_failure(result, [*left_out, *more])
            else:
                print_failure(result, left_out)
            if options.stop:
                break
    seconds = (time.process_time() - begun) / max(1, done)
    print(f"{done} worlds, {failed} with violations, {seconds:.3f} CPU seconds a world")
    return 1 if failed else 0


def print_failure(result: Result, left_out: list[str]) -> None:
    """Print the last steps of a world, its violations, and the command that replays it."""
    for line in result.trace:
        print(line)
    for violation in result.violations:
        print(f"seed {result.settings.seed}: {violation}")
    print(f"replay: {replay_command(result.settings.seed, left_out)}", flush=True)


def replay_command(seed: int, left_out: list[str]) -> str:
    """Return the command that runs a world again, with its last steps."""
    without_parts = f" --without {','.join(left_out)}" if left_out else ""
    return f"python -m tests.worlds {seed} --trace 40{without_parts}"


if __name__ == "__main__":
    sys.exit(main())
