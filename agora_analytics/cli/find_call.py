"""Finds a call by its id. The API has no search by id: it needs the call's time range in addition to the id."""

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer
from attrs import frozen

from agora_analytics.agora.operations import LISTS
from agora_analytics.cli.options import TIMES
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import epoch_seconds, iso

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora
    from agora_analytics.agora.records import Call

_MARGIN = 600  # seconds on both sides of --around, because clocks and memories differ
_CHEAP = 2  # list requests up to which a search is not reported
_PANEL = "Search for the call"

CallIdArgument = Annotated[
    str, typer.Argument(metavar="CALL_ID", help="The id, as `agora-analytics calls` shows it.")
]


@frozen(kw_only=True)
class CallSearch:
    """The options that say where to look for a call."""

    around: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            rich_help_panel=_PANEL,
            help="A time within ten minutes of the call. The search then takes about one request. Without it, the "
            "whole range that the plan allows is searched, the newest calls first.",
        ),
    ] = None
    cname: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_PANEL, metavar="CHANNEL", help="Channel of the call; makes the search cheaper."
        ),
    ] = None
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", rich_help_panel=_PANEL, help=f"Start of the search: {TIMES}."),
    ] = None
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", rich_help_panel=_PANEL, help="End of the search, as --since."),
    ] = None
    spend: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=_PANEL,
            help="List requests (of 100 calls each) that the search may send.",
        ),
    ] = 100

    async def find(self, client: "AsyncAgora", call_id: str) -> "Call":
        """Return the call with an id. Reports an expensive search on stderr.

        Raises:
            InvalidRequest: if the call is not there.
        """
        since, until = self._range(client)
        before = _list_requests(client)
        call, complete = None, True
        async with aclosing(client.calls(since, until, cname=self.cname).pages()) as pages:
            async for page in pages:
                call = next((call for call in page.records if call.call_id == call_id), None)
                if call is not None:
                    break
                if page.resume_token and _list_requests(client) - before >= self.spend:
                    complete = False
                    break
        requests = _list_requests(client) - before
        if call is None:
            raise InvalidRequest(self._not_found(call_id, since, until, requests, complete=complete))
        if requests > _CHEAP and self.around is None:
            from agora_analytics.cli.terminal import err, one_line

            hint = f"--around {iso(call.created_ts)} finds the call with fewer"
            one_line(err(), f"the search took {requests} list requests; {hint}", "faint")
        return call

    async def call_or_range(self, client: "AsyncAgora", call_id: str) -> tuple["Call"] | tuple[str, str, str]:
        """Return the arguments of the client's methods: the call, or its id and time range if both ends are given."""
        if self.since and self.until and not self.around:
            return call_id, self.since, self.until
        return (await self.find(client, call_id),)

    def _range(self, client: "AsyncAgora") -> tuple[float, float]:
        """Return the time range of the search in epoch seconds."""
        now = time.time()
        if self.around is not None:
            if self.since or self.until:
                raise InvalidRequest("use either --around, or --since and --until")
            middle = epoch_seconds(self.around, now=now, name="around")
            return middle - _MARGIN, middle + _MARGIN
        since, until = float(client.reach(LISTS).start), now
        if self.since is not None:
            since = epoch_seconds(self.since, now=now, name="since")
        if self.until is not None:
            until = epoch_seconds(self.until, now=now, name="until")
        return since, until

    def _not_found(self, call_id: str, since: float, until: float, requests: int, *, complete: bool) -> str:
        channel = f" in channel {self.cname}" if self.cname else ""
        spent = f"{requests} list request{'' if requests == 1 else 's'}"
        if complete:
            return (
                f"no call with the id {call_id}{channel} from {iso(since)} to {iso(until)} ({spent}); "
                "run `agora-analytics calls` to list the calls"
            )
        return (
            f"call {call_id} is not among the newest calls{channel} ({spent}); "
            "give its time with --around TIME, or raise --spend"
        )


def _list_requests(client: "AsyncAgora") -> int:
    return client.sent.get(LISTS.name, 0)
