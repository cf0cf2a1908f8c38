"""Screens of the commands, as a terminal of 80 or 160 columns shows them, from the bytes of a pseudo-terminal."""

import os
import re
import struct
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from agora_analytics.simulator import serve_in_thread
from agora_analytics.simulator.opentok import DEMO_PROJECT, OpenTokSimulator, OpenTokWorld
from tests.conftest import slow

fcntl = pytest.importorskip("fcntl")
pty = pytest.importorskip("pty")
termios = pytest.importorskip("termios")
pyte = pytest.importorskip("pyte")

_LINES = 300
WIDTHS = pytest.mark.parametrize("columns", [80, slow(160)])


@pytest.fixture
def screen(environment, tmp_path):
    """Run the real command on a terminal and return the lines that it shows."""

    def run(columns, *words, code=0):
        controller, worker = pty.openpty()
        fcntl.ioctl(worker, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, columns, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-m", "agora_analytics", *map(str, words)],
            stdin=worker,
            stdout=worker,
            stderr=worker,
            cwd=tmp_path,
            env=environment | {"TERM": "xterm-256color"},
        )
        os.close(worker)
        shown = pyte.Screen(columns, _LINES)
        stream = pyte.ByteStream(shown)
        try:
            while written := _read(controller):
                stream.feed(written)
            assert process.wait(60) == code, shown.display
        finally:
            process.kill()
            process.wait()
            os.close(controller)
        lines = [line.rstrip() for line in shown.display]
        return lines[: 1 + max((place for place, line in enumerate(lines) if line), default=0)]

    return run


def _read(controller):
    try:
        return os.read(controller, 65_536)
    except OSError:  # Linux: the program has closed its end
        return b""


def words_of(lines):
    """Return the words on a screen, without those that a `…` cuts, as it says."""
    return {word for line in lines for word in line.split() if "…" not in word and not word.startswith("─")}


@pytest.fixture
def opentok(environment):
    """An OpenTok project of which all sessions have ended."""
    until = time.time() - 7200
    world = OpenTokWorld.generate(
        seed=7, since=until - 3 * 86_400, until=until, sessions=4, ongoing_share=0, peers=1
    )
    ((key, secret),) = DEMO_PROJECT.items()
    with serve_in_thread(OpenTokSimulator(world)) as url:
        environment |= {"OPENTOK_BASE_URL": url, "OPENTOK_API_KEY": key, "OPENTOK_API_SECRET": secret}
        yield world


@pytest.mark.parametrize("columns", [80, slow(160)])
def test_no_word_of_a_table_or_report_is_broken(screen, command, base_url, world, columns):
    """The words of a screen are those of the same output in a pipe, which has no width."""
    call = max(world.calls, key=lambda call: len(call.sessions))
    around = ("--around", call.created_ts)
    for words in (("calls", "--since", "1d"), ("sessions", call.call_id, *around)):
        shown = screen(columns, *words)
        assert words_of(shown) - {"A", "wider", "terminal", "shows:"} <= {
            word.rstrip(",") for word in words_of(command(*words).stdout.splitlines())
        } | {word for line in shown if line.startswith("A wider") for word in line.split()}


@WIDTHS
def test_ids_of_sessions_are_shown(screen, base_url, world, columns):
    call = max(world.calls, key=lambda call: len(call.sessions))
    shown = words_of(screen(columns, "sessions", call.call_id, "--servers", "--around", call.created_ts))
    assert {session.sid for session in call.sessions} <= shown


@WIDTHS
def test_meetings_of_opentok_are_the_newest_first_with_their_session_ids(screen, opentok, columns):
    shown = screen(columns, "opentok", "sessions", "--since", "5d")
    assert {session.session_id for session in opentok.sessions} <= words_of(shown)
    began = [line[:20] for line in shown if re.match(r"20\d\d-", line)]
    assert began == sorted(began, reverse=True)
    assert len(began) == sum(len(session.meetings) for session in opentok.sessions)


@WIDTHS
def test_error_is_wrapped_between_words(screen, command, columns):
    words = ("metrics", "32f5bd806ed925d2c2027ecf", "-m", "nope")
    shown = screen(columns, *words, code=2)
    assert len(shown) > 1
    assert words_of(shown) == words_of(command(*words).stderr.splitlines())


@WIDTHS
def test_numbers_over_time_have_a_chart(screen, base_url, columns):
    shown = screen(columns, "realtime", "userCount", "videoFreezeRate", "--since", "5m")
    times = [line[:20] for line in shown if re.match(r"20\d\d-", line)]
    assert times == sorted(times, reverse=True)
    assert shown[0].split() == ["from", "users", "video", "freeze"]
    assert any(re.match(r"users +[▁▂▃▄▅▆▇█·]{3,}  \d", line) for line in shown)
    assert "from the oldest to the newest row" in shown


@pytest.mark.slow
def test_live_progress_of_a_harvest_is_erased_before_the_summary(screen, base_url):
    shown = screen(80, "harvest", "--since", "1d", "--out", "calls.store")
    assert shown[0].startswith("Harvested into calls.store in 0:0")
    assert not any("endpoint" in line for line in shown)


@pytest.mark.parametrize("each", ["day", "hour"])
def test_rows_over_time_are_counted_by_what_they_are(screen, base_url, each):
    shown = screen(80, "usage", "--since", "3d", "--each", each)
    assert re.fullmatch(rf"\d+ {each}s", shown[-1])


def test_names_of_metrics_are_never_cut(screen, base_url, world):
    call = max(world.calls, key=lambda call: len(call.sessions))
    shown = screen(80, "metrics", call.call_id, "--around", call.created_ts, "--limit", "0")
    assert not any("…" in line for line in shown)
    assert any("audio bitrate received" in line for line in shown)
    assert any(line.startswith("A wider terminal shows: samples") for line in shown)


def test_facts_of_a_user_are_broken_between_facts(screen, base_url, world):
    call = max(world.calls, key=lambda call: len(call.sessions))
    shown = screen(80, "inspect", call.call_id, "--around", call.created_ts)
    users = [place for place, line in enumerate(shown) if re.search(r"\d\dZ to \d\d:", line) and place > 1]
    assert users
    for place in users:
        facts = " ".join(shown[place : place + (2 if shown[place].endswith(",") else 1)])
        assert re.search(r", +SDK [\d.]+$", facts)


def test_query_result_names_what_is_the_same_in_all_rows(screen, base_url):
    assert screen(80, "harvest", "--since", "1d", "--out", "calls.store", "--quiet") == [""]
    query = (
        "sql",
        "--store",
        "calls.store",
        "select * from quality where metric = 'round_trip_time' limit 20",
    )
    shown = screen(80, *query)
    assert {"ts", "value"} <= set(shown[0].split())
    assert re.search("The same in all rows: vendor=agora, .*metric=round_trip_time", " ".join(shown))
    assert "The same in all rows" not in " ".join(screen(500, *query))


def test_url_of_a_store_is_quoted_as_it_was_typed(screen, base_url):
    shown = screen(160, "harvest", "--since", "1d", "--out", "sftp://host/x.store", code=2)
    assert "cannot open the store sftp://host/x.store: a store is a folder or a bucket" in shown[0]


def test_exit_codes_fit_a_line(screen):
    assert all(re.match(r" *\d+  [a-z]", line) for line in screen(80, "--exit-codes"))


@pytest.mark.parametrize("words", [("apsaravideo", "metrics", "--help"), ("compact", "--help")])
def test_help_breaks_lines_at_the_width_of_the_terminal(screen, words):
    """A line of a paragraph ends early only if the next word does not fit."""
    shown = screen(80, *words)
    text = [line.strip() for line in shown if line.startswith(" ") and not line.startswith("  ")]
    for line, following in pairwise(text):
        assert not following or len(line) + len(following.split()[0]) >= 77 or line.endswith((".", "]"))
