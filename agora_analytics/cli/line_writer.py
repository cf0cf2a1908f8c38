"""Rows as lines that are written one by one: the columns keep their width, whatever comes."""

from collections.abc import Iterable

from agora_analytics.cli.output.columns import Listing, Row
from agora_analytics.cli.terminal import out

_AGAIN = 40  # lines after which the titles come again
_TIME = 20


class Lines:
    """Writes each row as it comes, below titles that come again now and then."""

    def __init__(self, listing: Listing) -> None:
        self._shown = listing.shown
        self._console = out()
        self._count = 0

    def add(self, rows: Iterable[Row]) -> None:
        """Write rows."""
        for row in rows:
            if self._count % _AGAIN == 0:
                self._write([column.title for column in self._shown], "bold")
            self._count += 1
            self._write([column.text(row) for column in self._shown], "")

    def _write(self, texts: list[str], style: str) -> None:
        cells = [
            f"{text:>{max(len(column.title), 9)}}" if column.right else f"{text:<{_TIME}}"
            for column, text in zip(self._shown, texts, strict=True)
        ]
        self._console.print("  ".join(cells), style=style, markup=False, soft_wrap=True)
        self._console.file.flush()
