"""The back end of a support page: the calls of a channel, one call, and the quota."""

import logging
import math
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from agora_analytics import (
    AgoraAnalyticsError,
    AsyncAgora,
    CallNotFound,
    DeadlineExceeded,
    InvalidRequest,
    QuotaExhausted,
    RateLimited,
)

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
log = logging.getLogger("web_backend")


@asynccontextmanager
async def lifespan(app):
    async with AsyncAgora.from_env() as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


def client_of(request: Request):
    return request.app.state.client


Client = Annotated[AsyncAgora, Depends(client_of)]


@app.get("/calls")
async def list_calls(client: Client, since: str = "1h", cname: str | None = None):
    return await client.calls(since, cname=cname, settled=True, deadline=10).collect()


@app.get("/calls/{call_id}")
async def show_call(client: Client, call_id: str):
    call = await client.find_call(call_id, deadline=10)
    return {"call": call, "sessions": await client.sessions(call, deadline=10).collect()}


@app.get("/quota")
async def show_quota(client: Client):
    return await client.quota()


@app.exception_handler(AgoraAnalyticsError)
async def report_error(request: Request, error: AgoraAnalyticsError):
    headers = {}
    if isinstance(error, (RateLimited, QuotaExhausted)):
        status = 503
        headers["Retry-After"] = str(math.ceil(error.retry_after or 1))
    elif isinstance(error, CallNotFound):
        status = 404
    elif isinstance(error, InvalidRequest):
        status = 422
    elif isinstance(error, DeadlineExceeded):
        status = 504
    else:
        status = 502
    log.warning("%s: %s", request.url.path, error)
    return JSONResponse({"detail": str(error)}, status, headers)
