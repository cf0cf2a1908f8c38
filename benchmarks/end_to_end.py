"""The whole way of a metrics answer: GET, decode, Parquet. Beside aiohttp that only reads and parses it.

    python -m benchmarks.end_to_end [--json]

The body has 2 MB, 20 sessions of 36 series; the server runs in a process of its own, and figures are the CPU time of
this one, threads included. The peers read the same answers and stop earlier: at objects, or at NumPy columns. What is
in the store at the end is compared with them.
"""

import argparse
import asyncio
import gc
import json
import statistics
import sys
import tempfile
import time
from itertools import chain

import aiohttp
import attrs
import numpy as np
import orjson

from agora_analytics import AiohttpTransport, AsyncAgora, HttpxTransport, Limits, Plan, open_store
from agora_analytics.agora.operations import METRICS
from agora_analytics.decode.arrow_table import columns_table
from agora_analytics.engine.ledger import MemoryLedger
from benchmarks.decode import make_body
from benchmarks.measure import faster, print_table, served

APP, DAY, BODIES = "0" * 32, "2026-11-20", 10


def sums(ts, value) -> tuple[int, int, float]:
    return len(ts), int(np.sum(ts)), float(np.sum(value))


class Pipelines:
    """The ways, over one server."""

    def __init__(
        self, url: str, store, session: aiohttp.ClientSession, clients: dict[str, AsyncAgora]
    ) -> None:
        self._url = f"{url}{METRICS.path}"
        self._store = store
        self._session = session
        self._clients = clients
        self._number = 0

    async def _read(self) -> bytes:
        async with self._session.get(self._url, params={"appid": APP}) as answer:
            return await answer.read()

    async def loads_alone(self) -> object:
        return orjson.loads(await self._read())

    async def loads_without_collector(self) -> None:
        body = await self._read()
        gc.disable()
        try:
            orjson.loads(body)
        finally:
            gc.enable()

    async def numpy_columns(self) -> tuple[np.ndarray, np.ndarray]:
        answer = orjson.loads(await self._read())
        kvs = chain.from_iterable(
            series["kvs"] for session in answer["metrics"] for series in session["data"]
        )
        both = np.fromiter(chain.from_iterable(kvs), "f8")
        return both[::2].astype("i8"), both[1::2].copy()

    async def ours(self, name: str):
        """Do what the harvest does with an answer."""
        now = time.time()
        listing = self._clients[name].metrics("c", now - 600, now - 60, sids=["s"])
        (page,) = [page async for page in listing.pages()]
        self._number += 1
        await asyncio.to_thread(self._put, page.columns)
        return page.columns

    def _put(self, columns) -> None:
        rows = columns_table(columns, call_id="c")
        self._store.writer.put("metrics", f"u{self._number}", rows, app_id=APP, day=DAY, pending=False)


async def measured(url: str, repeats: int) -> dict[str, list[float]]:
    wide = Limits(requests=1_000_000, per_day=10**9, reach=86_400, span=3600, delay=0)
    plan = Plan(name="wide", limits={METRICS.name: wide})
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder, create=True)
        async with aiohttp.ClientSession() as session, AiohttpTransport() as lean:
            common = {"app_id": APP, "plan": plan, "base_url": url, "ledger": MemoryLedger()}
            httpx_transport = HttpxTransport()
            clients = {
                "aiohttp": AsyncAgora("x", "y", transport=lean, **common),
                "httpx": AsyncAgora("x", "y", transport=httpx_transport, **common),
            }
            ways = Pipelines(url, store, session, clients)
            columns, (ts, value) = await ways.ours("aiohttp"), await ways.numpy_columns()
            (stored,) = store.sql(
                "select count(*), sum(epoch(ts)::bigint)::bigint, sum(value) from metrics"
            ).fetchall()
            if not sums(columns.ts, columns.value) == sums(ts, value) == tuple(stored):
                sys.exit("the ways do not give the same points")
            runs = {
                "aiohttp + orjson.loads, nothing else": ways.loads_alone,
                "the same, collector off": ways.loads_without_collector,
                "aiohttp + orjson + NumPy columns": ways.numpy_columns,
                "this library over aiohttp, into Parquet": lambda: ways.ours("aiohttp"),
                "this library over httpx, into Parquet": lambda: ways.ours("httpx"),
            }
            seconds: dict[str, list[float]] = {name: [] for name in runs}
            for run in runs.values():
                await run()
            for _ in range(repeats):
                for name, run in runs.items():
                    start = time.process_time()
                    for _ in range(BODIES):
                        await run()
                    seconds[name].append((time.process_time() - start) / BODIES)
            for client in clients.values():
                await client.aclose()
            await httpx_transport.aclose()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    body = make_body(2_000_000)
    with served(body) as url:
        seconds = asyncio.run(measured(url, options.repeats))
    peer = seconds["aiohttp + orjson.loads, nothing else"]
    report = {
        name: {"milliseconds": statistics.median(each) * 1000, "times the first": faster(each, peer)}
        for name, each in seconds.items()
    }
    if options.json:
        print(json.dumps(report, default=attrs.asdict, indent=1))
        return
    print_table(
        f"GET of {len(body):,} bytes: CPU of one, median (quartiles)",
        ["", "CPU ms", "x the first"],
        [[name, f"{r['milliseconds']:.1f}", str(r["times the first"])] for name, r in report.items()],
    )


if __name__ == "__main__":
    main()
