"""Compactions after a publisher was killed, and at the same time as other publishers: every row once."""

import pytest

from agora_analytics.store import CompactReport
from agora_analytics.store.bucket import bucket_compaction, publisher
from tests.bucket.sample_calls import DAY, Sample, reopened
from tests.bucket.test_publishing import CLOSED, parts, publish_until_step


@pytest.mark.parametrize("step", ["commit sessions", "commit calls", "delete ready calls"])
def test_day_with_a_call_that_is_committed_in_part_is_not_compacted(sample, step):
    sample.add("c0")
    sample.store.writer.commit()
    sample.add("c1")
    publish_until_step(sample, step)

    report = bucket_compaction.compact(*parts(sample.store), closed_before=CLOSED)

    assert not report.compacted
    assert [(day.day, day.reason) for day in report.skipped] == [
        (DAY, "it has calls that are not committed yet; a later compaction merges it")
    ]
    reopened(sample.store).writer.commit()
    sample.assert_exact()
    assert sample.store.writer.compact(closed_before=CLOSED).compacted
    sample.assert_exact()


def test_other_days_are_compacted(sample):
    sample.add("c0", "c1", day="2026-11-19")
    sample.store.writer.commit()
    sample.add("c2")
    publish_until_step(sample, "commit sessions")
    report = bucket_compaction.compact(*parts(sample.store), closed_before=CLOSED)
    assert [day.day for day in report.compacted] == ["2026-11-19"]
    assert [day.day for day in report.skipped] == [DAY]


def test_nothing_is_compacted_while_other_publishers_are_faster(sample, monkeypatch, caplog):
    """Each attempt to commit is overtaken: another publisher commits after this one has loaded the tables."""
    sample.add("c0", "c1")
    sample.store.writer.commit()
    sample.add("c2")
    publish, number = publisher.publish, 0

    def overtaken(objects, tables) -> bool:
        def at(step: str) -> None:
            nonlocal number
            if step == "commit calls":
                number += 1
                other = Sample(reopened(sample.store), sample.truth)
                other.add(f"d{number}")
                publish(*parts(other.store))
                sample.add(f"e{number}")

        return publish(objects, tables, at)

    with monkeypatch.context() as patched:
        patched.setattr(publisher, "publish", overtaken)
        assert sample.store.writer.compact(closed_before=CLOSED) == CompactReport()
    assert "other publishers were faster 5 times" in caplog.text
    sample.store.writer.commit()
    sample.assert_exact()
