"""The tables of `docs/agora-api.md`, which the tests compare with the code."""

from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "agora-api.md").read_text()


def table(title):
    """Return the rows of a section's table as lists of cells, without the backticks."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").replace("`", "").split("|")] for line in lines[2:]]


def parameters_of(endpoint):
    """Return the documented parameters of an endpoint."""
    return {parameter for name, parameter, _ in table("Parameters") if name == endpoint}
