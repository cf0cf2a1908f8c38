"""Runs a harvest in a process of its own, for tests that kill it, run two of them, or measure its memory."""

import argparse
import asyncio
import json
import resource

import httpx  # noqa: F401 - imported lazily, like pandas, which pyarrow imports if it is installed: part of the start
import pandas as pd  # noqa: F401
from attrs import evolve

from agora_analytics.agora.client import AsyncAgora
from agora_analytics.agora.plans import ENTERPRISE
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.harvest import harvest
from agora_analytics.simulator import DEMO_APP_ID, DEMO_CREDENTIALS


def plan(per_second: int, per_day: int):
    rows = ENTERPRISE.limits.items()
    return evolve(
        ENTERPRISE, limits={name: evolve(row, requests=per_second, per_day=per_day) for name, row in rows}
    )


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("store")
    parser.add_argument("since", type=int)
    parser.add_argument("until", type=int)
    parser.add_argument("--ledger")
    parser.add_argument("--per-second", type=int, default=10)
    parser.add_argument("--per-day", type=int, default=10_000)
    parser.add_argument("--no-compact", dest="compact", action="store_false")
    options = parser.parse_args()
    ((customer, secret),) = DEMO_CREDENTIALS.items()
    async with AsyncAgora(
        customer,
        secret,
        app_id=DEMO_APP_ID,
        plan=plan(options.per_second, options.per_day),
        base_url=options.url,
        ledger=SqliteLedger(options.ledger) if options.ledger else MemoryLedger(),
    ) as client:
        print("begun", flush=True)
        report = await harvest(
            client, since=options.since, until=options.until, store=options.store, compact=options.compact
        )
    print(
        json.dumps(
            {
                "calls": report.calls,
                "points": report.points,
                "seconds": report.seconds,
                "complete": report.complete,
                "requests": report.requests,
                "peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    asyncio.run(main())
