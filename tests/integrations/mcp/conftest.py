import asyncio
import sys

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from agora_analytics.integrations.mcp.opened_store import OpenedStore
from agora_analytics.integrations.mcp.server import make_server
from agora_analytics.store.query_limits import QueryLimits

from .stored_world import fill, fill_support

PATIENT = QueryLimits(seconds=60)


@pytest.fixture(scope="package")
def world(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("assistants") / "calls.store")


@pytest.fixture(scope="package")
def support(tmp_path_factory):
    """A store with the small calls only."""
    return fill_support(tmp_path_factory.mktemp("assistants") / "support.store")


@pytest.fixture(scope="package")
def command(tmp_path_factory):
    """The real command, with an environment that has no account and no network ledger."""

    def of(path, *words):
        return StdioServerParameters(
            command=sys.executable,
            args=["-m", "agora_analytics", "mcp", "--store", str(path), *words],
            cwd=tmp_path_factory.mktemp("cwd"),
            env={"PYTHONWARNINGS": "error"},
        )

    return of


@pytest.fixture
def with_server():
    """Run a coroutine function with a client of a server in this process."""

    def run(store, use, limits=PATIENT):
        async def connected():
            async with Client(make_server(OpenedStore(store), limits)) as client:
                return await use(client)

        return asyncio.run(connected())

    return run
