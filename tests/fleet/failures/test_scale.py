"""One account takes its time; more accounts on as many workers take little more."""

import pytest

pytestmark = pytest.mark.fleet


@pytest.mark.parametrize("accounts", [1, 4, 8])
def test_accounts_are_harvested_by_as_many_workers(site, accounts):
    """Prints the seconds. They are not compared, because they depend on what else the machine does."""
    site = site(accounts, calls=60, plan="premium")  # 3 requests a second
    for _ in range(accounts):
        site.machine("--concurrency", "1").start()
    site.wait_for_all()
    begun = min(each.begun_at for each in site.queue.passes)
    seconds = max(each.ended_at for each in site.queue.accounts.values()) - begun
    site.check(f"{accounts} accounts: {seconds:.1f} s", most_extra=accounts)
