"""Two harvests of one app at a time, by mistake: neither makes the tables unreadable."""

import pytest

from tests.bucket.sample_calls import APP, PARTITION, Sample, reopened, unit_names
from tests.store.sample_calls import call, metrics, sessions


@pytest.mark.parametrize("first", ["is ready", "has committed"])
def test_harvest_does_not_delete_units_that_another_has_published(sample: Sample, first):
    """The second harvest reads the state while the call is pending, and discards its units after it was published."""
    writer, names = sample.store.writer, unit_names("c1")
    for number, name in enumerate(names):
        writer.put("metrics", name, metrics("c1", batch=number), pending=True, **PARTITION)
    second = reopened(sample.store).writer
    second.calls(APP)
    pending = second.units(APP).pending["metrics"]
    assert sorted(pending) == names

    sample.add("c1", finished=False)
    if first == "has committed":
        writer.commit()
    second.discard(pending=[("metrics", unit) for unit in pending], **PARTITION)
    second.commit()

    sample.assert_exact()


def test_unit_that_was_discarded_is_published_when_it_is_fetched_again(sample: Sample):
    writer, (name, *_) = sample.store.writer, unit_names("c1")
    writer.put("metrics", name, metrics("c1"), pending=True, **PARTITION)
    writer.put("sessions", "c1", sessions("c1"), pending=True, **PARTITION)
    writer.put("calls", "c1", call("c1", finished=False), pending=True, **PARTITION)
    discarded = [("metrics", name), ("sessions", "c1"), ("calls", "c1")]
    writer.discard(pending=discarded, **PARTITION)
    left = reopened(sample.store).writer.units(APP).pending
    assert not left["sessions"]
    assert not left["calls"]

    sample.add("c1")
    writer.commit()

    sample.assert_exact()
