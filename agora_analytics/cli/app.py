"""The command line: all commands with their examples, and the global options."""

import logging
import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from agora_analytics import __version__
from agora_analytics.cli.commands.alert import alert
from agora_analytics.cli.commands.apsaravideo import app as apsaravideo
from agora_analytics.cli.commands.calls import calls, sessions
from agora_analytics.cli.commands.compare import compare
from agora_analytics.cli.commands.costs import estimate, quota
from agora_analytics.cli.commands.demo import demo
from agora_analytics.cli.commands.export import app as export
from agora_analytics.cli.commands.fleet import app as fleet
from agora_analytics.cli.commands.fleet import worker
from agora_analytics.cli.commands.insights import quality, usage
from agora_analytics.cli.commands.inspect_call import inspect
from agora_analytics.cli.commands.mcp import mcp
from agora_analytics.cli.commands.metrics import metrics
from agora_analytics.cli.commands.opentok import app as opentok
from agora_analytics.cli.commands.realtime import realtime
from agora_analytics.cli.commands.report import report
from agora_analytics.cli.commands.score import score
from agora_analytics.cli.commands.simulate import simulate
from agora_analytics.cli.commands.statistics import statistics
from agora_analytics.cli.commands.store import compact, harvest, rollup, sql
from agora_analytics.cli.commands.views import views
from agora_analytics.cli.commands.why import why
from agora_analytics.cli.runner import MEANINGS
from agora_analytics.core.hidden_characters import visible
from agora_analytics.logs import VARIABLE, StderrHandler, set_up

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "calls": (
        "agora-analytics calls --since 2h",
        "agora-analytics calls --since 1d --cname standup --limit 0",
        "agora-analytics calls --since 1d --output calls.csv",
        "agora-analytics calls --since 1d --format jsonl",
    ),
    "inspect": (
        "agora-analytics inspect CALL_ID",
        "agora-analytics inspect CALL_ID --around 2h --users all",
        "agora-analytics inspect CALL_ID --format json",
        "agora-analytics inspect CALL_ID --output call.html",
    ),
    "sessions": (
        "agora-analytics sessions CALL_ID",
        "agora-analytics sessions CALL_ID --since 6h --until 1h --format csv",
    ),
    "metrics": (
        "agora-analytics metrics CALL_ID",
        "agora-analytics metrics CALL_ID --metric video_render_freeze --format jsonl",
        "agora-analytics metrics CALL_ID --user 42 --output metrics.parquet",
    ),
    "statistics": (
        "agora-analytics statistics CALL_ID",
        "agora-analytics statistics CALL_ID --by os --metric video_freeze_rate",
        "agora-analytics statistics CALL_ID --freeze",
        "agora-analytics statistics CALL_ID --over-time --format csv",
    ),
    "usage": (
        "agora-analytics usage",
        "agora-analytics usage userCount totalDuration --since 2d --each hour",
        "agora-analytics usage --by country --since 14d --format csv",
    ),
    "quality": (
        "agora-analytics quality",
        "agora-analytics quality videoFreezeRate networkDelay --by net",
        "agora-analytics quality joinSuccessRate --product WebRTC --total",
    ),
    "realtime": (
        "agora-analytics realtime userCount videoFreezeRate",
        "agora-analytics realtime videoFreezeRate --top --by country",
        "agora-analytics realtime --follow --format jsonl",
    ),
    "estimate": (
        "agora-analytics estimate --since 2d",
        "agora-analytics estimate userCount videoFreezeRate --since 14d",
        "agora-analytics estimate userCount videoFreezeRate --realtime",
    ),
    "harvest": ("agora-analytics harvest --since 2d --out calls.store",),
    "compare": (
        "agora-analytics compare --store calls.store --metric video_freeze_rate --before 2d..1d --after 1d..now",
        "agora-analytics compare --store calls.store -m round_trip_time --above 300 --before 2d..1d --after 1d..now",
    ),
    "report": (
        "agora-analytics report --store calls.store --since 7d --output week.html",
        "agora-analytics report --store calls.store --since 7d --format json",
    ),
    "mcp": ("agora-analytics mcp --store calls.store",),
    "sql": ('agora-analytics sql --store calls.store "select count(*) from calls"',),
    "views": ("agora-analytics views --store calls.store --output calls.duckdb",),
    "why": (
        "agora-analytics why --call CALL_ID --uid UID",
        "agora-analytics why --call CALL_ID --uid UID --store calls.store --format json",
    ),
    "alert": (
        "agora-analytics alert --store calls.store --backtest --since 7d",
        "agora-analytics alert --store calls.store",
        "agora-analytics alert --follow",
    ),
    "score": (
        "agora-analytics score --store calls.store",
        "agora-analytics score --store calls.store --by day --media audio",
        "agora-analytics score --store calls.store --by user --since 1d --format csv",
    ),
}
"""The examples in the help of each command. A test runs all of them against the simulator."""


app = typer.Typer(
    name="agora-analytics",
    help="Call-quality data of Agora, OpenTok and ApsaraVideo: show it, or harvest it at the documented rate. "
    "The simulated servers need no account.",
    epilog="Exit codes: 0 done, 2 wrong input, 75 incomplete (run it again later). --exit-codes lists them all.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def epilog_of(command: str) -> str | None:
    r"""Return the examples of a command for its help. Typer keeps the line breaks of a paragraph that begins with `\b`."""
    lines = EXAMPLES.get(command)
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines))) if lines else None


_PANELS = {
    "Calls": (calls, inspect, why, sessions, metrics, statistics),
    "Project": (usage, quality, realtime),
    "Store": (harvest, sql, score, compare, report, views, mcp, compact, rollup),
    "Alerts": (alert,),
    "Many accounts": (worker,),
    "Quota": (quota, estimate),
    "Without an account": (demo, simulate),
}
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(epilog=epilog_of(command.__name__), rich_help_panel=panel)(command)

app.add_typer(export, rich_help_panel="Project")
app.add_typer(fleet, rich_help_panel="Many accounts")
for group in (opentok, apsaravideo):
    app.add_typer(group, rich_help_panel="Other vendors")


def command_line() -> Any:
    """Return the command line, whose help shows the metavar of a parameter without its type, such as `<str>`."""
    command = typer.main.get_command(app)
    _hide_types(command, None)
    return command


def _hide_types(command: Any, parent: Any) -> None:
    # The option --help is made at its first use and kept.
    context = typer.Context(command, parent=parent, **command.context_settings)
    for parameter in (*command.params, command.get_help_option(context)):
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
        elif parameter.param_type_name == "argument":
            # Typer shows the type of an argument beside its metavar; it has no option for that.
            parameter.display_type_rich = lambda **_: ""
    for inner in getattr(command, "commands", {}).values():
        _hide_types(inner, context)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"agora-analytics {__version__}")
        raise typer.Exit


def _print_exit_codes(requested: bool) -> None:
    if requested:
        typer.echo("\n".join(f"{code:>3}  {meaning}" for code, meaning in MEANINGS.items()))
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _begin(
    context: typer.Context,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Write log messages and tracebacks to stderr (or AGORA_LOG=debug)."),
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
    exit_codes: Annotated[
        bool,
        typer.Option(
            "--exit-codes", callback=_print_exit_codes, is_eager=True, help="Print the exit codes and exit."
        ),
    ] = False,
) -> None:
    del version, exit_codes
    _log(debug=debug)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


class _ToStderr(StderrHandler):
    """Escapes hidden characters."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _log(*, debug: bool) -> None:
    if level := "debug" if debug else os.environ.get(VARIABLE, "").strip().lower():
        # Only the loggers of this package: those of an HTTP library may log headers with credentials.
        set_up(level, _ToStderr())
