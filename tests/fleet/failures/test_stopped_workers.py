"""Workers that are stopped with SIGTERM: their passes go back to the queue at once."""

import signal

import pytest

pytestmark = pytest.mark.fleet


def test_stopped_worker_hands_its_passes_over(site):
    """Another worker looks for jobs every 5 s. It does not wait for 30 s without a heartbeat."""
    site = site(2, calls=150)
    first, second = site.machine(), site.machine()
    first.start()
    site.wait_for_requests(0.2)
    second.start()
    site.queue.wait_until(lambda: "working on" in second.log, "the other worker has started")
    accounts, pid = site.passes_of(first), first.pid
    at = first.send(signal.SIGTERM)
    code = first.exit_code(30)
    site.queue.wait_until(lambda: all(site.queue.taken_over(name, pid) for name in accounts), "taken over")
    seconds = max(site.queue.taken_over(name, pid).begun_at - at for name in accounts)
    site.wait_for_all()
    site.check(
        f"SIGTERM: exit code {code}, {len(accounts)} passes taken over after {seconds:.1f} s",
        most_extra=5 * len(accounts),
    )
    assert code == 0
    assert len(accounts) == 2
    assert seconds < 20
