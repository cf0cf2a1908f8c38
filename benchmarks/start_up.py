"""What starting costs: CPU time and modules of a fresh interpreter, less those of an empty program.

An import is measured alone. "First request ready" includes the import, and ends when the transport may send: the client,
its TLS context and the request exist, and the request is counted in the default ledger, in an empty home folder.

python -m benchmarks.start_up [--json]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import attrs

from benchmarks.measure import Spread, print_table

PROGRAM = """
import sys, time
{}
print(time.process_time(), *{{name.partition('.')[0] for name in sys.modules}})
"""
FIRST_REQUEST = """
import asyncio
from agora_analytics import {client}, HttpxTransport
class Ready(HttpxTransport):
    async def send(self, request):
        raise KeyboardInterrupt
async def first_page():
    await anext(aiter({client}({arguments}, transport=Ready()).{listing}))
try:
    asyncio.run(first_page())
except KeyboardInterrupt:
    pass
"""
HTTPX_REQUEST = """
import asyncio, httpx
async def first_request():
    httpx.AsyncClient().build_request("GET", "https://example.com/v1/calls", params={"page": 1})
asyncio.run(first_request())
"""
PROGRAMS = {
    "an empty program": "pass",
    "import agora_analytics": "import agora_analytics",
    "from agora_analytics import AsyncAgora": "from agora_analytics import AsyncAgora",
    "from agora_analytics import harvest": "from agora_analytics import harvest",
    "import httpx": "import httpx",
    "import aiohttp": "import aiohttp",
    "import pyarrow": "import pyarrow",
    "AsyncAgora: first request ready": FIRST_REQUEST.format(
        client="AsyncAgora", arguments="'id', 'secret', app_id='app'", listing="calls('1h')"
    ),
    "httpx: first request ready": HTTPX_REQUEST,
}
HEAVY = ("httpx", "httpx2", "aiohttp", "pyarrow", "duckdb", "numpy", "typer", "attrs", "cattrs", "msgspec")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    heavy: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as home:
        for _ in range(options.repeats):
            for name, statement in PROGRAMS.items():
                spent, *modules = run(statement, home)
                seconds[name].append(float(spent))
                heavy[name] = [module for module in HEAVY if module in modules]
    empty = seconds.pop("an empty program")
    milliseconds = {
        name: [(a - b) * 1000 for a, b in zip(each, empty, strict=True)] for name, each in seconds.items()
    }
    peer = milliseconds["import httpx"]
    report = {
        name: {
            "CPU ms": Spread.of(each),
            "of import httpx": Spread.of([a / b for a, b in zip(each, peer, strict=True)]),
            "loads": heavy[name],
        }
        for name, each in milliseconds.items()
    }
    if options.json:
        print(json.dumps(report, default=attrs.asdict, indent=1))
        return
    rows = [
        [name, str(r["CPU ms"]), f"{r['of import httpx'].median:.2f}", " ".join(r["loads"])]
        for name, r in report.items()
    ]
    print_table("CPU, median (quartiles)", ["", "ms", "of import httpx", "of the heavy ones it loads"], rows)


def run(statement: str, home: str) -> list[str]:
    """Return what the program prints. The ledger of the user, which other programs may hold, is not used."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("AGORA_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(statement)],
        capture_output=True,
        text=True,
        check=True,
        env=settings | {"HOME": home, "XDG_STATE_HOME": home, "LOCALAPPDATA": home},
    )
    return done.stdout.split()


if __name__ == "__main__":
    main()
