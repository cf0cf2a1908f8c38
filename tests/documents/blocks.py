"""Reads the code blocks of a Markdown page, with the directives in the comments above them.

A directive is an HTML comment on a line directly above the fence:

- `<!-- skip: REASON -->`: not executed.
- `<!-- needs: FOLDER -->`: the page describes a store that the reader has; it is harvested first.
- `<!-- file: NAME -->`: the reader saves the block as NAME. `examples/` may have the same file.
- `<!-- cell -->`: a cell of the page's notebook, which is executed at the end of the page.
- `<!-- server -->`: the command runs until the end of the page. It is ready when it has printed the lines that are shown.
- `<!-- output -->`: what the Python block before it prints, or what the cell before it shows.
- `<!-- appears in: WORD -->`: what the server whose command contains WORD prints from now on.
- `<!-- stop: WORD -->`: the reader presses Ctrl-C in the terminal of that server, which prints this and ends.
"""

import re
import shlex
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_DIRECTIVE = re.compile(r"<!-- ([a-z ]+?)(?:: (.+?))? -->")
_FENCE = re.compile(r"( *)```(\S*)")


@frozen
class Block:
    """A fenced block: its page, the line of its first text, its language, its text and its directives."""

    page: str
    line: int
    language: str
    text: str
    directives: dict[str, str]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@frozen
class Step:
    """A command of a console block, and the output that is shown below it."""

    command: str
    shown: tuple[str, ...]


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found: list[Block] = []
    directives: dict[str, str] = {}
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if directive := _DIRECTIVE.fullmatch(line.strip()):
            directives[directive[1]] = directive[2] or ""
        elif fence := _FENCE.match(line):
            end = lines.index(f"{fence[1]}```", number)
            text = "".join(f"{inner.removeprefix(fence[1])}\n" for inner in lines[number:end])
            name = page.relative_to(ROOT).as_posix()
            found.append(Block(name, number + 1, fence[2], text, directives))
            number, directives = end + 1, {}
        else:
            directives = {}
    return found


def steps_of(block: Block) -> list[Step]:
    """Return the commands of a console block. A line that ends with a backslash or inside quotes is continued."""
    steps: list[Step] = []
    lines = block.text.splitlines()
    while lines:
        line = lines.pop(0)
        assert line.startswith("$ "), f"{block}: output without a command: {line}"
        command = line.removeprefix("$ ")
        while _continues(command):
            command += "\n" + lines.pop(0)
        shown = []
        while lines and not lines[0].startswith("$ "):
            shown.append(lines.pop(0))
        steps.append(Step(command, tuple(shown)))
    return steps


def _continues(command: str) -> bool:
    if command.endswith("\\"):
        return True
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return False


def shape(line: str) -> str:
    """Return a line without the parts that differ between two runs: numbers, times, ids, empty cells."""
    changing = {"-", "%", "null", "null,", "<NA>", "NaN"}
    words = ["#" if re.search(r"\d", word) or word in changing else word for word in line.split()]
    return re.sub(r"─+", "─", re.sub(r"#(?: #)+", "#", " ".join(words)))


def shows(shown: tuple[str, ...], output: str) -> bool:
    """Return whether an output has the shape that is shown; a line `...` stands for any lines.

    At the end of a line, `...` stands for the rest of the line.
    """
    pattern = "".join(_pattern(line.strip()) for line in shown if line.strip())
    lines = (shape(line) for line in output.splitlines() if line.strip())
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)) is not None


def _pattern(line: str) -> str:
    if line == "...":
        return r"(?:.*\n)*?"
    rest = ".*" if line.endswith(" ...") else ""
    return re.escape(shape(line.removesuffix(" ..."))) + rest + r"\n"
