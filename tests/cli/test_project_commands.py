import csv
import io
import json
import re
import shlex
import signal
import sqlite3
import time

import pyarrow.parquet as pq
import pytest

from agora_analytics.cli import main
from agora_analytics.cli.app import EXAMPLES
from agora_analytics.simulator import World


@pytest.fixture(scope="module")
def world():
    """Calls of two days up to now: Data Insights comes 6 hours late, Real-time half a minute."""
    until = int(time.time())
    return World.generate(seed=7, since=until - 2 * 86_400, until=until, calls=60, ongoing_share=0.1)


@pytest.fixture
def all_of(start):
    def run(*commands):
        running = [start(*words) for words in commands]
        done = [(process, *process.communicate(timeout=60)) for process in running]
        for process, _, err in done:
            assert process.returncode == 0, err
        return [out for _, out, _ in done]

    return run


@pytest.mark.slow
def test_usage_and_quality_over_time_and_in_total(all_of, base_url, tmp_path):
    hours, table, by_net, total, _ = all_of(
        ("usage", "user-count", "totalDuration", "--since", "2d", "--each", "hour", "-f", "json"),
        ("quality", "--since", "2d", "--each", "hour"),
        ("quality", "videoFreezeRate", "--since", "2d", "--by", "net", "-f", "csv"),
        ("usage", "--total", "--since", "2d", "-f", "jsonl"),
        ("usage", "--since", "2d", "-o", "usage.parquet"),
    )
    rows = json.loads(hours)
    assert list(rows[0]) == ["ts", "userCount", "totalDuration"]
    assert [row["ts"] for row in rows] == sorted((row["ts"] for row in rows), reverse=True)
    assert all(row["ts"].endswith(":00:00Z") for row in rows)
    assert re.search(r"\d \d\d:00:00Z .*\d\.\d %", table)
    groups = list(csv.DictReader(io.StringIO(by_net)))
    assert {"Wi-Fi", "4G"} <= {row["dimension_value"] for row in groups}
    assert all(0 <= float(row["videoFreezeRate"]) <= 1 for row in groups)
    assert all(float(row["videoFreezeRate_of"]) > 0 for row in groups)
    assert json.loads(total)["userCount"] > 0
    assert pq.read_table(tmp_path / "usage.parquet").column_names == ["ts", "userCount"]


@pytest.mark.slow
def test_realtime_over_time_by_group_and_top(all_of, base_url):
    now, groups, top = all_of(
        ("realtime", "userCount", "videoFreezeRate", "--since", "3m", "-f", "json"),
        ("realtime", "--since", "3m", "--by", "net", "-f", "jsonl"),
        ("realtime", "videoFreezeRate", "--top", "--by", "country", "-f", "json"),
    )
    rows = json.loads(now)
    assert list(rows[0]) == ["ts", "userCount", "videoFreezeRate"]
    assert all(row["userCount"] >= 0 for row in rows)
    assert all(json.loads(line)["dimension"] == "net" for line in groups.splitlines())
    assert list(json.loads(top)[0]) == ["ts", "dimension", "dimension_value", "videoFreezeRate", "userCount"]


@pytest.mark.slow
def test_follow_writes_each_window_once_until_ctrl_c(start, base_url):
    words = ("realtime", "--follow", "--since", "5m")
    by_line = start(*words, "-n", "4", "--format", "jsonl")
    table = start(*words)
    titles, *shown = (table.stdout.readline() for _ in range(4))
    table.send_signal(signal.SIGINT)
    _, err = table.communicate(timeout=60)
    assert titles.split() == ["from", "users"], err
    assert table.returncode == 130, err
    assert re.fullmatch(r"agora-analytics: stopped after \d+ windows; continue with --since \S+Z\n", err)
    out, err = by_line.communicate(timeout=60)
    assert (by_line.returncode, err) == (0, "")
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == 4
    assert [row["ts"][17:19] for row in rows] == [
        row["ts"][17:19] for row in rows if int(row["ts"][17:19]) % 20 == 0
    ]
    assert len({row["ts"] for row in rows}) == 4
    assert len(shown) == 3


@pytest.mark.slow
def test_follow_writes_a_line_for_each_group_and_window(all_of, base_url):
    words = (
        "realtime",
        "userCount",
        "videoFreezeRate",
        "--follow",
        "--since",
        "9m",
        "-n",
        "3",
        "--by",
        "net",
    )
    by_line, table, chosen = all_of(
        (*words, "-f", "jsonl"), words, (*words, "--only", "Wi-Fi", "-f", "jsonl")
    )
    rows = [json.loads(line) for line in by_line.splitlines()]
    assert list(rows[0]) == ["ts", "dimension", "dimension_value", "userCount", "videoFreezeRate", "missing"]
    assert len({row["ts"] for row in rows}) == 3 < len(rows)
    assert len({(row["ts"], row["dimension_value"]) for row in rows}) == len(rows)
    titles, *lines = table.splitlines()
    assert titles.split() == ["from", "network", "users", "video", "freeze"]
    assert len(lines) > 3
    assert [json.loads(line)["dimension_value"] for line in chosen.splitlines()] == ["Wi-Fi"] * 3


@pytest.mark.slow
def test_estimate_of_a_query_and_of_a_harvest(all_of, base_url):
    question, harvest, table = all_of(
        ("estimate", "userCount", "networkDelay", "--since", "14d", "-f", "json"),
        ("estimate", "--since", "2d", "-f", "json"),
        ("estimate", "--since", "2d"),
    )
    costs = {row["endpoint"]: row for row in json.loads(question)}
    assert costs["insight/usage/by_time"]["requests"] == 2  # the plan's longest question is of 7 days
    assert costs["insight/usage/by_time"]["per_day"] == 60
    assert all(row["enough"] for row in costs.values())
    assert {row["endpoint"] for row in json.loads(harvest)} == {"call/lists", "call/sessions", "call/metrics"}
    assert "The rest of the day's quota suffices." in table


@pytest.mark.slow
def test_realtime_estimate_uses_the_realtime_quotas(all_of, base_url):
    words = ("estimate", "videoFreezeRate", "--realtime")
    both, top, users, table = all_of(
        (*words, "userCount", "-f", "json"),
        (*words, "userCount", "--top", "-f", "json"),
        (*words, "--users", "25", "--since", "30m", "-f", "jsonl"),
        words,
    )
    costs = {row["endpoint"]: (row["requests"], row["per_day"]) for row in json.loads(both)}
    assert costs == {"realtime/usage/by_time_20sec": (1, 1440), "realtime/quality/by_time_20sec": (1, 1440)}
    costs = [(row["endpoint"], row["requests"]) for row in json.loads(top)]
    assert costs == [("realtime/quality/dimension/top20", 1)]  # with the user count
    assert json.loads(users)["requests"] == 3  # ten users a request
    assert re.search(r"realtime/quality/by_time_20sec +1 +1,440 +1,440  yes", table)


@pytest.mark.slow
def test_query_above_the_quota_sends_nothing(command, fails, base_url, environment, tmp_path):
    command("estimate", "userCount")  # so that the ledger knows the account
    words = ("usage", "userCount", "sessionCount", "--since", "2d")
    command(*words, "--limit", "1")
    with sqlite3.connect(tmp_path / "state/agora-analytics/ledger.sqlite3") as ledger:
        ledger.execute("UPDATE day SET spent = 59")
    ledger.close()
    assert "1 of 60 are left today; no request was sent" in fails(75, *words)


@pytest.mark.slow
def test_invalid_queries_are_reported(fails, base_url):
    cases = {
        "unknown metric 'people'; use one of userCount": ("usage", "people"),
        "unknown metric 'userCount'": ("quality", "userCount"),
        "add --by DIMENSION": ("usage", "--only", "Wi-Fi"),
        "takes no dimension": ("usage", "peakConcurrentUsers", "--by", "net"),
        "--follow cannot be combined with --user or --top": (
            "realtime",
            "--follow",
            "--cname",
            "room",
            "--user",
            "7",
        ),
        "channelCount takes no dimension": ("realtime", "channelCount", "--follow", "--by", "net"),
        "not available for single users": ("realtime", "--cname", "room", "--user", "7"),
        "--top needs --by": ("realtime", "--top"),
        "--realtime needs metrics; use one of userCount": ("estimate", "--realtime"),
        "--realtime cannot be combined with --total": ("estimate", "userCount", "--realtime", "--total"),
        "unknown metric 'totalDuration'": ("estimate", "totalDuration", "--realtime"),
        "--users needs --realtime": ("estimate", "userCount", "--users", "3"),
        "--top needs --realtime": ("estimate", "userCount", "--top"),
        "--top cannot be combined with --users": (
            "estimate",
            "userCount",
            "--realtime",
            "--top",
            "--users",
            "3",
        ),
        "channelCount is not a metric of this endpoint": ("estimate", "channelCount", "--realtime", "--top"),
        "it needs premium or enterprise": ("usage", "--plan", "standard"),
    }
    message = fails.all(*((2, words) for words in cases.values()))
    for expected, line in zip(cases, message, strict=True):
        assert expected in line


def words_of(example, call):
    """Return an example's words about a call that is there, and with an end to what has none."""
    about = {"CALL_ID": call.call_id, "--around 2h": f"--around {call.created_ts}"}
    about["--since 6h --until 1h"] = f"--since {call.created_ts} --until {call.destroyed_ts + 1}"
    about["--follow"] = "--follow --limit 1"
    for word, meant in about.items():
        example = example.replace(word, meant)
    return shlex.split(example)[1:]


def test_every_example_in_the_help_succeeds(base_url, environment, world, tmp_path, monkeypatch, capsys):
    # In this process: so many starts of the interpreter would take most of the time.
    call = next(call for call in world.calls if call.finished(time.time() - 600))
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name in EXAMPLES.keys() - {
        "alert",
        "compare",
        "harvest",
        "mcp",
        "report",
        "sql",
        "score",
        "views",
        "why",
    }:  # those have tests of their own
        for example in EXAMPLES[name]:
            assert main(words_of(example, call)) == 0, f"{example}: {capsys.readouterr().err}"
    assert (tmp_path / "calls.csv").exists()
    assert (tmp_path / "metrics.parquet").exists()
