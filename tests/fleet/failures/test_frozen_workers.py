"""Workers that stand still, or that cannot reach PostgreSQL, until others have taken their passes over."""

import os
import signal
import time

import pytest

from agora_analytics.store.locks import open_locked

pytestmark = pytest.mark.fleet

EXITS = 60.0
"""Seconds in which a worker that has lost its passes ends."""


def wait_for_take_over(site, pid, accounts):
    """Wait until another process has begun a pass over each account; return the latest of these times."""
    site.queue.wait_until(lambda: all(site.queue.taken_over(name, pid) for name in accounts), "taken over")
    return max(site.queue.taken_over(name, pid).begun_at for name in accounts)


def freeze(site, machine):
    """Stop a worker at a time at which it does not commit to the store; return the time.

    The store is a folder, and the system keeps the file lock of a process that stands still: others wait for it.
    """
    while True:
        at = machine.send(signal.SIGSTOP)
        if not any(is_locked(path) for path in site.folder.glob("calls.store/**/commits")):
            return at
        machine.send(signal.SIGCONT)


def is_locked(path):
    descriptor, locked = open_locked(path, shared=False, wait=False)
    os.close(descriptor)
    return not locked


def two_machines(site, **variables):
    """Start a worker, wait until it harvests both accounts, and start another one."""
    first, second = site.machine(**variables), site.machine()
    first.start()
    site.wait_for_requests(0.2)
    second.start()
    site.queue.wait_until(lambda: "working on" in second.log, "the other worker has started")
    accounts = site.passes_of(first)
    assert len(accounts) == 2
    return first, second, accounts


def test_frozen_worker_is_fenced_off_when_it_continues(site):
    """The machine of a worker is suspended for longer than 30 s, as a virtual machine may be."""
    site = site(2, calls=200)
    first, _, accounts = two_machines(site)
    at, pid = freeze(site, first), first.pid
    begun = wait_for_take_over(site, pid, accounts)
    before = site.requests
    site.queue.wait_until(lambda: site.requests >= before + 40, "the other worker harvests")
    first.send(signal.SIGCONT)
    code = first.exit_code(EXITS)
    site.wait_for_all()
    site.check(f"frozen for {begun - at:.1f} s", most_extra=5 * len(accounts))
    assert code == 75
    assert "was taken over by another worker" in first.log


def test_worker_that_is_cut_off_from_postgres_sends_nothing(site, postgres, proxy):
    """Its packets are swallowed, and delivered when another worker has the passes."""
    site = site(2, calls=200)
    link = proxy(postgres.port)
    first, second, accounts = two_machines(site, AGORA_QUEUE=postgres.dsn_at(link.port))
    pid = first.pid
    link.freeze()
    at = time.time()
    begun = wait_for_take_over(site, pid, accounts)
    before = site.requests
    site.queue.wait_until(lambda: site.requests >= before + 40, "the other worker harvests")
    link.heal()
    code = first.exit_code(EXITS)
    site.wait_for_all()
    idle = site.quiet(at, begun)
    site.check(
        f"cut off: taken over after {begun - at:.1f} s, exit code {code}, nothing sent for {idle:.1f} s",
        most_extra=5 * len(accounts),
    )
    assert code in {69, 75}
    assert not second.exits
    assert idle > 20
