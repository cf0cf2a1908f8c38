"""The directive `commands`: usage, help, options and examples of every command, from the program itself."""

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles

PROGRAM = "agora-analytics"
_WORDS = re.compile(
    r"(?<![\w`-])(agora-analytics [a-z]+(?: [A-Z_]{2,})?|--[a-z][\w-]*|[A-Z]+_[A-Z_]+)(?![\w`])"
)


class Commands(SphinxDirective):
    """Writes a section for each command."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        import typer.main

        from agora_analytics.cli.app import app

        root = typer.main.get_command(app)
        lines = [line for path, command in commands(root, PROGRAM) for line in _section(path, command)]
        parent = nodes.section()
        parent.document = self.state.document
        nested_parse_with_titles(self.state, StringList(lines, source="commands"), parent)
        return parent.children


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the path and the command of each command that is not hidden."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, child in command.commands.items():
        if not child.hidden:
            yield from commands(child, f"{path} {name}")


def _section(path: str, command: Any) -> Iterator[str]:
    context = command.context_class(command, info_name=path)
    yield from (f"## `{path}`", "", "```text", command.get_usage(context).removeprefix("Usage: "), "```", "")
    yield from (_prose(command.help or ""), "")
    yield from ("```{list-table}", ":class: options", ":widths: 30 70", "")
    for parameter in command.params:
        name, text = parameter.get_help_record(context) or (parameter.name.upper(), parameter.help or "")
        name = name.partition(" <")[0]  # the type of an argument, which its help describes
        if not parameter.hidden:
            yield from (f"* - `{name.strip()}`", f"  - {_prose(text)}")
    yield from ("```", "")
    if command.epilog:
        examples = [line.strip() for line in command.epilog.splitlines() if line.startswith("  ")]
        yield from ("```text", *examples, "```", "")


def _prose(text: str) -> str:
    """Return a help text with its options and variables as code."""
    paragraphs = (" ".join(part.split()) for part in text.replace("<", "&lt;").split("\n\n"))
    return _WORDS.sub(r"`\g<0>`", "\n\n".join(paragraphs))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
