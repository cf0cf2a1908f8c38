"""`agora-analytics report`: a page, its numbers as JSON, and what it refuses."""

import json

import pytest

from agora_analytics.cli import main
from agora_analytics.insight import report as report_of
from agora_analytics.store import open_store
from tests.insight.report.report_calls import SINCE, UNTIL, random_calls
from tests.insight.stored_calls import store_calls

RANGE = ("--since", str(SINCE), "--until", str(UNTIL))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "calls.store"
    store = open_store(path, create=True, durable=False)
    for channel in ("room", "other", "third"):
        store_calls(store, random_calls(calls=4, seed=1, channel=channel))
    return path


def test_json_has_the_numbers_of_the_library(folder, capsys):
    assert main(["report", "--store", str(folder), *RANGE, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads(report_of(open_store(folder), since=SINCE, until=UNTIL).to_json())


def test_channels_can_be_repeated(folder, capsys):
    words = ("--channel", "room", "--channel", "third", "--profile", "bluejeans", "--format", "json")
    assert main(["report", "--store", str(folder), *RANGE, *words]) == 0
    out = capsys.readouterr().out
    found = json.loads(out)
    assert (found["channels"], found["calls"], found["profile"]) == (["room", "third"], 8, "bluejeans")
    assert "other" not in out


def test_page_is_written_to_a_file(folder, tmp_path, capsys):
    pytest.importorskip("vl_convert", reason="needs agora-analytics[insight]")
    file = tmp_path / "week.html"
    assert main(["report", "--store", str(folder), *RANGE, "-o", str(file)]) == 0
    assert capsys.readouterr() == ("", "")
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "a report is a page or JSON; add --output week.html"),
        (("--format", "csv"), "a report is a page or JSON"),
        (("--format", "json", "--channel", "nobody"), "no samples of the channels 'nobody'"),
        (("--format", "json", "--profile", "agra"), "did you mean"),
    ],
)
def test_wrong_options_are_refused(folder, capsys, words, message):
    assert main(["report", "--store", str(folder), *RANGE, *words]) == 2
    assert message in capsys.readouterr().err
