"""`agora-analytics why`."""

import asyncio
import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from attrs import evolve

from agora_analytics.cli.accounts import AgoraAccount
from agora_analytics.cli.client_context import open_client
from agora_analytics.cli.commands.calls import CallSearch
from agora_analytics.cli.options import TIMES, existing_store, option_groups
from agora_analytics.cli.terminal import out

if TYPE_CHECKING:
    from agora_analytics.insight import CallDiagnosis


_SEARCHES = 3
"""The most requests that look for the call, so that a diagnosis takes at most six."""


class WhyFormat(StrEnum):
    """How a diagnosis is printed."""

    TEXT = "text"
    JSON = "json"


@option_groups
def why(
    call: Annotated[
        str, typer.Option(metavar="CALL_ID", help="The call, as `agora-analytics calls` shows it.")
    ],
    uid: Annotated[str, typer.Option(metavar="UID", help="The user who complains.")],
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help=f"When the user complained: only the minute before and after it counts. {TIMES}. Default: the whole call.",
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            parser=existing_store,
            help="Read the call from this store and send no request. Default: ask the API, with at most six requests.",
        ),
    ] = None,
    profile: Annotated[
        str,
        typer.Option(
            metavar="PROFILE", help="The thresholds of loss and delay: agora, teams-cqd, twilio, ..."
        ),
    ] = "agora",
    chosen_format: Annotated[
        WhyFormat, typer.Option("--format", "-f", metavar="FORMAT", help="text for people, or json.")
    ] = WhyFormat.TEXT,
    *,
    search: CallSearch,
    account: AgoraAccount,
) -> None:
    """Say why one user's call was poor: whose side it was, what, from when to when, and the evidence.

    The samples of all participants are compared: what the user noticed, and what the devices and networks of everybody did at
    that time. The rules and their limits are in docs/diagnosis.md, with how often they are right. "Nothing" and "not enough
    data" are answers, too. Without a store, the search takes at most three requests, whatever --spend allows: name the time
    with --at or --around.
    """
    from agora_analytics.insight import diagnose, diagnose_live
    from agora_analytics.store import open_store

    if store is not None:
        diagnosis = diagnose(open_store(store), call, uid, at=at, profile=profile)
    else:

        async def ask() -> "CallDiagnosis":
            has_range = search.since is not None or search.until is not None
            around = search.around if search.around or has_range else at
            near = evolve(search, around=around, spend=min(search.spend, _SEARCHES))
            async with open_client(account.client) as client:
                found = await near.find(client, call)
                return await diagnose_live(client, found, uid, at=at, profile=profile)

        diagnosis = asyncio.run(ask())
    if chosen_format is WhyFormat.JSON:
        typer.echo(json.dumps(diagnosis.to_dict(), ensure_ascii=False))
    else:
        from agora_analytics.cli.diagnosis_report import show_diagnosis

        show_diagnosis(out(), diagnosis)
