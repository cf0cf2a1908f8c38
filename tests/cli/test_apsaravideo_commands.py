"""The commands of ApsaraVideo, as a shell runs them, against the simulator over a real socket."""

import json
import re
import signal

import pytest

from agora_analytics.simulator import serve_in_thread
from agora_analytics.simulator.apsaravideo import DEMO_KEYS, ApsaraVideoSimulator, ApsaraVideoWorld
from agora_analytics.store import open_store

((KEY_ID, KEY_SECRET),) = DEMO_KEYS.items()
WORLD = ApsaraVideoWorld.generate(seed=7)


@pytest.fixture
def simulator(environment):
    simulator = ApsaraVideoSimulator(WORLD)
    with serve_in_thread(simulator) as url:
        environment |= {
            "APSARAVIDEO_BASE_URL": url,
            "APSARAVIDEO_APP_ID": WORLD.app_ids[0],
            "ALIBABA_CLOUD_ACCESS_KEY_ID": KEY_ID,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": KEY_SECRET,
        }
        yield simulator


@pytest.mark.slow
def test_metrics_are_written_as_table_lines_and_csv(command, simulator):
    table = command("apsaravideo", "metrics", "FirstFrameCost", "--since", "2h").stdout
    assert re.search(r"from +first frame time\n─+\n20\S+ \d\d:\d[05]:00Z +\d{3}\.\d\d\n", table)
    times = re.findall(r"^20\S+ \S+Z", table, re.MULTILINE)
    assert times == sorted(times, reverse=True)
    assert "the vendor does not document their units" in table
    lines = command("apsaravideo", "metrics", "--since", "1d", "-f", "jsonl").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert {row["metric"] for row in rows} == {
        "JoinChannelSucRate", "VideoStuckRate", "AudioStuckRate", "FirstFrameCost"
    }  # fmt: skip
    assert len(rows) > 4 * 250
    one = command(
        "apsaravideo",
        "metrics",
        "VideoStuckRate",
        "--os",
        "iOS",
        "--channel",
        WORLD.channel_ids[0],
        "-f",
        "csv",
    )
    assert one.stdout.startswith("metric,ts,value,raw\nVideoStuckRate,")


@pytest.mark.slow
def test_harvest_resumes_and_fills_the_quality_view(command, simulator, tmp_path):
    words = ("apsaravideo", "harvest", "--since", "2d", "--out", "quality.store")
    dry = command(*words, "--dry-run")
    assert "12 metric days to visit" in dry.stdout
    assert re.search(
        r"apsaravideo/interaction_metrics +12 *\nNothing was stored. Nothing was sent.\n$", dry.stdout
    )
    assert simulator.seen.requests.total() == 0
    assert not (tmp_path / "quality.store").exists()
    first = command(*words)
    assert (first.returncode, first.stderr) == (0, "")
    assert re.search(r"metric days +12\n", first.stdout)
    asked = simulator.seen.requests.total()
    # Four in most hours, and eight in the first one of a day, in which the day before may still change.
    ongoing = int(re.search(r"ongoing +(\d+)", first.stdout)[1])
    again = f"{ongoing} metric days to visit ({12 - ongoing} more are in the store)"
    assert again in command(*words, "--dry-run").stdout
    assert simulator.seen.requests.total() == asked
    assert f"{12 - ongoing} were already in the store" in command(*words).stdout
    assert simulator.seen.requests.total() == asked + ongoing
    vendors = open_store(tmp_path / "quality.store").sql("select distinct vendor, unit from quality")
    assert vendors.fetchall() == [("apsaravideo", "")]


@pytest.mark.slow
def test_errors_are_one_line(fails, simulator, environment):
    assert "looks like milliseconds" in fails(2, "apsaravideo", "metrics", "--since", "1763000000000")
    assert "did you mean 'VideoStuckRate'" in fails(2, "apsaravideo", "metrics", "VideoStukRate")
    assert "unknown metric 'nope'" in fails(2, "apsaravideo", "metrics", "nope")
    assert simulator.seen.requests.total() == 0
    environment["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] = "another-secret"
    message = fails(77, "apsaravideo", "harvest", "--since", "1d", "--out", "s")
    assert "check the access key secret" in message
    assert "another-secret" not in message
    del environment["APSARAVIDEO_APP_ID"]
    assert "not set in the environment: APSARAVIDEO_APP_ID" in fails(78, "apsaravideo", "metrics")


@pytest.mark.slow
def test_harvest_with_the_printed_environment_of_the_simulator(start, command):
    server = start("apsaravideo", "simulate", "--port", "0")
    exports = {}
    for line in server.stdout:
        if match := re.match(r"  export (\w+)=(\S+)", line):
            exports[match[1]] = match[2]
        if "agora-analytics apsaravideo harvest" in line:
            words = line.split()[1:]
            break
    assert command(*words, env=exports).returncode == 0
    server.send_signal(signal.SIGINT)
    out, err = server.communicate(timeout=60)
    assert (server.returncode, err) == (0, "")
    assert "no limit was exceeded" in out
