"""A process that reserves from a shared ledger as fast as it gets, and prints each slot: path, how many, a day's quota."""

import asyncio
import sys

from agora_analytics.engine.clock import SystemClock
from agora_analytics.engine.ledger import Budget
from agora_analytics.engine.pace import Pace
from agora_analytics.engine.sqlite_ledger import SqliteLedger


async def main(path: str, wanted: int, per_day: int) -> None:
    ledger = SqliteLedger(path)
    ledger.ahead = 1.0
    for _ in range(wanted):
        now = SystemClock().monotonic()
        grant = await ledger.reserve(
            Budget("account", "call/lists"),
            now=now,
            server_now=1_795_089_600.0,
            pace=Pace(requests=10**6, period=1.0, gap=0.005),
            per_day=per_day,
        )
        print("None" if grant is None else repr(grant.slot))
    await ledger.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
