"""Searches for each planted bug with the worlds: `python -m tests.worlds.mutants --worlds 2000 --jobs 2 [NAME ...]`.

Each bug is planted in a copy of the project, whose worlds run until one of them has a violation. The exit code is 1 if a
bug was not found.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from attrs import define

from tests.worlds.mutants.in_copy import CPU_SECONDS
from tests.worlds.mutants.patches import Mutant, mutants

ROOT = Path(__file__).parents[3]
BATCH = 100
"""Worlds of one process. The time limit is for a batch, so that it does not depend on the number of worlds."""
_SEED = re.compile(r"seed (\d+): (.*)")
_PARTS = ("agora_analytics", "tests", "pyproject.toml")


@define
class Search:
    """The search for one planted bug.

    Attributes:
        worlds: how many worlds ran.
        found: the violation that shows the bug; "" if there was none.
        seed: the seed of its world; None if there was none, or if the worlds did not end.
        problem: why the result says nothing about the bug; "" if it does.
        cpu_seconds: of all worlds; a process that was killed does not count.
    """

    worlds: int = 0
    found: str = ""
    seed: int | None = None
    problem: str = ""
    cpu_seconds: float = 0.0

    def run_batch(self, folder: Path, first: int, count: int, timeout: float) -> None:
        """Run worlds in a folder until one has a violation."""
        command = [sys.executable, "-m", "tests.worlds.mutants.in_copy", str(first), str(count), "--first"]
        environment = {name: text for name, text in os.environ.items() if name != "PYTHONSAFEPATH"}
        environment["PYTHONPATH"] = str(folder)  # before the folder of an editable install
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout
            )
        except subprocess.TimeoutExpired as expired:
            self._read((expired.stdout or b"").decode(errors="replace"), first, count)
            self.found = self.found or f"does not end: {count} worlds take more than {timeout:g} s"
            return
        self._read(done.stdout, first, count)
        if done.returncode and not self.found:
            lines = (done.stderr or done.stdout).strip().splitlines()
            self.problem = f"exit code {done.returncode}: {lines[-1] if lines else 'no output'}"

    def _read(self, output: str, first: int, count: int) -> None:
        violation = _SEED.search(output)
        self.worlds += int(violation[1]) - first + 1 if violation else count
        self.found, self.seed = (violation[2], int(violation[1])) if violation else ("", None)
        self.cpu_seconds += sum(map(float, re.findall(rf"{CPU_SECONDS}([\d.]+)", output)))


def search(mutant: Mutant, *, worlds: int, first: int, timeout: float) -> Search:
    """Search for a bug in up to so many worlds, from the seed `first` on.

    The world that finds it has to be without a violation if the package is unchanged.
    """
    result = Search()
    with tempfile.TemporaryDirectory(prefix=f"{mutant.name}-") as name:
        folder = Path(name).resolve()
        copy_project(folder)
        mutant.apply(folder)
        while result.worlds < worlds and not (result.found or result.problem):
            count = min(BATCH, worlds - result.worlds)
            result.run_batch(folder, first + result.worlds, count, timeout)
    if result.seed is not None:
        unchanged = Search()
        unchanged.run_batch(ROOT, result.seed, 1, timeout)
        if unchanged.found:
            result.found, result.problem = (
                "",
                f"the unchanged package has a violation in world {result.seed} too",
            )
    return result


def copy_project(folder: Path) -> None:
    """Copy what the worlds need."""
    for part in _PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / part, folder / part)


def row(name: str, result: Search, width: int) -> str:
    """Return a line of the table."""
    if result.problem:
        where, what = "-", f"not tested: {result.problem}"
    elif result.found:
        where, what = f"{result.worlds:,}", result.found
    else:
        where, what = "-", f"not found in {result.worlds:,}"
    return f"{name:{width}}  {where:>6}  {result.cpu_seconds:>7.1f}  {what}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Search for the named bugs, or for all; print a line for each as soon as its search ends."""
    parser = argparse.ArgumentParser(prog="python -m tests.worlds.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="the bugs to search for; default: all")
    parser.add_argument("--worlds", type=int, default=2_000, help="the most worlds for a bug")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the first world")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="searches at the same time")
    parser.add_argument(
        "--timeout",
        type=float,
        default=600.0,
        help=f"seconds for {BATCH} worlds; a bug that takes longer is found",
    )
    options = parser.parse_args(arguments)
    known = {mutant.name: mutant for mutant in mutants()}
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"there is no bug {unknown[0]}; the names are those of the patches")
    wanted = [known[name] for name in options.names or known]
    width = max(len(mutant.name) for mutant in wanted)
    print(f"{'bug':{width}}  {'worlds':>6}  {'CPU s':>7}  found by", flush=True)
    found = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        searches = {
            pool.submit(
                search, mutant, worlds=options.worlds, first=options.seed, timeout=options.timeout
            ): mutant.name
            for mutant in wanted
        }
        for done in as_completed(searches):
            found += bool(done.result().found)
            print(row(searches[done], done.result(), width), flush=True)
    print(f"{found} of {len(wanted)} bugs found")
    return 0 if found == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
