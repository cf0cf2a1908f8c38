"""A server in a process of its own that counts requests, for `benchmarks.pacing`.

    python -m benchmarks._counting_server REQUESTS LEAST MOST AHEAD

It prints its port. A request takes LEAST to MOST seconds each way, in the server, and is counted in fixed seconds of a
clock that is AHEAD of the machine's; more than REQUESTS in one are refused. When its input ends, it prints what it counted:
for each request its true time, its time on the server's clock, and whether it was refused.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from email.utils import formatdate
from random import Random

from tests.pacing.server import ACCEPTED, REFUSED

BODIES = {False: json.dumps(ACCEPTED).encode(), True: json.dumps(REFUSED).encode()}


async def main(requests: int, least: float, most: float, ahead: float) -> None:
    arrivals: list[tuple[float, float, bool]] = []
    windows: Counter[int] = Counter()
    ways = Random(1)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(ways.uniform(least, most))
                true = time.time()
                windows[int(true + ahead)] += 1
                refused = windows[int(true + ahead)] > requests
                arrivals.append((true, true + ahead, refused))
                body = BODIES[refused]
                head = (
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                    f"date: {formatdate(int(time.time() + ahead), usegmt=True)}\r\ncontent-length: {len(body)}\r\n\r\n"
                )
                await asyncio.sleep(ways.uniform(least, most))
                writer.write(head.encode() + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps(arrivals), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *map(float, sys.argv[2:])))
