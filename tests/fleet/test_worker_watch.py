"""What makes a worker end because the queue does not agree with it."""

import pytest

from agora_analytics.fleet.worker_watch import WorkerJobs, WorkerWatch


def problems(*looks, longest_silence=15.0):
    watch = WorkerWatch(longest_silence)
    return [
        watch.problem(WorkerJobs(dict.fromkeys(held, "acme"), silence), running)
        for held, silence, running in looks
    ]


def test_worker_that_works_on_its_jobs_continues():
    assert problems(({1, 2}, 4.0, {1, 2}), (set(), 4.0, set()), ({3}, 0.0, {3})) == [None] * 3


def test_job_that_is_seen_once_without_a_pass_has_just_begun_or_ended():
    assert problems(({1}, 1.0, set()), ({2}, 1.0, set()), ({2}, 1.0, {2})) == [None] * 3


def test_job_that_is_seen_twice_without_a_pass_ends_the_worker():
    found = problems(({1, 2}, 1.0, {2}), ({1, 2}, 1.0, {2}))
    assert found == [None, "the end of a pass could not be recorded: acme"]


@pytest.mark.parametrize("silence", [15.1, None])
def test_silence_that_is_seen_twice_ends_a_worker_with_passes(silence):
    """The process may have stood still, so its next heartbeat may be about to be sent."""
    assert problems(({1}, silence, {1}), ({1}, 1.0, {1}), ({1}, silence, {1})) == [None] * 3
    assert problems(({1}, silence, {1}), ({1}, silence, {1}))[1] == "this worker sends no heartbeat"
    assert problems((set(), silence, set()), (set(), silence, set())) == [None] * 2
