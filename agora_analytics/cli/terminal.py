"""The terminal: results go to stdout, progress and messages to stderr, and neither is written into a live status line."""

import sys
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, NoReturn, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.segment import Segment
from rich.spinner import Spinner
from rich.text import Text
from rich.theme import Theme

from agora_analytics.cli.visible_text import TerminalText, Writable, use_utf8
from agora_analytics.core.hidden_characters import is_utf8, visible
from agora_analytics.errors import InvalidRequest

_THEME = Theme({"fact": "bold", "faint": "dim", "good": "green", "bad": "bold red", "warn": "yellow"})


_WIDTH_WITHOUT_TERMINAL = 200  # a pipe or a file has no width, so nothing is cut
_HEIGHT_WITHOUT_TERMINAL = 100  # without a height, rich would prefer the variable COLUMNS to the width


class StatusLine:
    """A line on stderr that shows what a command waits for, until the first result is written.

    Every writer of this program gets its stream or console from this module. They erase the line first, so that it
    never shares a row of the terminal with other text.
    """

    def __init__(self) -> None:
        self._live: Live | None = None
        self._ended = False

    def begin(self) -> bool:
        """Allow the line to be shown; return whether stderr is a terminal."""
        self._ended = False
        return _console(sys.stderr).is_terminal

    def show(self, text: str) -> None:
        """Show a text, unless the line has ended."""
        if self._ended:
            return
        if self._live is None:
            # Results are never redirected: a writer on stdout calls `end` instead.
            self._live = Live(console=_console(sys.stderr), transient=True, redirect_stdout=False)
            self._live.start()
        dots = "dots" if is_utf8(self._live.console.encoding) else "line"
        self._live.update(Spinner(dots, Text(text, style="dim", no_wrap=True, overflow="ellipsis")))

    def erase(self) -> None:
        """Remove the line for now; the next `show` draws it again."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def end(self) -> None:
        """Remove the line and show nothing more."""
        self._ended = True
        self.erase()


status_line = StatusLine()


class _Console(Console):
    """A console that shows hidden characters as escapes, and raises BrokenPipeError.

    At a broken pipe, rich would end the program with exit code 1.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """Print objects. Rich removes some control characters from a str, so they are escaped before."""
        super().print(*(visible(item) if isinstance(item, str) else item for item in objects), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render an object, also for a table or a live view that contains it."""
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else visible(segment.text, self.encoding)
            yield segment if text == segment.text else Segment(text, segment.style)

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def results(file: TextIO | None = None) -> TextIO:
    """Return the stream of results: a file, or stdout. On a terminal the status line ends."""
    stream = sys.stdout if file is None else file
    if stream.isatty():
        status_line.end()
    return stream


def data(file: TextIO | None = None, escape: Callable[[str, str], str] = visible) -> Writable:
    """Return the stream for data: UTF-8 in a file or a pipe, and text with escapes on a terminal.

    Args:
        file: the file; None: stdout.
        escape: returns a text with escapes for an encoding.
    """
    stream = results(file)
    if stream.isatty():
        return TerminalText(stream, escape)
    use_utf8(stream)
    return stream


def out(file: TextIO | None = None) -> Console:
    """Return a console for results: on a file, or on stdout. On a terminal the status line ends."""
    return _console(results(file))


def standard_input() -> str:
    """Return the text on stdin.

    Raises:
        InvalidRequest: if it is not text in the encoding of the locale.
    """
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"stdin is not text in the encoding {error.encoding} of the locale") from error


def stdout_console() -> Console:
    """Return a console on stdout to look at its width; the status line stays."""
    return _console(sys.stdout)


def err() -> Console:
    """Return a console for progress and messages, after erasing the status line."""
    status_line.erase()
    return _console(sys.stderr)


def _console(file: TextIO) -> Console:
    # On a terminal, long lines break between words; elsewhere nothing is broken.
    unbroken: dict[str, Any] = {
        "soft_wrap": True,
        "width": _WIDTH_WITHOUT_TERMINAL,
        "height": _HEIGHT_WITHOUT_TERMINAL,
    }
    return _Console(
        file=file, theme=_THEME, highlight=False, emoji=False, **({} if file.isatty() else unbroken)
    )


def one_line(console: Console, text: str, style: str = "") -> None:
    """Write a text as one line, without markup and without its line breaks."""
    console.print(" ".join(text.split()), style=style, markup=False)


def duration(seconds: float) -> str:
    """Return a duration in words: `45 s`, `12 min`, `3 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def clock(seconds: float) -> str:
    """Return a duration as a clock shows it: `0:01:30`."""
    return str(timedelta(seconds=round(seconds)))
