"""A process that reserves from a ledger on a server, and prints each slot: URL, how many, a day's quota."""

import asyncio
import sys

from agora_analytics.engine.clock import SystemClock
from agora_analytics.engine.ledger import Budget, TooEarly
from agora_analytics.engine.open_ledger import open_ledger
from agora_analytics.engine.pace import Pace


async def main(url: str, wanted: int, per_day: int) -> None:
    ledger = open_ledger(url)
    ledger.ahead = 60.0
    for left in range(wanted, 0, -1):
        grant = await ledger.reserve(
            Budget("account", "call/lists"),
            now=SystemClock().monotonic(),
            server_now=1_795_089_600.0,
            pace=Pace(requests=10**6, period=1.0, gap=0.005),
            per_day=per_day,
            waiting=min(left, 8),
        )
        assert not isinstance(grant, TooEarly)
        print("None" if grant is None else repr(grant.slot))
    await ledger.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
