"""What a request costs beside the library that sends it: one GET of 2 KB, the limits wide open.

    python -m benchmarks.overhead [--json]

The server is as bare as can be and runs in a process of its own; figures are the CPU time of this one. The peers are
aiohttp, httpx and httpx2, used directly, with the same header, reading the same body.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import count

import attrs

from agora_analytics import AiohttpTransport, AsyncAgora, HttpxTransport, Limits, Plan
from agora_analytics.agora.judge import open_fields, read_response
from agora_analytics.agora.operations import LISTS
from agora_analytics.core.verdicts import Payload
from agora_analytics.engine.api_request import ApiRequest
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.messages import Query
from benchmarks.measure import faster, print_table, served

READ = partial(read_response, open_body=open_fields)

AT_A_TIME, REQUESTS = (1, 16), 300
ROW = {"call_id": "0" * 32, "cname": "room", "created_ts": 1, "destroyed_ts": 2, "finished": True}
BODY = json.dumps({"code": 200, "message": "", "requestId": "r", "call_lists": [ROW] * 18}).encode()
HEADERS = {"authorization": "Basic eDp5", "accept": "application/json"}


def numbered(number: int) -> Query:
    """Return the query of one request. All are different, because a client sends identical requests once."""
    return (("start_ts", "1"), ("end_ts", "2"), ("appid", "a"), ("page_no", str(number)))


def open_plan() -> Plan:
    """A plan whose limits never make anybody wait."""
    wide = Limits(requests=1_000_000, per_day=10**9, reach=86_400, span=3600, delay=0)
    return Plan(name="wide", limits={LISTS.name: wide})


async def in_turn(get, numbers: Iterator[int], workers: int, requests: int = REQUESTS) -> float:
    """Run a way to get the body from several workers; return the CPU seconds of one request."""
    left = iter(range(requests))

    async def worker() -> None:
        for _ in left:
            if await get(numbered(next(numbers))) != BODY:
                sys.exit("a body that is not the one that was sent")

    start = time.process_time()
    await asyncio.gather(*(worker() for _ in range(workers)))
    return (time.process_time() - start) / requests


async def measured(url: str, repeats: int) -> dict[int, dict[str, list[float]]]:
    import aiohttp
    import httpx
    import httpx2

    path = f"{url}{LISTS.path}"
    settings = {"app_id": "a", "plan": open_plan(), "base_url": url, "ledger": MemoryLedger()}

    def over(client: AsyncAgora):
        async def get(query: Query) -> bytes:
            payload = Payload(query=query)
            call = ApiRequest(endpoint=LISTS, build=lambda _: payload, read=READ)
            return (await client._engine.run(call)).response.body

        return get

    async with (
        aiohttp.ClientSession() as bare_aiohttp,
        httpx.AsyncClient() as bare_httpx,
        httpx2.AsyncClient() as bare_httpx2,
        AiohttpTransport() as lean,
        httpx2.AsyncClient() as theirs,
        AsyncAgora("x", "y", **settings, transport=lean) as ours_aiohttp,
        AsyncAgora("x", "y", **settings) as ours_httpx,
        AsyncAgora("x", "y", **settings, transport=HttpxTransport(theirs)) as ours_httpx2,
    ):

        async def get_aiohttp(query: Query) -> bytes:
            async with bare_aiohttp.get(path, params=query, headers=HEADERS) as answer:
                return await answer.read()

        async def get_httpx(query: Query) -> bytes:
            return (await bare_httpx.get(path, params=query, headers=HEADERS)).content

        async def get_httpx2(query: Query) -> bytes:
            return (await bare_httpx2.get(path, params=query, headers=HEADERS)).content

        ways = {
            "aiohttp": get_aiohttp,
            "agora_analytics over aiohttp": over(ours_aiohttp),
            "httpx": get_httpx,
            "agora_analytics over httpx": over(ours_httpx),
            "httpx2": get_httpx2,
            "agora_analytics over httpx2": over(ours_httpx2),
        }
        seconds = {workers: {name: [] for name in ways} for workers in AT_A_TIME}
        numbers = count()
        for get in ways.values():
            await in_turn(get, numbers, 16, 100)
        for _ in range(repeats):
            for workers, each in seconds.items():
                for name, get in ways.items():
                    each[name].append(await in_turn(get, numbers, workers))
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    with served(BODY) as url:
        seconds = asyncio.run(measured(url, options.repeats))
    report = {
        workers: {
            name: {
                "microseconds": statistics.median(each) * 1e6,
                "of the bare library": faster(each, found[name.split()[-1]]),
            }
            for name, each in found.items()
        }
        for workers, found in seconds.items()
    }
    if options.json:
        print(json.dumps(report, default=attrs.asdict, indent=1))
        return
    for workers, found in report.items():
        rows = [
            [name, f"{r['microseconds']:.0f}", str(r["of the bare library"])] for name, r in found.items()
        ]
        print_table(
            f"one GET of {len(BODY):,} bytes, {workers} at a time: CPU, median (quartiles)",
            ["", "CPU µs", "x the bare library"],
            rows,
        )


if __name__ == "__main__":
    main()
