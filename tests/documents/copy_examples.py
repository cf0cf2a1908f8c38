"""Copies `examples/` into the pages that show them, and the cells of a page into the notebook.

Run it after a change of an example, or of the notebook's page: `python -m tests.documents.copy_examples`.
"""

import json
from pathlib import Path

from tests.documents.blocks import PAGES, ROOT, Block, blocks_of

EXAMPLES = ROOT / "examples"
NOTEBOOK = EXAMPLES / "notebook.ipynb"
NOTEBOOK_PAGE = ROOT / "docs" / "tutorials" / "03-notebook.md"


def example_of(block: Block) -> Path | None:
    """Return the file in `examples/` that a block shows, if there is one."""
    name = block.directives.get("file")
    return next((path for path in EXAMPLES.rglob(name)), None) if name else None


def notebook_of(page: Path) -> str:
    """Return a notebook with the cells of a page, without outputs."""
    sources = [block.text.rstrip("\n") for block in blocks_of(page) if "cell" in block.directives]
    cells = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell-{number}",
            "metadata": {},
            "outputs": [],
            "source": source.splitlines(keepends=True),
        }
        for number, source in enumerate(sources, 1)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1) + "\n"


def main() -> None:
    """Replace each block that shows an example by the text of the example, and the notebook."""
    NOTEBOOK.write_text(notebook_of(NOTEBOOK_PAGE), encoding="utf-8")
    for page in PAGES:
        lines = page.read_text(encoding="utf-8").splitlines()
        for block in reversed(blocks_of(page)):
            if example := example_of(block):
                begin = block.line - 1
                shown = example.read_text(encoding="utf-8").splitlines()
                lines[begin : begin + len(block.text.splitlines())] = shown
        page.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
