"""The commands, and the options that all of them share. What a command needs is imported when it runs."""

import logging
import os
import sys
from inspect import cleandoc
from typing import Annotated, TextIO

import typer

from agora_analytics import __version__
from agora_analytics.cli.commands.apsaravideo import app as apsaravideo
from agora_analytics.cli.commands.calls import calls
from agora_analytics.cli.commands.compact import compact
from agora_analytics.cli.commands.demo import demo
from agora_analytics.cli.commands.estimate import estimate
from agora_analytics.cli.commands.harvest import harvest
from agora_analytics.cli.commands.insights import quality, usage
from agora_analytics.cli.commands.inspect_call import inspect
from agora_analytics.cli.commands.metrics import metrics
from agora_analytics.cli.commands.opentok import app as opentok
from agora_analytics.cli.commands.quota import quota
from agora_analytics.cli.commands.realtime import realtime
from agora_analytics.cli.commands.sessions import sessions
from agora_analytics.cli.commands.simulate import simulate
from agora_analytics.cli.commands.sql import sql
from agora_analytics.cli.commands.statistics import statistics
from agora_analytics.cli.examples import epilog_of
from agora_analytics.cli.exit_codes import epilog
from agora_analytics.errors import ConfigurationError

_LEVELS = ("debug", "info", "warning", "error")

app = typer.Typer(
    name="agora-analytics",
    help="Call-quality data of Agora, OpenTok and ApsaraVideo: look at it, harvest it at the pace of the contract, "
    "try it without an account.",
    epilog=epilog(),
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _help(words: str | None) -> str:
    """Return a docstring with each paragraph on one line, for the terminal to wrap: ours is wrapped at another width."""
    return "\n\n".join(" ".join(part.split()) for part in cleandoc(words or "").split("\n\n"))


_PANELS = {
    "Look at calls": (calls, inspect, sessions, metrics, statistics),
    "Look at the whole project": (usage, quality, realtime),
    "Keep everything": (harvest, sql, compact),
    "Know what it costs": (quota, estimate),
    "Try it without an account": (demo, simulate),
}
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(help=_help(command.__doc__), epilog=epilog_of(command.__name__), rich_help_panel=panel)(
            command
        )

for group in (opentok, apsaravideo):
    app.add_typer(group, rich_help_panel="Other vendors")


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"agora-analytics {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _begin(
    context: typer.Context,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show log lines, and where an error happened (or AGORA_LOG=debug)."),
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say the version and exit."),
    ] = False,
) -> None:
    del version
    _log(debug=debug)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


class _ToStderr(logging.StreamHandler[TextIO]):
    """Writes to what stderr is at the moment: while progress is shown, that is not what it was before."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _log(*, debug: bool) -> None:
    level = "debug" if debug else os.environ.get("AGORA_LOG", "").strip().lower()
    if not level:
        return
    if level not in _LEVELS:
        raise ConfigurationError(f"AGORA_LOG={level!r} is no level; choose one of {', '.join(_LEVELS)}")
    # Only our own loggers: those of the HTTP library would name headers.
    handler = _ToStderr()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("agora_analytics")
    logger.addHandler(handler)
    logger.setLevel(level.upper())
