"""A client in a process of its own that sends as many requests as its limits allow, for `benchmarks.pacing`.

    python -m benchmarks._paced_client URL REQUESTS COUNT WORKERS WINDOWS [LEDGER]

It prints a line when it is ready, and sends COUNT requests when it reads one. Without a LEDGER it counts in memory.
"""

import asyncio
import sys

from agora_analytics import AiohttpTransport, AsyncAgora, Plan
from agora_analytics.agora.operations import LISTS
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from tests.pacing.harness import limits, send_all


async def main(url: str, requests: int, count: int, workers: int, windows: str, *path: str) -> None:
    plan = Plan(name="p", limits={LISTS.name: limits(requests, sliding=windows == "sliding")})
    ledger = SqliteLedger(*path) if path else MemoryLedger()
    async with (
        AiohttpTransport() as transport,
        AsyncAgora(
            "x", "y", app_id="a", plan=plan, base_url=url, transport=transport, ledger=ledger
        ) as client,
    ):
        print("ready", flush=True)
        sys.stdin.readline()
        await send_all([client], count, workers=workers)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:5]), *sys.argv[5:]))
