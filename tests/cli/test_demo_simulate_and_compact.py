import os
import re
import signal
import time

import pytest

from agora_analytics import __version__
from agora_analytics.cli import main
from agora_analytics.simulator import World
from agora_analytics.store import open_store


@pytest.mark.slow
def test_demo_harvests_queries_and_resumes(command, tmp_path):
    no_account = dict.fromkeys(("AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET", "AGORA_APP_ID", "AGORA_PLAN"))
    proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"}
    words = ("demo", "--out", "my demo", "--calls", "12", "--seed", "3")
    done = command(*words, env=no_account | proxy)
    assert done.returncode == 0, done.stderr
    assert re.search(r"calls\s+12\n", done.stdout)
    assert "no limit was exceeded" in done.stdout
    for message in (
        "Which calls froze most?",
        "Which networks lose packets?",
        "Which are the busiest hours?",
    ):
        assert message in done.stdout
    assert "Ethernet" in done.stdout
    assert "agora-analytics sql --store 'my demo' " in done.stdout
    again = command(*words, env=no_account)
    assert "12 were already in the store" in again.stdout
    assert open_store(tmp_path / "my demo").counts()["calls"] == 12


@pytest.mark.slow
def test_harvest_with_the_printed_environment_of_the_simulator(start, command, tmp_path):
    server = start("simulate", "--port", "0", "--calls", "3", "--hours", "3", "--latency", "1:2")
    exports = {}
    for line in server.stdout:
        if match := re.match(r"  export (\w+)=(\S+)", line):
            exports[match[1]] = match[2]
        if "agora-analytics harvest" in line:
            words = [*line.split()[1:-1], *server.stdout.readline().split()]
            break
    done = command(*words, env=exports)
    assert done.returncode == 0, done.stderr
    assert open_store(tmp_path / "calls.store").counts()["calls"] == 3
    server.send_signal(signal.SIGINT)
    out, err = server.communicate(timeout=60)
    assert (server.returncode, err) == (0, "")
    assert re.search(r"counted \d+ requests, and no limit was exceeded:\n  call/lists \d", out)


def test_simulated_project_continues_ahead(start):
    words = ("--since", "2026-11-01T00:00Z", "--until", "2026-11-01T01:00Z", "--ahead", "2")
    server = start("simulate", "--port", "0", "--calls", "3", *words)
    line = server.stdout.readline()
    # The lines with the demo secret are read here, so that the fixture, which reads the rest, does not find one.
    for printed in server.stdout:
        if "agora-analytics" in printed:
            break
    server.send_signal(signal.SIGINT)
    assert "3 calls from 2026-11-01T00:00:00Z to 2026-11-01T03:00:00Z" in line


@pytest.mark.parametrize(
    "words",
    ["simulate --hours inf", "simulate --ahead 1e30", "simulate --ahead nan", "opentok simulate --days inf"],
)
def test_endless_simulated_project_is_refused(words, capsys):
    assert main([*words.split(), "--port", "0"]) == 2
    assert f"Invalid value for '{words.split()[-2]}'" in capsys.readouterr().err


def test_closed_pipe_ends_the_simulator_without_an_error(start):
    reading, writing = os.pipe()
    os.close(reading)
    process = start("simulate", "--port", "0", "--calls", "1", stdout=writing)
    os.close(writing)
    assert (process.communicate(timeout=60)[1], process.returncode) == ("", 141)


def test_port_in_use_is_reported(fails, base_url):
    port = base_url.rsplit(":", 1)[1]
    assert "choose another --port" in fails(2, "simulate", "--port", port)


@pytest.mark.slow
def test_invalid_simulator_options_are_reported(fails):
    cases = {
        "20:80": ("--latency", "80:20"),
        "starter, standard": ("--plan", "gold"),
        "milliseconds": ("--since", "1763000000000"),
    }
    message = fails.all(*((2, ("simulate", *words)) for words in cases.values()))
    assert all(expected in line for expected, line in zip(cases, message, strict=True))


@pytest.mark.slow
def test_compact_merges_the_files_of_a_past_day(command, serving, tmp_path):
    today = time.time() // 86_400 * 86_400
    yesterday = World.generate(since=today - 86_400, until=today - 9_000, calls=4, simple=True, minutes=1)
    with serving(yesterday) as url:
        command("harvest", "--since", "2d", "--out", "store", "--no-compact", "--base-url", url)
    assert open_store(tmp_path / "store").counts()["calls"] == 4
    done = command("compact", "--store", "store")
    assert done.returncode == 0, done.stderr
    assert "12 files merged into 3" in done.stdout
    assert "Nothing to compact" in command("compact", "--store", "store").stdout
    assert "Nothing to write: 3 roll-ups are valid" in command("rollup", "--store", "store").stdout
    assert "metrics_hours (0.0 MB" in command("rollup", "--store", "store", "--all").stdout


def test_version_option(command):
    assert command("--version").stdout == f"agora-analytics {__version__}\n"
