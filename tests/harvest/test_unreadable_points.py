"""A value or a time that the table `points` cannot hold costs its point, and is named by one run."""

import pytest

from tests.harvest import test_insights as insights
from tests.harvest import test_meetings as meetings
from tests.harvest import test_metric_days as metric_days
from tests.harvest.test_unreadable_records import Changed

BIG = 2**53 + 1


def changed(harness, edit):
    """Return a harness whose first response that has something to change is changed."""
    done = []

    def edit_once(request, body):
        if not done and edit(body):
            done.append(request)

    harness.transport = Changed(harness.transport, edit_once)
    return harness


def check(first, second, sent):
    (record,) = first.unreadable
    assert str(sent) in record.reason
    assert (first.skipped, second.unreadable, second.unreadable_before) == ((), (), 1)


@pytest.mark.parametrize("sent", ["many", BIG, [1]])
def test_value_of_data_insights(tmp_path, sent):
    now = insights.MIDNIGHT + 12 * 3600
    range_ = {"since": insights.MIDNIGHT - insights.DAY, "until": insights.MIDNIGHT}

    def edit(body):
        if body.get("data"):
            body["data"][1]["joinSuccessRate"] = sent
        return body.get("data")

    harness = insights.make_harness(insights.simple_world(5), tmp_path, now=now)
    whole = insights.harvested(harness, tmp_path / "whole", **range_)
    first = insights.harvested(changed(harness, edit), tmp_path / "store", **range_)
    assert first.points == whole.points - 1
    check(first, insights.harvested(harness, tmp_path / "store", **range_), sent)


@pytest.mark.parametrize("sent", ["many", str(BIG), [1]])
def test_value_of_apsaravideo(tmp_path, sent):
    def edit(body):
        body["Nodes"][1]["Value"] = sent
        return True

    harness = changed(metric_days.make_harness(), edit)
    first = metric_days.harvested(harness, tmp_path)
    truth = metric_days.truth(metric_days.SINCE, metric_days.UNTIL)
    assert len(set(truth) - set(metric_days.stored(tmp_path))) == 1
    assert first.points == len(truth) - 1
    check(first, metric_days.harvested(harness, tmp_path), sent)


def samples_of(value):
    """Yield the samples in a response of OpenTok."""
    if isinstance(value, dict):
        yield from (value.get("streamStatsCollection") or {}).get("resources", ())
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from samples_of(each)


@pytest.mark.parametrize(
    ("name", "sent"), [("audioBitrateKbps", "many"), ("audioBitrateKbps", BIG), ("createdAt", "soon")]
)
def test_sample_of_opentok(tmp_path, name, sent):
    def edit(body):
        for sample in samples_of(body):
            if sample.get("audioBitrateKbps") is not None:
                sample[name] = sent
                return True
        return False

    project = meetings.world(sessions=2)
    harness = changed(meetings.make_harness(project), edit)
    first = meetings.harvested(harness, tmp_path)
    missing = len(meetings.truth(project)) - len(meetings.stored(tmp_path))
    assert missing == (1 if name == "audioBitrateKbps" else 6)
    assert (len(first.unreadable), first.skipped) == (missing, ())
    second = meetings.harvested(harness, tmp_path)
    assert (second.unreadable, second.unreadable_before) == ((), missing)


def test_day_of_opentok_without_a_readable_time(tmp_path):
    """The other days and the meetings are stored."""

    def edit(body):
        rows = (body["data"]["project"].get("projectData") or {}).get("resources")
        if rows:
            rows[0]["intervalStart"] = "soon"
        return rows

    harness = changed(meetings.make_harness(meetings.world(sessions=2)), edit)
    report = meetings.harvested(harness, tmp_path)
    assert report.unreadable
    assert {record.unit[:8] for record in report.unreadable} == {"project."}
    assert all("time that is missing" in record.reason for record in report.unreadable)
    assert report.skipped == ()
