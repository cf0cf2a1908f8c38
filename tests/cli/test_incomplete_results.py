"""A command that could not fetch everything says so, however few of the fetched rows it shows."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from agora_analytics.cli.client_context import run_newest_first
from agora_analytics.cli.metric_tables import metric_rows, query_pages
from agora_analytics.cli.output import LimitedOutput, write_rows
from agora_analytics.errors import ServerError

KIND = metric_rows(["userCount"], name="hours", over_time=True)
LIMITS = pytest.mark.parametrize("limit", [1, 2, 3])


@LIMITS
def test_listing_that_ends_early_is_an_error_with_a_limit_too(limit, capsys):
    """The last pages have the newest rows, so that the rows shown are not the newest."""

    class Listing:
        async def pages(self):
            yield [0, 3600]
            raise ServerError("down", status=500)

    @asynccontextmanager
    async def client(**options):
        yield Listing()

    def table(page):
        return KIND.table({"ts": ts, "userCount": 7} for ts in page)

    with pytest.raises(ServerError, match="down") as raised:
        run_newest_first(client, lambda listing: listing, table, KIND, LimitedOutput(limit=limit), by="ts")
    written = min(limit, 2)
    assert f"{written} hours were written before that" in raised.value.__notes__
    assert capsys.readouterr().out.count("1970-01-01") == written


@LIMITS
def test_query_that_fails_is_an_error_with_a_limit_too(limit, capsys):
    async def answered():
        return [SimpleNamespace(ts=ts, metric="userCount", value=7) for ts in (0, 3600)]

    async def refused():
        raise ServerError("down", status=500)

    async def show():
        await write_rows(query_pages(KIND, answered(), refused()), KIND, LimitedOutput(limit=limit))

    with pytest.raises(ServerError, match="down"):
        asyncio.run(show())
    assert capsys.readouterr().out.count("1970-01-01") == min(limit, 2)
