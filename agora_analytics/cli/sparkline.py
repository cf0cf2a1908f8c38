"""Charts of one line for a terminal."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from agora_analytics.cli.output.columns import TableColumn
from agora_analytics.core.hidden_characters import is_utf8

_FEWEST = 3  # points of a chart
_WIDEST = 60  # characters of a chart


def chart_lines(numbers: Mapping[TableColumn, Sequence[float | None]], console: Console) -> Iterator[Text]:
    """Yield a chart with its range for each column of a table, whose rows are the newest first."""
    charts = {column: values for column, values in numbers.items() if len(values) >= _FEWEST}
    if not any(value is not None for values in charts.values() for value in values):
        return
    yield Text()
    label_width = max(cell_len(column.title) for column in charts)
    for column, values in charts.items():
        known = [value for value in values if value is not None]
        if not known:
            continue
        bins = _bins(values[::-1], min(_WIDEST, max(10, console.width - label_width - 30)))
        line = sparkline(bins, [True] * len(bins), top=max(known), plain=not is_utf8(console.encoding or ""))
        lowest, highest = (column.text({column.chart: value}) for value in (min(known), max(known)))
        ends = lowest if lowest == highest else f"{lowest} to {highest}"
        yield Text.assemble((f"{column.title:<{label_width}}", "dim"), "  ", line, f"  {ends}")
    yield Text("from the oldest to the newest row", "dim")


def _bins(values: Sequence[float | None], count: int) -> list[float]:
    """Return at most so many means of neighbouring values; NaN where no value is known."""
    size = math.ceil(len(values) / count)
    parts = (values[start : start + size] for start in range(0, len(values), size))
    known = ([value for value in part if value is not None] for part in parts)
    return [fmean(part) if part else math.nan for part in known]


_BLOCKS, _ASCII_BLOCKS = "▁▂▃▄▅▆▇█", "_.-:=+*#"


def sparkline(
    values: Sequence[float],
    present: Sequence[bool],
    *,
    top: float,
    warn: float = math.inf,
    bad: float = math.inf,
    plain: bool = False,
) -> Text:
    """Return a chart of one line; 0 is the lowest block and `top` the highest, so that charts can be compared.

    Values from `warn` on are yellow, from `bad` on red. NaN is a dot while the user was present, otherwise a blank.
    `plain` charts are ASCII, for terminals without Unicode.
    """
    blocks, unknown = (_ASCII_BLOCKS, ".") if plain else (_BLOCKS, "·")
    line = Text(no_wrap=True)
    for value, is_present in zip(values, present, strict=True):
        if math.isnan(value):
            line.append(unknown if is_present else " ", "dim")
            continue
        height = round(min(max(value / top, 0), 1) * (len(blocks) - 1)) if top > 0 else 0
        line.append(blocks[height], "red" if value >= bad else "yellow" if value >= warn else "cyan")
    return line
