"""The command line against a dirty simulator, over a real socket."""

import re
import signal

import pytest


@pytest.mark.slow
def test_harvest_of_a_dirty_world_names_what_it_lost_once(start, command):
    words = (
        "--port",
        "0",
        "--calls",
        "6",
        "--hours",
        "3",
        "--latency",
        "1:2",
        "--seed",
        "2",
        "--dirt-share",
        "0.05",
    )
    server = start("simulate", *words)
    exports = {}
    for line in server.stdout:
        if match := re.match(r"  export (\w+)=(\S+)", line):
            exports[match[1]] = match[2]
        if "agora-analytics harvest" in line:
            harvest = [*line.split()[1:-1], *server.stdout.readline().split()]
            break
    first = command(*harvest, env=exports)
    assert first.returncode == 65, first.stderr
    second = command(*harvest, env=exports)
    assert second.returncode == 0, second.stderr
    server.send_signal(signal.SIGINT)
    out, _ = server.communicate(timeout=60)
    assert re.search(r"Dirty records and responses: \d+; unreadable records: \d+", out)
