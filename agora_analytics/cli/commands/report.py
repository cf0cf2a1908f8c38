"""`agora-analytics report`."""

from typing import Annotated

import typer

from agora_analytics.cli.options import SinceOption, StoreOption, UntilOption, option_groups
from agora_analytics.cli.output import Format, PageOutput, atomic_file
from agora_analytics.cli.terminal import data
from agora_analytics.core.hidden_characters import visible_json
from agora_analytics.errors import InvalidRequest


@option_groups
def report(
    store: StoreOption,
    since: SinceOption,
    until: UntilOption = "now",
    channel: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHANNEL",
            help="Only this channel; repeat it for more. Nothing of other channels is in the report.",
        ),
    ] = None,
    profile: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The limits: agora, teams-cqd, twilio, sinch, bluejeans, vidyo, webrtc-issue-detector or peermetrics.",
        ),
    ] = "agora",
    vendor: Annotated[
        str | None,
        typer.Option(metavar="VENDOR", help="agora or opentok, if the store has calls of both."),
    ] = None,
    app_id: Annotated[str | None, typer.Option(metavar="ID", help="Only this app.")] = None,
    seed: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Seed of the bootstrap; the same seed gives the same report."),
    ] = 20_261_130,
    *,
    output: PageOutput,
) -> None:
    """Report how good the stored calls of a time range were: in words, over time, by network, platform, SDK version and hour of day, and the worst calls.

    --output week.html writes a page with charts, in one file that loads nothing. --format json writes the numbers. Rates are
    shares of the measured time beyond the limits of a profile, with 95 % intervals from a bootstrap over calls; a group is
    called worse or better than the rest only if its interval says so. Sends nothing. `agora-analytics rollup` makes it fast.
    """
    from agora_analytics.insight import report as report_of
    from agora_analytics.insight.pages.html_page import load_libraries
    from agora_analytics.store import open_store

    if output.format not in (Format.HTML, Format.JSON):
        raise InvalidRequest("a report is a page or JSON; add --output week.html, or --format json")
    if output.format is Format.HTML:
        load_libraries()
    found = report_of(
        open_store(store),
        since=since,
        until=until,
        channels=channel or (),
        profile=profile,
        vendor=vendor,
        app_id=app_id,
        seed=seed,
    )
    text = found.to_html() if output.format is Format.HTML else found.to_json() + "\n"
    if output.file is None:
        data(escape=visible_json).write(text)
        return
    with atomic_file(output.file) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")
