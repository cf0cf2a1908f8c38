"""What an import costs: CPU time and modules of a fresh interpreter, less those of an empty program.

python -m benchmarks.start_up [--json]
"""

import argparse
import json
import subprocess
import sys

import attrs

from benchmarks.measure import Spread, print_table

PROGRAM = (
    "import sys, time; {}; print(time.process_time(), *{{name.partition('.')[0] for name in sys.modules}})"
)
IMPORTS = {
    "an empty program": "pass",
    "import agora_analytics": "import agora_analytics",
    "from agora_analytics import AsyncAgora": "from agora_analytics import AsyncAgora",
    "from agora_analytics import harvest": "from agora_analytics import harvest",
    "import httpx": "import httpx",
    "import aiohttp": "import aiohttp",
    "import pyarrow": "import pyarrow",
}
HEAVY = ("httpx", "httpx2", "aiohttp", "pyarrow", "duckdb", "numpy", "typer", "attrs", "cattrs", "msgspec")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in IMPORTS}
    heavy: dict[str, list[str]] = {}
    for _ in range(options.repeats):
        for name, statement in IMPORTS.items():
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM.format(statement)], capture_output=True, text=True, check=True
            )
            spent, *modules = done.stdout.split()
            seconds[name].append(float(spent))
            heavy[name] = [module for module in HEAVY if module in modules]
    empty = seconds.pop("an empty program")
    report = {
        name: {
            "CPU ms": Spread.of([(a - b) * 1000 for a, b in zip(each, empty, strict=True)]),
            "loads": heavy[name],
        }
        for name, each in seconds.items()
    }
    if options.json:
        print(json.dumps(report, default=attrs.asdict, indent=1))
        return
    rows = [[name, str(r["CPU ms"]), " ".join(r["loads"])] for name, r in report.items()]
    print_table("an import: CPU, median (quartiles)", ["", "ms", "of the heavy ones it loads"], rows)


if __name__ == "__main__":
    main()
