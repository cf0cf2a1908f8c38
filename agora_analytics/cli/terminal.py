"""Where text goes: results to stdout, progress and trouble to stderr."""

import sys
from datetime import timedelta
from typing import NoReturn, TextIO

from rich.console import Console
from rich.theme import Theme

_THEME = Theme({"fact": "bold", "faint": "dim", "good": "green", "bad": "bold red", "warn": "yellow"})


_WIDE = 200  # what is not a terminal has no width: nothing is cut there
_TALL = 100  # without a height, the environment's COLUMNS would win over the width


class _Console(Console):
    """Says that nobody reads any more as everything else does; rich would end the program itself, with code 1."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def out() -> Console:
    """Return the console of results."""
    return into(sys.stdout)


def into(file: TextIO) -> Console:
    """Return a console that writes results to a file."""
    width, height = (None, None) if file.isatty() else (_WIDE, _TALL)
    return _Console(file=file, theme=_THEME, highlight=False, width=width, height=height)


def err() -> Console:
    """Return the console of progress and trouble."""
    return _Console(file=sys.stderr, theme=_THEME, highlight=False)


def one_line(console: Console, text: str, style: str = "") -> None:
    """Write a text as one line, whatever is in it: no markup, no line breaks but the terminal's own."""
    console.print(" ".join(text.split()), style=style, markup=False, soft_wrap=True)


def for_people(seconds: float) -> str:
    """Return a length of time as people say it: `45 s`, `12 min`, `3 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def clock(seconds: float) -> str:
    """Return a length of time as a clock shows it: `0:01:30`."""
    return str(timedelta(seconds=round(seconds)))
