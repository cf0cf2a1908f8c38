"""Text of strangers on a terminal, in files and pipes, in narrow encodings and in spreadsheets."""

import csv
import io
import json
import logging
import os
import sys
import threading
import time
import unicodedata

import pyarrow as pa
import pytest

from agora_analytics.cli import main
from agora_analytics.cli.app import _ToStderr
from agora_analytics.cli.harvest_summary import show_summary
from agora_analytics.cli.output.columns import RowKind, TableColumn, plain
from agora_analytics.cli.output.table import LiveTableWriter
from agora_analytics.cli.terminal import err, one_line, out, status_line
from agora_analytics.core.hidden_characters import _HIDDEN, visible, visible_json
from agora_analytics.core.windows import Window
from agora_analytics.harvest import CallSkipped, HarvestReport
from agora_analytics.simulator import World
from agora_analytics.simulator.ground_truth.records import CallTruth, SessionTruth
from agora_analytics.store import open_store

pty = pytest.importorskip("pty")

NAMES = {
    "clear the screen": "\x1b[2J\x1b[1;1Hgone",
    "conceal": "\x1b[8mhidden",
    "title": "\x1b]0;title\x07",
    "link": "\x1b]8;;http://x\x1b\\y",
    "C1 control": "over\x9b2Jc1",
    "backspace": "admin\x08\x08bc",
    "right-to-left override": "doc\u202etxt.exe",
    "isolate": "a\u2066b\u2069",
    "mark": "a\u200eb\u200f\u061cc",
    "zero width": "a\u200bb\u2060c\ufeff",
    "tag": "x\U000e0041y",
    "delete": "a\x7fb",
}
ESCAPED = {
    "clear the screen": r"\x1b[2J\x1b[1;1Hgone",
    "conceal": r"\x1b[8mhidden",
    "title": r"\x1b]0;title\x07",
    "link": r"\x1b]8;;http://x\x1b\y",
    "C1 control": r"over\x9b2Jc1",
    "backspace": r"admin\x08\x08bc",
    "right-to-left override": r"doc\u202etxt.exe",
    "isolate": r"a\u2066b\u2069",
    "mark": r"a\u200eb\u200f\u061cc",
    "zero width": r"a\u200bb\u2060c\ufeff",
    "tag": r"x\U000e0041y",
    "delete": r"a\x7fb",
}
UNICODE = ["plain", "café", "会议室 🎉", "before\u2026"]


class Terminal:
    """A pseudo-terminal for stdout and stderr of this process. Its content is read in a thread, so it never blocks."""

    def __init__(self, monkeypatch, encoding="utf-8"):
        self._controller, worker = pty.openpty()
        self._file = os.fdopen(worker, "w", buffering=1, encoding=encoding)
        self._read = bytearray()
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "250")
        monkeypatch.setattr(sys, "stdout", self._file)
        monkeypatch.setattr(sys, "stderr", self._file)

    def _collect(self):
        while True:
            try:
                piece = os.read(self._controller, 65536)
            except OSError:  # the other side is closed
                return
            self._read += piece

    def close(self):
        """Return what was written."""
        self._file.close()
        self._reader.join()
        os.close(self._controller)
        return bytes(self._read)


def assert_harmless(written, names=NAMES):
    text = written.decode()
    for what, name in NAMES.items():
        if what in names:
            assert name not in text, what
            assert ESCAPED[what] in text, what
    assert "\x1b[8m" not in text
    assert "\x1b]" not in text
    assert {c for c in text if unicodedata.category(c) in ("Cc", "Cf")} <= set("\r\n\t\x1b")


def call(index, name, ago=7200):
    start = int(time.time()) - ago - index
    session = SessionTruth(
        sid=f"s{index}", uid=f"{index + 1}", join_ts=start, leave_ts=start + 100, network=name,
        platform=name, device_type=name, sdk_version=name, extra={"account": name},
    )  # fmt: skip
    return CallTruth(
        call_id=f"c{index:031}", cname=name, created_ts=start, destroyed_ts=start + 100, sessions=(session,)
    )


@pytest.fixture
def project(serving, environment, monkeypatch):
    """Serve a project with a call for each name, and set the environment of this process."""

    def serve(names):
        served = serving(World([call(index, name) for index, name in enumerate(names)]))
        environment["AGORA_BASE_URL"] = served.__enter__()
        contexts.append(served)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    contexts = []
    yield serve
    for context in contexts:
        context.__exit__(None, None, None)


@pytest.mark.parametrize("format_", ["table", "csv", "json", "jsonl"])
def test_calls_on_a_terminal_show_escapes(project, monkeypatch, format_):
    project(NAMES.values())
    terminal = Terminal(monkeypatch)
    assert main(["calls", "--since", "6h", "-f", format_]) == 0
    written = terminal.close()
    if format_.startswith("json"):
        assert "\x1b" not in written.decode()
        text = written.decode().replace("\r\n", "\n")
        rows = json.loads(text) if format_ == "json" else [json.loads(line) for line in text.splitlines()]
        assert sorted(row["cname"] for row in rows) == sorted(NAMES.values())
        assert {c for c in text if unicodedata.category(c) in ("Cc", "Cf")} <= {"\n"}
    else:
        assert_harmless(written)


@pytest.mark.parametrize("what", ["C1 control", "title", "right-to-left override", "backspace"])
def test_report_of_inspect_shows_escapes(project, monkeypatch, what):
    project([NAMES[what]])
    terminal = Terminal(monkeypatch)
    assert main(["inspect", f"c{0:031}", "--since", "6h"]) == 0
    written = terminal.close()
    assert_harmless(written, {what})
    assert written.decode().count(ESCAPED[what]) > 3


def test_data_in_a_pipe_and_in_a_file_stay_exact(project, capsys, tmp_path):
    project(NAMES.values())
    expected = sorted(NAMES.values())
    assert main(["calls", "--since", "6h", "-f", "json"]) == 0
    assert sorted(row["cname"] for row in json.loads(capsys.readouterr().out)) == expected
    assert main(["calls", "--since", "6h", "-o", str(tmp_path / "calls.csv")]) == 0
    with (tmp_path / "calls.csv").open(encoding="utf-8", newline="") as file:
        assert sorted(row["cname"] for row in csv.DictReader(file)) == expected


def test_table_in_a_pipe_shows_escapes(project, capsys):
    project(NAMES.values())
    assert main(["calls", "--since", "6h"]) == 0
    assert_harmless(capsys.readouterr().out.encode())


def test_columns_of_a_table_stay_aligned(project, capsys):
    project(["a\u202eb", "plain"])
    assert main(["calls", "--since", "6h"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "c000" in line]
    assert len({line.index("c000") for line in lines}) == 1


def test_messages_progress_and_summary_show_escapes(monkeypatch, tmp_path):
    terminal = Terminal(monkeypatch)
    everything = " ".join(NAMES.values())
    report = HarvestReport(
        window=Window(0, 3599), calls=0, ongoing=0, known_before=0, sessions=0, points=0, requests={},
        skipped=[CallSkipped(call_id="c1", reason=everything)], too_recent=0, left=0, listing_left=False, retry_at=None, seconds=1.0,
    )  # fmt: skip
    show_summary(out(), report, tmp_path / "[red]\x9bstore")
    one_line(err(), f"agora-analytics: {everything} :bug:", "bad")
    status_line.begin()
    status_line.show(everything)
    status_line.end()
    written = terminal.close()
    assert_harmless(written)
    assert b"[red]\\x9bstore" in written
    assert b":bug:" in written


def test_error_and_its_traceback_show_escapes(monkeypatch, tmp_path):
    open_store(tmp_path / "store", create=True)
    terminal = Terminal(monkeypatch)
    assert (
        main(["--debug", "sql", "--store", str(tmp_path / "store"), "select error('\x9b2J\u202e\x1b[8m')"])
        == 2
    )
    written = terminal.close().decode()
    assert "Traceback" in written
    assert written.count(r"\x9b2J\u202e\x1b[8m") >= 2
    assert not {"\x9b", "\u202e"} & set(written)
    assert "\x1b[8m" not in written


def test_query_result_and_its_titles_show_escapes(monkeypatch, tmp_path):
    open_store(tmp_path / "store", create=True)
    terminal = Terminal(monkeypatch)
    statement = "select chr(155) || chr(27) || '[2J' as \"a\u202eb\", [chr(8238)] as list"
    assert main(["sql", "--store", str(tmp_path / "store"), statement]) == 0
    written = terminal.close().decode()
    assert r"a\u202eb" in written
    assert r"\x9b\x1b[2J" in written
    assert not {"\x9b", "\u202e"} & set(written)


ENCODINGS = ["cp1252", "ascii", "gbk", "utf-16", "latin-1"]


class Pipe(io.TextIOWrapper):
    """Stdout or stderr with the encoding of a locale."""

    def __init__(self, encoding, errors="strict"):
        super().__init__(io.BytesIO(), encoding=encoding, errors=errors, newline="\n")

    @property
    def written(self):
        self.flush()
        return self.buffer.getvalue()


@pytest.fixture
def piped(monkeypatch, project):
    """Run `calls` with stdout and stderr in an encoding, and return what was written."""
    project(UNICODE)

    def run(encoding, *words):
        stdout, stderr = Pipe(encoding), Pipe(encoding)
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(sys, "stderr", stderr)
        code = main(["calls", "--since", "6h", *words])
        monkeypatch.undo()
        return code, stdout.written, stderr.written

    return run


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("format_", ["csv", "json", "jsonl"])
def test_data_are_utf8_whatever_the_locale(piped, encoding, format_):
    code, stdout, _ = piped(encoding, "-f", format_)
    assert code == 0
    assert all(name in stdout.decode("utf-8") for name in UNICODE)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_table_shows_escapes_for_characters_that_the_encoding_lacks(piped, encoding):
    code, stdout, _ = piped(encoding)
    assert code == 0
    table = stdout.decode(encoding)
    assert all(visible(name, encoding) in table for name in UNICODE)
    rows = [line for line in table.splitlines() if "c000" in line]
    assert len(rows) == len(UNICODE)
    if encoding == "ascii":
        assert len({line.index("c000") for line in rows}) == 1
        assert r"caf\xe9" in table


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_error_is_written_in_every_encoding(piped, encoding):
    code, _, stderr = piped(encoding, "--cname", "x", "-f", "会")
    assert code == 2
    assert visible("会", encoding) in stderr.decode(encoding)


def test_help_and_report_are_written_in_ascii(project, monkeypatch):
    project(UNICODE)
    stdout = Pipe("ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert main(["calls", "--help"]) == 0
    assert main(["inspect", f"c{1:031}", "--since", "6h"]) == 0
    assert rb"caf\xe9" in stdout.written


def test_command_writes_utf8_in_a_narrow_locale(project, command):
    project(UNICODE)
    narrow = {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    done = command("calls", "--since", "6h", "-f", "csv", env=narrow)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(name in done.stdout for name in UNICODE)


def test_terminal_in_a_narrow_encoding_gets_its_own_encoding(project, monkeypatch):
    """The bytes of UTF-8 would be C1 controls on a terminal of eight bits."""
    project(["ěx"])
    for format_ in ("table", "csv", "json"):
        terminal = Terminal(monkeypatch, "latin-1")
        assert main(["calls", "--since", "6h", "-f", format_]) == 0
        written = terminal.close()
        assert b"\\u011bx" in written
        assert b"\x9b" not in written


FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =1",
    "\uff1d1",
    "=cmd|' /C calc'!A0",
    "-",
]
HARMLESS = ["room", "", "-5", "+4.5", "a=1", "1-2", "'=1"]


def test_formulas_are_defused_on_request(capsys, tmp_path):
    open_store(tmp_path / "store", create=True)
    values = ", ".join(
        f"('{text}', -1.5, [-1])" for text in (text.replace("'", "''") for text in FORMULAS + HARMLESS)
    )
    words = [
        "sql",
        "--store",
        str(tmp_path / "store"),
        "-f",
        "csv",
        f'from (values {values}) t("=text", n, list)',
    ]

    def read():
        return list(csv.reader(io.StringIO(capsys.readouterr().out, newline="")))

    assert main(words) == 0
    assert [row[0] for row in read()] == ["=text", *FORMULAS, *HARMLESS]
    assert main([*words, "--defuse-formulas"]) == 0
    rows = read()
    assert [row[0] for row in rows] == ["'=text", *(f"'{text}" for text in FORMULAS), *HARMLESS]
    assert {tuple(row[1:]) for row in rows[1:]} == {("-1.5", "[-1]")}


@pytest.mark.parametrize("words", [["-f", "json"], [], ["-o", "x.parquet"]])
def test_formulas_are_defused_in_csv_only(capsys, tmp_path, words):
    open_store(tmp_path / "store", create=True)
    assert main(["sql", "--store", str(tmp_path / "store"), "select 1", "--defuse-formulas", *words]) == 2
    assert "--defuse-formulas" in capsys.readouterr().err


def test_every_invisible_character_is_escaped():
    visible_format_characters = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    visible_format_characters |= set(range(0x13430, 0x13440))  # they join hieroglyphs
    for point in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(point))
        if category in ("Cc", "Cf", "Zl", "Zp", "Cs") and point not in visible_format_characters:
            assert chr(point) in "\n\t" or _HIDDEN.match(chr(point)), hex(point)
        elif category[0] in "LNPS" and "FILLER" not in unicodedata.name(chr(point), ""):
            assert not _HIDDEN.match(chr(point)), hex(point)


@pytest.mark.parametrize("name", [*NAMES.values(), *UNICODE, "\ud83c", "\x00"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_escapes_of_json_keep_the_data(name, encoding):
    written = visible_json(json.dumps({"name": name}, ensure_ascii=False), encoding)
    assert json.loads(written.encode(encoding).decode(encoding)) == {"name": name}


def test_live_table_and_log_show_escapes(monkeypatch):
    rows = pa.table({"name": list(NAMES.values())})
    kind = RowKind(name="things", schema=lambda: rows.schema, columns=(TableColumn("name", plain("name")),))
    terminal = Terminal(monkeypatch)
    LiveTableWriter(kind).add(rows)
    assert_harmless(terminal.close())
    stderr = Pipe("utf-8")
    monkeypatch.setattr(sys, "stderr", stderr)
    handler = _ToStderr()
    handler.handle(
        logging.LogRecord("agora_analytics", logging.INFO, "", 1, " ".join(NAMES.values()), None, None)
    )
    assert_harmless(stderr.written)


@pytest.mark.parametrize("words", [["sql", "--store", "store", "-"], ["opentok", "query", "-"]])
def test_stdin_that_is_not_text_is_an_error_of_ours(monkeypatch, tmp_path, capsys, words):
    monkeypatch.chdir(tmp_path)
    for name in ("OPENTOK_API_KEY", "OPENTOK_API_SECRET"):
        monkeypatch.setenv(name, "123456")
    open_store("store", create=True)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("select 'é'".encode()), encoding="ascii"))
    assert main(words) == 2
    assert "stdin is not text" in capsys.readouterr().err
