"""Reads the patches of this folder, and applies one to a copy of the project.

A patch has two lines of text before its diff: what the bug is, and which check should find it. Patches are applied here
and not by `git apply`, which ignores files outside of the repository that contains the folder.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from attrs import field, frozen

FOLDER = Path(__file__).parent
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@")


class DoesNotApply(Exception):
    """A patch does not fit the source; the message names the file and the line."""


@frozen
class Hunk:
    """A change of consecutive lines, with the context around them.

    Attributes:
        line: where the old lines were when the patch was made, from 0.
    """

    file: str
    line: int
    old: list[str]
    new: list[str]

    def position_in(self, lines: list[str]) -> int:
        """Return where the old lines are now; of several places, the nearest to where they were."""
        places = [
            place
            for place in range(len(lines) - len(self.old) + 1)
            if lines[place : place + len(self.old)] == self.old
        ]
        if not places:
            raise DoesNotApply(
                f"{self.file}: the lines around line {self.line + 1} have changed; make the patch again with git diff"
            )
        return min(places, key=lambda place: abs(place - self.line))


@frozen
class Mutant:
    """A planted bug.

    Attributes:
        name: the name of the patch, without its suffix.
        description: what the bug is.
        expected: which check should find it.
        hunks: the changes.
    """

    name: str
    description: str
    expected: str
    hunks: tuple[Hunk, ...] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a patch. Raise ValueError if it is not two lines of text and a unified diff."""
        text, found, diff = path.read_text("utf-8").partition("\n\ndiff --git ")
        description, newline, expected = text.partition("\n")
        if not (found and newline and "\n" not in expected):
            raise ValueError(f"{path.name}: two lines of text, an empty line and a diff are needed")
        return cls(path.stem, description, expected, tuple(_hunks(diff)))

    def apply(self, root: Path) -> None:
        """Change the files below `root`.

        Raises:
            DoesNotApply: a file has changed since the patch was made.
        """
        for file in dict.fromkeys(hunk.file for hunk in self.hunks):
            lines = (root / file).read_text("utf-8").split("\n")
            for hunk in (hunk for hunk in self.hunks if hunk.file == file):
                place = hunk.position_in(lines)
                lines[place : place + len(hunk.old)] = hunk.new
            (root / file).write_text("\n".join(lines), "utf-8")


def mutants() -> list[Mutant]:
    """Return all planted bugs, by name."""
    return [Mutant.read(path) for path in sorted(FOLDER.glob("*.patch"))]


def _hunks(diff: str) -> Iterator[Hunk]:
    lines = iter(diff.split("\n"))
    file = ""
    for line in lines:
        if line.startswith("+++ b/"):
            file = line.removeprefix("+++ b/")
        elif match := _HUNK.match(line):
            start, old_count, new_count = match[1], int(match[2] or 1), int(match[3] or 1)
            old, new = list[str](), list[str]()
            while len(old) < old_count or len(new) < new_count:
                sign, text = (changed := next(lines))[:1], changed[1:]
                if sign != "+":
                    old.append(text)
                if sign != "-":
                    new.append(text)
            yield Hunk(file, int(start) - 1, old, new)
