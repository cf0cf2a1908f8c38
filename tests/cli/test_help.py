"""The help of every command on a terminal of 80 columns."""

import re
import shlex

import pytest

from agora_analytics.cli import main
from agora_analytics.cli.app import command_line


def pages(command, words=()):
    """Yield the words of each command and group."""
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from pages(inner, (*words, name))


@pytest.mark.parametrize("words", list(pages(command_line())), ids=" ".join)
def test_help_has_no_cut_text_and_no_types(words, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    assert main([*words, "--help"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    usage = next(line for line in text.splitlines() if "Usage:" in line)
    assert all(name.isupper() for name in re.findall(r"[\[{](\w+)", usage))
    assert not {"<bool>", "<str>", "<list[str]>", "<int>", "<float>"} & set(text.split())
    if "--ledger" in text:
        assert "~/.local/state/agora-analytics" in text
    # An example on one line can be copied.
    examples = [line for line in text.splitlines() if line.startswith("   agora-analytics ")]
    assert all(shlex.split(line) for line in examples)
