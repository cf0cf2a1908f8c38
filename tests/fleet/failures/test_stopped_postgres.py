"""PostgreSQL is stopped at once while passes run, and started again later."""

import time

import pytest

from tests.fleet.failures.workers import Supervisor

pytestmark = pytest.mark.fleet


@pytest.mark.parametrize("seconds", [6, 12, 60])
def test_passes_continue_when_postgres_is_back(site, postgres, seconds):
    """A supervisor starts workers again that have ended. In the outage nothing is sent, for lack of a ledger."""
    site = site(3, calls=200)
    machines = [site.machine("--concurrency", "1") for _ in range(3)]
    with Supervisor(machines):
        site.wait_for_requests(0.3)
        site.queue.wait_until(lambda: len(site.queue.running()) == 3, "three passes run")
        passes, stopped = len(site.queue.passes), time.time()
        postgres.server.stop()
        time.sleep(seconds)  # the outage
        started, before = time.time(), site.requests
        postgres.server.start()
        site.queue.wait_until(lambda: site.requests > before, "requests are sent again")
        again = time.time()
        site.wait_for_all()
    codes = [code for each in machines for code, _ in each.exits]
    idle = site.quiet(stopped, again)
    site.check(
        f"PostgreSQL stopped for {seconds} s: exit codes {codes}, {len(site.queue.passes) - passes} passes begun again, "
        f"nothing sent for {idle:.1f} s, sent again {again - started:.1f} s after the start",
        most_extra=5 * len(machines),
    )
    assert set(codes) <= {69}
