"""How near to the contract's edge requests are sent, and whether it is ever crossed, as the server counts.

    python -m benchmarks.pacing [--json]

Minutes of traffic on virtual time: each request has a way there and a way back, drawn from a seeded source, and the
server notes when it came. `shared ledger` is two clients with one `SqliteLedger`, as two processes would be. `fixed` is the most in one second of UTC, `sliding` the most in any second; more than the
limit is a broken contract. The peers are aiolimiter as its documentation uses it, and an even pace with a margin of
10 %. At the end once more over a real socket: wall time, with delays that the server adds before it counts.
"""

import argparse
import asyncio
import json
import random
import time
from collections import Counter, deque
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from aiolimiter import AsyncLimiter

from agora_analytics import AiohttpTransport, AsyncAgora, Limits, Plan
from agora_analytics.agora.judge import open_fields, read_response
from agora_analytics.agora.operations import LISTS
from agora_analytics.core.verdicts import Payload
from agora_analytics.engine.api_request import ApiRequest
from agora_analytics.engine.clock import ServerTime
from agora_analytics.engine.ledger import Budget, Ledger, MemoryLedger, SqliteLedger
from agora_analytics.engine.limiter import Limiter
from agora_analytics.testing import VirtualClock, run_virtual
from benchmarks.measure import print_table

READ = partial(read_response, open_body=open_fields)

START, SECONDS, WORKERS, CLIENTS = 1_795_089_600.0, 120, 64, 2
WAYS = {"0 to 20 ms": (0.0, 0.020), "20 to 80 ms, harvest": (0.010, 0.040), "0 to 100 ms": (0.0, 0.100)}
BODY = b'{"code":200,"message":"","requestId":"r","call_lists":[]}'


def limits(requests: int) -> Limits:
    return Limits(requests=requests, per_day=10**9, reach=86_400, span=3600, delay=0)


def with_ledger(requests: int, clock: VirtualClock, ledger: Ledger):
    limiter = Limiter(
        Budget("a", "b"),
        limits(requests),
        ledger=ledger,
        clock=clock,
        server_time=ServerTime(clock),
        observer=lambda _: None,
    )

    async def leave():
        return await limiter.mark_sent(await limiter.acquire())

    return leave, limiter.answered


def ours(requests: int, clock: VirtualClock, _: Path):
    return [with_ledger(requests, clock, MemoryLedger())]


def shared(requests: int, clock: VirtualClock, folder: Path):
    ledger = SqliteLedger(folder / "ledger")
    return [with_ledger(requests, clock, ledger) for _ in range(CLIENTS)]


def bucket(requests: int, *_):
    return [(AsyncLimiter(requests, 1).acquire, lambda *_: None)]


def even(requests: int, *_):
    return [(AsyncLimiter(1, 1.10 / requests).acquire, lambda *_: None)]


LIMITERS = {
    "this library": ours,
    "this library, shared ledger": shared,
    "even pace, 10 % margin": even,
    "aiolimiter, AsyncLimiter(N, 1)": bucket,
}


async def traffic(limiters, clock, count: int, ways: tuple[float, float], seed: int) -> list[float]:
    arrivals, chance, left = [], random.Random(seed), iter(range(count))

    async def worker(acquire, answered) -> None:
        for _ in left:
            grant = await acquire()
            there, back = chance.uniform(*ways), chance.uniform(*ways)
            await asyncio.sleep(there)
            arrivals.append(clock.now())
            await asyncio.sleep(back)
            answered(grant, there + back)

    await asyncio.gather(*(worker(*limiters[i % len(limiters)]) for i in range(WORKERS)))
    return sorted(arrivals)


def judged(arrivals: list[float], requests: int) -> dict[str, float]:
    inside: deque[float] = deque()
    sliding = 0
    for at in arrivals:
        inside.append(at)
        while at - inside[0] >= 1.0:
            inside.popleft()
        sliding = max(sliding, len(inside))
    return {
        "fixed": max(Counter(map(int, arrivals)).values()),
        "sliding": sliding,
        "used": (len(arrivals) - 1) / requests / (arrivals[-1] - arrivals[0]),
    }


def simulated(name: str, requests: int, ways: tuple[float, float]) -> dict[str, float]:
    """Return the worst of three seeds."""
    found = []
    for seed in range(3):
        clock = VirtualClock(START)
        with TemporaryDirectory() as folder:

            async def run(clock=clock, seed=seed, folder=folder):
                limiters = LIMITERS[name](requests, clock, Path(folder))
                return await traffic(limiters, clock, SECONDS * requests, ways, seed)

            found.append(judged(run_virtual(run(), clock), requests))
    return {
        "fixed": max(each["fixed"] for each in found),
        "sliding": max(each["sliding"] for each in found),
        "used": min(each["used"] for each in found),
    }


async def over_a_socket(
    requests: int, ways: tuple[float, float], seconds: float, ledgers: list[Ledger]
) -> dict[str, float]:
    """Send for some seconds over real HTTP, a client for each ledger; the server waits, counts, waits and answers."""
    arrivals: list[float] = []
    chance = random.Random(1)

    async def serve(reader, writer) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(chance.uniform(*ways))
                arrivals.append(time.time())
                await asyncio.sleep(chance.uniform(*ways))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, AiohttpTransport() as transport:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        plan = Plan(name="p", limits={LISTS.name: limits(requests)})
        common = {"app_id": "a", "plan": plan, "base_url": url, "transport": transport}
        clients = [AsyncAgora("x", "y", ledger=ledger, **common) for ledger in ledgers]
        call = ApiRequest(endpoint=LISTS, build=lambda _: Payload(query=()), read=READ)
        left = iter(range(int(requests * seconds)))

        async def worker(client: AsyncAgora) -> None:
            for _ in left:
                await client._engine.run(call)

        await asyncio.gather(*(worker(clients[i % len(clients)]) for i in range(WORKERS)))
        for client in clients:
            await client.aclose()
    return judged(sorted(arrivals), requests)


async def over_sockets(requests: int, ways: tuple[float, float], seconds: float) -> dict[str, dict]:
    """Return what a server sees of a client alone, and at the same time another of two that share a ledger."""
    with TemporaryDirectory() as folder:
        alone, shared = await asyncio.gather(
            over_a_socket(requests, ways, seconds, [MemoryLedger()]),
            over_a_socket(
                requests, ways, seconds, [SqliteLedger(Path(folder, "ledger")) for _ in range(CLIENTS)]
            ),
        )
    return {"this library, real sockets": alone, "this library, shared ledger, real sockets": shared}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--seconds", type=float, default=10, help="of each run over a socket")
    options = parser.parse_args()
    report = []
    for requests in (10, 100):
        for jitter, ways in WAYS.items():
            report += [
                {"limit": requests, "ways": jitter, "limiter": name} | simulated(name, requests, ways)
                for name in LIMITERS
            ]
            report += [
                {"limit": requests, "ways": jitter, "limiter": name} | there
                for name, there in asyncio.run(over_sockets(requests, ways, options.seconds)).items()
            ]
    if options.json:
        print(json.dumps(report, indent=1))
        return
    rows = [
        [
            f"{r['limit']}/s, {r['ways']}",
            r["limiter"],
            str(r["fixed"]),
            str(r["sliding"]) + (" !" if max(r["fixed"], r["sliding"]) > r["limit"] else ""),
            f"{r['used']:.3f}",
        ]
        for r in report
    ]
    print_table(
        f"requests as the server counts them, {SECONDS} s of traffic, the worst of three seeds",
        ["limit, each way", "limiter", "fixed", "sliding", "used"],
        rows,
    )


if __name__ == "__main__":
    main()
