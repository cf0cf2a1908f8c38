"""How long the event loop stands still while an answer of 20 MB is read, decoded and written.

    python -m benchmarks.stall [--json]

A task that wants to run every millisecond notes the longest time that it could not. The peer does on the loop what
most programs do: aiohttp, `orjson.loads`, NumPy columns. This is wall time, so other work on the machine shows in it:
the idle row says how much.
"""

import argparse
import asyncio
import json
import tempfile
import time

import aiohttp
import attrs

from agora_analytics import AiohttpTransport, AsyncAgora, Limits, Plan, open_store
from agora_analytics.agora.operations import METRICS
from agora_analytics.engine.ledger import MemoryLedger
from benchmarks.decode import make_body
from benchmarks.end_to_end import APP, Pipelines
from benchmarks.measure import Spread, print_table, served


async def longest_gap(work) -> float:
    """Return the longest time in seconds that nothing else could run while something was done."""
    worst, over = 0.0, False

    async def tick() -> None:
        nonlocal worst
        last = time.perf_counter()
        while not over:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            worst, last = max(worst, now - last - 0.001), now

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.01)
    await work()
    over = True
    await ticking
    return worst


async def measured(url: str, repeats: int) -> dict[str, list[float]]:
    wide = Limits(requests=1_000_000, per_day=10**9, reach=86_400, span=3600, delay=0)
    plan = Plan(name="wide", limits={METRICS.name: wide})
    with tempfile.TemporaryDirectory() as folder:
        async with (
            aiohttp.ClientSession() as session,
            AiohttpTransport() as lean,
            AsyncAgora(
                "x", "y", app_id=APP, plan=plan, base_url=url, transport=lean, ledger=MemoryLedger()
            ) as client,
        ):
            ways = Pipelines(url, open_store(folder, create=True), session, {"aiohttp": client})
            runs = {
                "nothing (the machine's own noise)": lambda: asyncio.sleep(0.3),
                "aiohttp + orjson + NumPy, on the loop": ways.numpy_columns,
                "this library over aiohttp, into Parquet": lambda: ways.ours("aiohttp"),
            }
            gaps: dict[str, list[float]] = {name: [] for name in runs}
            await ways.ours("aiohttp")
            for _ in range(repeats):
                for name, run in runs.items():
                    gaps[name].append(await longest_gap(run) * 1000)
    return gaps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    body = make_body(20_000_000)
    with served(body) as url:
        gaps = asyncio.run(measured(url, options.repeats))
    report = {name: Spread.of(each) for name, each in gaps.items()}
    if options.json:
        print(json.dumps(report, default=attrs.asdict, indent=1))
        return
    print_table(
        f"the longest stall of the loop, an answer of {len(body):,} bytes: median (quartiles)",
        ["", "ms"],
        [[name, str(spread)] for name, spread in report.items()],
    )


if __name__ == "__main__":
    main()
