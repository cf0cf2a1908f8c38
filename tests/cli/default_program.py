"""A program with default settings, as a user writes it: `web` serves call pages with uvicorn, `notebook` reads in a loop.

python default_program.py web|notebook

It ends when its standard input is closed.
"""

import asyncio
import random
import socket
import sys
from contextlib import asynccontextmanager

RANGE = "6h"


def web() -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from agora_analytics import AsyncAgora

    @asynccontextmanager
    async def lifespan(app):
        async with AsyncAgora.from_env() as client:
            app.state.client = client
            app.state.calls = await client.calls(RANGE, "now").collect()
            yield

    async def page(request):
        client, calls = request.app.state.client, request.app.state.calls
        call = random.choice(calls)
        sessions, points = await asyncio.gather(
            client.sessions(call).collect(), client.metrics(call).collect()
        )
        return JSONResponse({"sessions": len(sessions), "series": len(points)})

    app = Starlette(routes=[Route("/", page)], lifespan=lifespan)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=10))

        async def serve() -> None:
            serving = asyncio.create_task(server.serve([listening]))
            await asyncio.to_thread(sys.stdin.read)
            server.should_exit = True
            await serving

        asyncio.run(serve())


def notebook() -> None:
    import os
    import threading

    from agora_analytics.blocking import Agora

    reading = threading.Thread(target=sys.stdin.read, daemon=True)
    reading.start()
    with Agora(
        os.environ["AGORA_CUSTOMER_ID"],
        os.environ["AGORA_CUSTOMER_SECRET"],
        app_id=os.environ["AGORA_APP_ID"],
        plan="enterprise",
        base_url=os.environ["AGORA_BASE_URL"],
    ) as client:
        while reading.is_alive():
            for call in client.calls(RANGE, "now").collect()[:3]:
                client.sessions(call).collect()


if __name__ == "__main__":
    {"web": web, "notebook": notebook}[sys.argv[1]]()
