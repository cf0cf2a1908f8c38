"""Screens of the commands, as a terminal of 80 or 160 columns shows them, from the bytes of a pseudo-terminal."""

import os
import re
import struct
import subprocess
import sys
import time

import pytest

from agora_analytics.simulator import serve_in_thread
from agora_analytics.simulator.opentok import DEMO_PROJECT, OpenTokSimulator, OpenTokWorld

fcntl = pytest.importorskip("fcntl")
pty = pytest.importorskip("pty")
termios = pytest.importorskip("termios")
pyte = pytest.importorskip("pyte")

_LINES = 300
WIDTHS = pytest.mark.parametrize("columns", [80, 160])


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


@WIDTHS
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
