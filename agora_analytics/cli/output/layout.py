"""The layout of a table on a terminal: which columns a line has, their widths, and the ids that get a line of their own."""

from collections.abc import Iterator, Sequence

from attrs import frozen
from rich.cells import cell_len, set_cell_size

from agora_analytics.cli.output.columns import NO_VALUE, TableColumn

GAP = 2  # characters between two columns


@frozen
class TableLayout:
    """The places of the columns in a table.

    Attributes:
        widths: the width of each column of a line, by its place.
        below: the places of the ids that are written under each row.
        left_out: the places of the columns that do not fit.
        wrapped: titles are written on several lines.
    """

    widths: dict[int, int]
    below: tuple[int, ...] = ()
    left_out: tuple[int, ...] = ()
    wrapped: bool = False

    @property
    def width(self) -> int:
        """The width of a line."""
        return _total(list(self.widths.values()))

    def title_lines(self, columns: Sequence[TableColumn]) -> Iterator[str]:
        """Yield the lines of the titles. They are aligned at the bottom."""
        titles = [
            _wrap(columns[place].title, width) if self.wrapped else [columns[place].title]
            for place, width in self.widths.items()
        ]
        height = max(map(len, titles), default=0)
        for line in range(height):
            words = [title[line - height] if height - line <= len(title) else "" for title in titles]
            yield self._line(columns, words)
        if self.below:
            yield "  " + "  ".join(columns[place].title for place in self.below)

    def row_lines(self, columns: Sequence[TableColumn], row: Sequence[str], more: str) -> Iterator[str]:
        """Yield the lines of a row. A text that is too long is cut and ends with `more`; without `more` it is not cut.

        There is no second line if the row has none of the ids.
        """
        texts = (_cut(row[place], width, more) for place, width in self.widths.items())
        yield self._line(columns, texts)
        if any(row[place] != NO_VALUE for place in self.below):
            yield "  " + "  ".join(row[place] for place in self.below)

    def _line(self, columns: Sequence[TableColumn], texts: "Iterator[str] | Sequence[str]") -> str:
        cells = []
        for (place, width), text in zip(self.widths.items(), texts, strict=True):
            blanks = " " * (width - cell_len(text))
            cells.append(blanks + text if columns[place].right else text + blanks)
        return (" " * GAP).join(cells).rstrip()


def lay_out(columns: Sequence[TableColumn], rows: Sequence[Sequence[str]], width: int | None) -> TableLayout:
    """Return the layout for a terminal of `width` characters; None: there is no limit.

    In this order, until everything fits: titles are wrapped, texts are cut, ids get a line of their own, and the last
    columns are left out.
    """
    everything = range(len(columns))
    titles = [cell_len(column.title) for column in columns]
    words = [max(map(cell_len, column.title.split()), default=0) for column in columns]
    texts = [max((cell_len(row[place]) for row in rows), default=1) for place in everything]
    natural = [max(pair) for pair in zip(titles, texts, strict=True)]
    wrapped = [max(pair) for pair in zip(words, texts, strict=True)]
    if width is None:
        return TableLayout(dict(enumerate(natural)))
    least = [
        min(wrapped[place], max(columns[place].least, words[place]))
        if columns[place].least
        else wrapped[place]
        for place in everything
    ]
    below = tuple(place for place in everything if columns[place].below)
    beside = tuple(place for place in everything if place not in below)
    arrangements = [(tuple(everything), ())] + ([(beside, below)] if below and beside else [])
    for places, ids in arrangements:
        for widths in (natural, wrapped):
            if _total([widths[place] for place in places]) <= width:
                return TableLayout({place: widths[place] for place in places}, ids, wrapped=widths is wrapped)
        if _total([least[place] for place in places]) <= width:
            break
    count = len(places)
    while count > 1 and _total([least[place] for place in places[:count]]) > width:
        count -= 1
    widths_of = {place: least[place] for place in places[:count]}
    spare = width - _total(list(widths_of.values()))
    for place, width_of in widths_of.items():  # the texts share what is left, the first one first
        more = min(max(spare, 0), wrapped[place] - width_of)
        widths_of[place] += more
        spare -= more
    return TableLayout(widths_of, ids, places[count:], wrapped=True)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * max(len(widths) - 1, 0)


def _wrap(title: str, width: int) -> list[str]:
    """Return the lines of a title, broken between words."""
    lines: list[str] = []
    for word in title.split():
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _cut(text: str, width: int, more: str) -> str:
    return text if cell_len(text) <= width or not more else set_cell_size(text, width - 1).rstrip() + more
