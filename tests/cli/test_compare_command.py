"""`agora-analytics compare`: a harvest over a socket, its formats, its screen, and what it refuses."""

import csv
import io
import json
import os
import struct
import subprocess
import sys

import pytest

from agora_analytics.cli import main
from agora_analytics.store import open_store
from tests.insight.stored_calls import PERIODS, store_calls
from tests.insight.test_compare import planted_calls, shifted_calls

RANGES = tuple(word for name, period in PERIODS.items() for word in (f"--{name}", period))


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted") / "store"
    store_calls(open_store(folder, create=True, durable=False), planted_calls())
    return folder


@pytest.fixture(scope="module")
def shifted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shifted") / "store"
    store_calls(open_store(folder, create=True, durable=False), shifted_calls())
    return folder


@pytest.fixture
def compare(planted, capsys):
    """Run the command and return what it writes to stdout."""

    def run(*words, store=planted):
        assert main(["compare", "--store", str(store), *RANGES, *words]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return run


def test_table_has_a_row_for_each_group_and_the_total(compare):
    lines = compare("--metric", "video_freeze_rate", "--by", "sdk_version").splitlines()
    verdicts = {line.split()[0]: word for line in lines for word in ("worse", "none") if f" {word} " in line}
    assert verdicts == {"4.4.0": "none", "4.5.0": "none", "4.6.0": "worse", "total": "worse"}
    assert "Before: 2026-11-01T00:00:00Z..2026-11-08T00:00:00Z. After: 2026-11-08T00:00:00Z..2026-11-15T00:00:00Z." in lines  # fmt: skip


def test_json_has_the_numbers_and_the_mix(compare, shifted):
    words = ("-m", "round_trip_time", "--by", "network", "--format", "json")
    rows = json.loads(compare(*words, store=shifted))
    total = rows[-1]
    assert [row["group"] for row in rows] == ["WiFi", "4G", "total"]
    assert [row["by"] for row in rows] == ["network", "network", None]
    assert total["low"] <= total["difference"] <= total["high"]
    assert (total["verdict"], total["calls_before"], total["users_after"]) == ("worse", 80, 240)
    (change,) = total["mix"]
    assert {share["value"] for share in change["shares"]} == {"4G", "WiFi"}
    assert rows[0]["mix"] == []


def test_csv_and_parquet_have_the_same_rows(compare, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    words = ("-m", "video_freeze_rate", "--by", "sdk_version")
    rows = list(csv.DictReader(io.StringIO(compare(*words, "--format", "csv"))))
    assert compare(*words, "--output", str(tmp_path / "out.parquet")) == ""
    stored = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [float(row["difference"]) for row in rows] == [row["difference"] for row in stored]
    assert [row["verdict"] for row in rows] == [row["verdict"] for row in stored]


def test_groups_of_a_file_and_a_limit_of_groups(compare, tmp_path):
    file = tmp_path / "agents.csv"
    file.write_text("user_id,group\n" + "".join(f"{uid},agents\n" for uid in range(50)), encoding="utf-8")
    rows = json.loads(
        compare(
            *("-m", "round_trip_time", "--above", "90", "--by", "user_id", "--groups", str(file)),
            *("--most-groups", "1", "--seed", "3", "--format", "json"),
        )
    )
    assert [row["group"] for row in rows] == ["agents", "total"]
    assert 0 < rows[0]["before"] < 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-m", "video_freze_rate"), "did you mean 'video_freeze_rate'?"),
        (("-m", "round_trip_time", "--by", "region"), "no vendor sends the region of a user"),
        (("-m", "round_trip_time", "--before", "2026-11-01..2026-11-10"), "the periods overlap"),
        (("-m", "round_trip_time", "--before", "2026-11-01"), "give two times, such as"),
    ],
)
def test_wrong_options_are_usage_errors(planted, words, message, capsys):
    assert main(["compare", "--store", str(planted), *RANGES, *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_harvest_over_a_socket_can_be_compared(base_url, world, command):
    middle = sorted(call.created_ts for call in world.calls)[6]
    done = command("harvest", "--since", "1d", "--out", "calls.store", "--quiet", "--no-durable")
    assert done.returncode == 0, done.stderr
    ranges = ("--before", f"{middle - 86_400}..{middle}", "--after", f"{middle}..now")
    done = command("compare", "--store", "calls.store", "-m", "round_trip_time", *ranges, "-f", "json")
    (total,) = json.loads(done.stdout)
    assert (total["calls_before"], total["calls_after"]) == (6, len(world.calls) - 6)
    assert total["reason"] == "fewer than 20 calls before"
    assert 0 < total["before"] < 1000


@pytest.mark.parametrize("columns", [80, 120])
def test_screen_shows_every_number_and_wraps_sentences_between_words(columns, environment, shifted, compare):
    fcntl = pytest.importorskip("fcntl")
    pty = pytest.importorskip("pty")
    termios = pytest.importorskip("termios")
    pyte = pytest.importorskip("pyte")
    words = ("-m", "round_trip_time", "--by", "network")
    controller, worker = pty.openpty()
    fcntl.ioctl(worker, termios.TIOCSWINSZ, struct.pack("HHHH", 60, columns, 0, 0))
    program = [sys.executable, "-m", "agora_analytics", "compare", "--store", str(shifted), *RANGES, *words]
    process = subprocess.Popen(
        program, stdin=worker, stdout=worker, stderr=worker, env=environment | {"TERM": "xterm-256color"}
    )
    os.close(worker)
    screen = pyte.Screen(columns, 60)
    stream = pyte.ByteStream(screen)
    try:
        while written := os.read(controller, 65_536):
            stream.feed(written)
    except OSError:  # Linux: the program has closed its end
        pass
    finally:
        assert process.wait(60) == 0, screen.display
        os.close(controller)
    shown = [line.rstrip() for line in screen.display]
    # Without a width, in a pipe, no line is broken.
    piped = compare(*words, store=shifted).splitlines()
    assert [word for line in shown for word in line.split() if not word.startswith("─")] == [
        word for line in piped for word in line.split() if not word.startswith("─")
    ]
