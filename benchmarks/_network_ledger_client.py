"""A client in a process of its own that sends as many requests as its ledger allows, for `benchmarks.network_ledger`.

    python -m benchmarks._network_ledger_client URL REQUESTS WORKERS LEDGER AHEAD [SLOTS]

Its clocks are AHEAD seconds ahead of the machine's. It prints a line when it is ready, sends from the next line of its
input to the one after, and prints how many requests it sent. SLOTS limits the slots of a lease.
"""

import asyncio
import sys
from contextlib import suppress

from agora_analytics import AiohttpTransport, AsyncAgora, Plan, PostgresLedger, RedisLedger, SystemClock
from agora_analytics.agora.operations import LISTS
from agora_analytics.engine.network import leases
from tests.pacing.harness import limits, send_all


class OtherClock(SystemClock):
    """The clocks of another machine."""

    def __init__(self, ahead: float) -> None:
        self._ahead = ahead

    def now(self) -> float:
        return super().now() + self._ahead

    def monotonic(self) -> float:
        return super().monotonic() + 1_000 * self._ahead


async def main(url: str, requests: int, workers: int, address: str, ahead: float, most: int) -> None:
    plan = Plan(name="p", limits={LISTS.name: limits(requests)})
    if most:
        leases.lease_size = lambda *_, **__: most
    clock = OtherClock(ahead)
    kind = PostgresLedger if address.startswith("postgresql") else RedisLedger
    ledger = kind(address, clock=clock)
    async with (
        AiohttpTransport() as transport,
        AsyncAgora(
            "x", "y", app_id="a", plan=plan, base_url=url, transport=transport, ledger=ledger, clock=clock
        ) as client,
    ):
        await client.quota()  # connects
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        sending = asyncio.create_task(send_all([client], 10**9, workers=workers))
        await asyncio.to_thread(sys.stdin.readline)
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        print(sum(client.sent.values()), flush=True)
    await ledger.aclose()


if __name__ == "__main__":
    _, address, requests, workers, ledger, ahead, *most = sys.argv
    asyncio.run(main(address, int(requests), int(workers), ledger, float(ahead), int(*most or [0])))
