"""From a call id to the call. The API wants a call's time range with its id, and has no search by id."""

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer
from attrs import frozen

from agora_analytics.agora.operations import LISTS
from agora_analytics.cli.consoles import err, one_line
from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import epoch_seconds, iso

if TYPE_CHECKING:
    from agora_analytics.agora.client import AsyncAgora
    from agora_analytics.agora.records import Call

_NEAR = 600  # seconds on both sides of --around: clocks and memories differ
_CHEAP = 2  # list requests up to which a search needs no words
TIMES = "ISO 8601 (2026-11-20T08:00Z), epoch seconds, or ago (6h, 2d)"

CallIdArgument = Annotated[
    str, typer.Argument(metavar="CALL_ID", help="As `agora-analytics calls` shows it.")
]
AroundOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        rich_help_panel="How the call is found",
        help="A moment of the call, give or take ten minutes: finds it with about one request. "
        "Without it the plan's whole reach is searched, the newest calls first.",
    ),
]
CnameOption = Annotated[
    str | None,
    typer.Option(
        rich_help_panel="How the call is found", help="The call's channel: makes the search cheaper."
    ),
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        rich_help_panel="How the call is found",
        help=f"Search from here on (as in `calls`): {TIMES}.",
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", rich_help_panel="How the call is found", help="Search up to here: as --since."
    ),
]
SpendOption = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        rich_help_panel="How the call is found",
        help="List requests (of 100 calls each) that the search takes at most.",
    ),
]
SPEND = 100


@frozen(kw_only=True)
class Where:
    """Where a call is looked for."""

    around: str | None = None
    cname: str | None = None
    since: str | None = None
    until: str | None = None
    spend: int = SPEND


async def find_call(client: "AsyncAgora", call_id: str, where: Where) -> "Call":
    """Return the call with an id; says on stderr what the search took if that was much.

    Raises:
        InvalidRequest: there is no such call where it was looked for.
    """
    since, until = _range(client, where)
    before = _lists(client)
    found, all_seen = None, True
    async with aclosing(client.calls(since, until, cname=where.cname).pages()) as pages:
        async for page in pages:
            found = next((call for call in page.records if call.call_id == call_id), None)
            if found is not None:
                break
            if page.resume_token and _lists(client) - before >= where.spend:
                all_seen = False
                break
    spent = _lists(client) - before
    if found is None:
        raise InvalidRequest(_not_found(call_id, since, until, spent, all_seen=all_seen, where=where))
    if spent > _CHEAP and where.around is None:
        hint = f"--around {iso(found.created_ts)} finds it with fewer"
        one_line(err(), f"found with {spent} list requests; {hint}", "faint")
    return found


async def call_or_range(
    client: "AsyncAgora", call_id: str, where: Where
) -> tuple["Call"] | tuple[str, str, str]:
    """Return what the client's methods want: the call, or its id with a time range where both ends were given."""
    if where.since and where.until and not where.around:
        return call_id, where.since, where.until
    return (await find_call(client, call_id, where),)


def _range(client: "AsyncAgora", where: Where) -> tuple[float, float]:
    """Return the time range in which to look, in epoch seconds."""
    now = time.time()
    if where.around is not None:
        if where.since or where.until:
            raise InvalidRequest(
                "--around says where to look, and so do --since and --until: give one of them"
            )
        moment = epoch_seconds(where.around, now=now, name="around")
        return moment - _NEAR, moment + _NEAR
    reach = client.reach(LISTS)
    since = reach.start if where.since is None else epoch_seconds(where.since, now=now, name="since")
    return since, now if where.until is None else epoch_seconds(where.until, now=now, name="until")


def _lists(client: "AsyncAgora") -> int:
    return client.sent.get(LISTS.name, 0)


def _not_found(call_id: str, since: float, until: float, spent: int, *, all_seen: bool, where: Where) -> str:
    room = f" of channel {where.cname}" if where.cname else ""
    if all_seen:
        looked = f"{iso(since)} to {iso(until)} has no call{room} with the id {call_id}"
        return f"{looked} ({spent} list request{'' if spent == 1 else 's'}); `agora-analytics calls` shows what there is"
    return (
        f"call {call_id} is not among the newest calls{room} that {spent} list requests show; "
        "say when it was with --around TIME, or raise --spend"
    )
