"""Print the finished calls of the last two hours, and how many measurements each has."""

import asyncio

from agora_analytics import AsyncAgora


async def main():
    async with AsyncAgora.from_env() as client:
        async for call in client.calls("2h", settled=True):
            samples = await client.metrics(call).to_arrow()
            print(f"{call.created_at:%H:%M}  {call.cname:<12} {samples.num_rows:>7,} measurements")
        for quota in await client.quota():
            if quota.spent:
                print(f"{quota.endpoint}: {quota.left:,} requests left today")


asyncio.run(main())
