"""Charts of one line: a character a stretch of time, the higher the more. Rich has none, and one line needs no library."""

import math
from collections.abc import Sequence

from rich.text import Text

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-:=+*#"
UNKNOWN = "·"
AWAY = " "


def sparkline(
    values: Sequence[float],
    present: Sequence[bool],
    *,
    top: float,
    warn: float = math.inf,
    bad: float = math.inf,
    style: str = "cyan",
    plain: bool = False,
) -> Text:
    """Return a chart of values; 0 is the lowest block and `top` the highest, so that charts can be compared.

    Args:
        values: one for each character; NaN where nothing was measured.
        present: whether there was somebody to measure; a blank stands where there was not.
        top: the value of the highest block.
        warn: from here on a block is yellow ...
        bad: ... and from here on red.
        style: the style of the others.
        plain: ASCII only, for terminals that show nothing else.
    """
    blocks = _ASCII if plain else _BLOCKS
    line = Text(no_wrap=True)
    for value, here in zip(values, present, strict=True):
        if math.isnan(value):
            line.append((("." if plain else UNKNOWN) if here else AWAY), "dim")
            continue
        height = round(min(max(value / top, 0), 1) * (len(blocks) - 1)) if top > 0 else 0
        line.append(blocks[height], "red" if value >= bad else "yellow" if value >= warn else style)
    return line
