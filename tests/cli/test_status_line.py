"""The status line and the rows on one terminal, read as bytes from a pseudo-terminal."""

import asyncio
import os
import re
import sys

import pyarrow as pa
import pytest

from agora_analytics.cli import client_context, terminal
from agora_analytics.cli.client_context import run_listing
from agora_analytics.cli.output import Format, LimitedOutput
from agora_analytics.cli.output.columns import RowKind, TableColumn, plain

pty = pytest.importorskip("pty")
pytest.importorskip("termios")

STATUS = "waiting for a response"
ROWS = pa.table({"name": ["first row", "second row"]})
KIND = RowKind(name="things", schema=lambda: ROWS.schema, columns=(TableColumn("name", plain("name")),))


class IdleClient:
    """A client that sends nothing."""

    def __init__(self, **_):
        pass

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass


class PseudoTerminal:
    """A terminal of 80 columns for stdout and stderr, and the bytes that were written to it."""

    def __init__(self):
        self._controller, worker = pty.openpty()
        self._file = os.fdopen(worker, "w", buffering=1, encoding="utf-8")
        self.written = ""

    def attach(self, monkeypatch):
        """Write stdout and stderr to it. Not in a fixture: pytest replaces both streams before each phase."""
        monkeypatch.setattr(sys, "stdout", self._file)
        monkeypatch.setattr(sys, "stderr", self._file)

    def read_until(self, text):
        while text not in self.written:
            self.written += os.read(self._controller, 4096).decode(errors="replace")

    def close(self):
        self._file.close()
        os.close(self._controller)


@pytest.fixture
def tty(monkeypatch):
    monkeypatch.setattr(client_context, "STATUS_DELAY", 0)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    opened = PseudoTerminal()
    yield opened
    opened.close()


def screen(written):
    """Return the lines that a terminal shows after these bytes: line feed, return, cursor up and erase line."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[\d;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", written):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            column = 0
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part[0] == "\x1b":
            row -= int(part[2:-1]) if part.endswith("A") else 0
        else:
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines]


SHOWN = {
    Format.TABLE: ["name", "──────────", *["first row", "second row"] * 2, "4 things"],
    Format.CSV: ["name", *["first row", "second row"] * 2],
    Format.JSONL: ['{"name": "first row"}', '{"name": "second row"}'] * 2,
    Format.JSON: [
        '[{"name": "first row"},',
        ' {"name": "second row"},',
        ' {"name": "first row"},',
        ' {"name": "second row"}]',
    ],
}


@pytest.mark.parametrize("chosen", SHOWN)
def test_status_line_is_erased_before_the_first_row(tty, chosen, monkeypatch):
    """The rows arrive only after the status line is on the terminal, so it must be erased for them."""
    tty.attach(monkeypatch)

    async def pages(_client):
        await asyncio.to_thread(tty.read_until, STATUS)
        yield ROWS
        yield ROWS

    run_listing(IdleClient, pages, KIND, LimitedOutput(chosen_format=chosen))
    print("end of output", file=sys.stdout)
    tty.read_until("end of output")
    status, rows = tty.written.split("name", maxsplit=1)
    assert STATUS in status
    assert STATUS not in rows
    assert screen(tty.written) == [*SHOWN[chosen], "end of output", ""]


def test_message_on_stderr_is_written_after_the_status_line_is_erased(tty, monkeypatch):
    tty.attach(monkeypatch)

    async def pages(_client):
        await asyncio.to_thread(tty.read_until, STATUS)
        terminal.one_line(terminal.err(), "a hint about the search")
        yield ROWS

    run_listing(IdleClient, pages, KIND, LimitedOutput())
    tty.read_until("2 things")
    assert screen(tty.written)[0] == "a hint about the search"


def test_status_line_stays_while_rows_go_to_a_pipe(tty, monkeypatch, tmp_path):
    tty.attach(monkeypatch)

    async def pages(_client):
        await asyncio.to_thread(tty.read_until, STATUS)
        yield ROWS
        tty.written = ""
        await asyncio.to_thread(tty.read_until, STATUS)

    with (tmp_path / "pipe").open("w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        run_listing(IdleClient, pages, KIND, LimitedOutput(chosen_format=Format.CSV))
    assert (tmp_path / "pipe").read_text() == "name\nfirst row\nsecond row\n"
