"""`agora-analytics score` over a small store of two calls."""

import csv
import io
import json

import pyarrow.parquet as pq
import pytest

from agora_analytics.cli import main
from agora_analytics.insight import score as scores
from agora_analytics.store import open_store
from tests.insight.scored_calls import BEGIN, agora_samples, put_call


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("score") / "calls.store"
    store = open_store(path, create=True, durable=False)
    put_call(store, "bad", "support", BEGIN, list(agora_samples(1, [0] * 10 + [30] * 8 + [0] * 12)))
    put_call(store, "good", "sales", BEGIN + 3600, list(agora_samples(2, [0] * 30)))
    return path


@pytest.fixture
def score(capsys, folder):
    """Run the command in this process; return its output."""

    def run(*words):
        assert main(["score", "--store", str(folder), *words]) == 0
        written = capsys.readouterr()
        assert not written.err
        return written.out

    return run


def test_table_begins_with_the_worst_call_and_names_the_assumptions(score):
    lines = score("--media", "audio").splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["bad", "good"]
    assert "worst 30 s" in lines[0]
    assert lines[-1].startswith("Assumptions of audio: codec=opus as g711-plc; codec_delay=26.5 ms")


@pytest.mark.parametrize("by", ["interval", "stream", "user", "call", "channel", "day"])
def test_json_has_the_columns_of_the_library(score, folder, by):
    rows = json.loads(score("--by", by, "--format", "json"))
    expected = scores(open_store(folder), by)
    assert len(rows) == expected.num_rows > 0
    assert list(rows[0]) == expected.column_names
    assert [row["score"] for row in rows] == [pytest.approx(value) for value in expected["score"].to_pylist()]
    assert score("--by", by)


def test_filters_reach_the_library(score):
    words = ("--by", "stream", "--call", "bad", "--channel", "support", "--user", "1", "--vendor", "agora")
    rows = list(csv.DictReader(io.StringIO(score(*words, "--media", "video", "--format", "csv"))))
    assert [(row["call_id"], row["user_id"], row["media"]) for row in rows] == [("bad", "1", "video")]
    times = ("--since", "2026-11-20T08:30Z", "--until", "2026-11-20T10:00Z")
    assert {row["call_id"] for row in json.loads(score(*times, "--format", "json"))} == {"good"}


def test_parquet_file_and_limit(score, tmp_path):
    file = tmp_path / "scores.parquet"
    score("--output", str(file), "--limit", "1")
    assert pq.read_table(file).num_rows == 1
    assert "2 of 4 scores; --limit 0 shows all" in score("--limit", "2")


def test_no_rows_are_explained(score):
    assert score("--call", "none").splitlines() == [
        "no scores",
        "Agora and OpenTok have scores. ApsaraVideo sends totals of all users only.",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--vendor", "apsaravideo"), "totals of all users only"),
        (("--since", "never"), "since='never' is not a time"),
    ],
)
def test_wrong_options_exit_with_2(folder, capsys, words, message):
    assert main(["score", "--store", str(folder), *words]) == 2
    assert message in capsys.readouterr().err
