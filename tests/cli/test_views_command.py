import shlex

import duckdb
import pytest

from agora_analytics.cli import main
from agora_analytics.cli.app import EXAMPLES
from agora_analytics.integrations.grafana import DASHBOARDS, dashboard_json
from agora_analytics.store import open_store


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return open_store("calls.store", create=True)


@pytest.mark.parametrize("example", EXAMPLES["views"])
def test_example_writes_a_file_and_replaces_it(store, capsys, example):
    for _ in range(2):
        assert main(shlex.split(example)[1:]) == 0, capsys.readouterr().err
    assert str(store.path) in " ".join(capsys.readouterr().out.split())
    with duckdb.connect("calls.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM quality").fetchall() == [(0,)]


def test_other_file_is_kept(store, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("notes")
    assert main(["views", "--store", "calls.store", "--output", "notes.txt"]) == 2
    assert "give another path" in capsys.readouterr().err
    assert (tmp_path / "notes.txt").read_text() == "notes"


def test_store_in_a_bucket_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("agora_analytics.store.parquet_store.open_store", lambda *_, **__: object())
    monkeypatch.setattr("agora_analytics.store.open_store", lambda *_, **__: object(), raising=False)
    assert main(["views", "--store", "s3://calls/agora", "--output", "calls.duckdb"]) == 2
    assert "is in a bucket" in capsys.readouterr().err


def test_dashboards_are_written_to_a_folder(tmp_path, capsys):
    assert main(["export", "grafana", "--output", str(tmp_path)]) == 0
    assert {file.name: file.read_text("utf-8") for file in tmp_path.iterdir()} == {
        f"{name}.json": dashboard_json(name) for name in DASHBOARDS
    }
    assert main(["export", "grafana", "--output", str(tmp_path / "missing")]) == 2
    assert "create it first" in capsys.readouterr().err
