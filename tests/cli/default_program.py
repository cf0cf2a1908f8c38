"""A program with default settings, as a user writes it: `web` serves call pages with uvicorn, `notebook` reads in a loop.

python default_program.py web|notebook SECONDS
"""

import asyncio
import random
import socket
import sys
import time
from contextlib import asynccontextmanager

RANGE = "6h"


def web(seconds: float) -> None:
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
            asyncio.get_running_loop().call_later(seconds, setattr, server, "should_exit", True)
            await server.serve([listening])

        asyncio.run(serve())


def notebook(seconds: float) -> None:
    import os

    from agora_analytics.blocking import Agora

    until = time.monotonic() + seconds
    print("begun", flush=True)
    with Agora(
        os.environ["AGORA_CUSTOMER_ID"],
        os.environ["AGORA_CUSTOMER_SECRET"],
        app_id=os.environ["AGORA_APP_ID"],
        plan="enterprise",
        base_url=os.environ["AGORA_BASE_URL"],
    ) as client:
        while time.monotonic() < until:
            for call in client.calls(RANGE, "now").collect()[:3]:
                client.sessions(call).collect()


if __name__ == "__main__":
    {"web": web, "notebook": notebook}[sys.argv[1]](float(sys.argv[2]))
