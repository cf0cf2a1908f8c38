"""Threads that import the package and create the first clients of a process at the same time."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import logging, random, sys, threading
from importlib import import_module

sys.setswitchinterval(1e-6)
chance, threads = random.Random({seed}), 10
ready, errors = threading.Barrier(threads), []

def async_client():
    from agora_analytics import AsyncAgora
    AsyncAgora("id", "secret", app_id="a", plan="standard")

def blocking_client():
    from agora_analytics import blocking
    with blocking.Agora("id", "secret", app_id="a", plan="standard") as client:
        client.quota()

def names_of(package):
    def read():
        names = import_module(package).__all__
        for name in chance.sample(names, len(names)):
            getattr(import_module(package), name)
    return read

def run(job):
    ready.wait()
    try:
        for _ in range(9):
            try:
                return job()
            except KeyError as error:
                # Python takes a package that it has loaded out of sys.modules, and puts it back. Another thread that
                # looks for the package in between has this error. No import of ours can prevent it.
                if not str(error.args[0]).startswith("agora_analytics"):
                    raise
        raise RuntimeError("a package is missing in sys.modules")
    except BaseException as error:
        errors.append(error)

jobs = [async_client, blocking_client, async_client, blocking_client]
packages = ["agora_analytics", *(f"agora_analytics.{{name}}" for name in
            ("agora.beta", "apsaravideo", "blocking", "harvest", "opentok", "signaling", "store"))]
jobs += [names_of(each) for each in chance.choices(packages, k=threads - len(jobs))]
started = [threading.Thread(target=run, args=(job,), daemon=True) for job in jobs]
for thread in started:
    thread.start()
for thread in started:
    thread.join(120)
handlers = [h for h in logging.getLogger("agora_analytics").handlers if not isinstance(h, logging.NullHandler)]
print(errors, sum(map(threading.Thread.is_alive, started)), len(handlers))
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_first_clients_of_several_threads(seed, tmp_path):
    """No import fails or deadlocks, the ledger is created once, and `AGORA_LOG` adds one handler."""
    pytest.importorskip("jwt")
    pytest.importorskip("graphql")
    program = PROGRAM.format(seed=seed)
    settings = {"AGORA_LOG": "warning", "AGORA_LEDGER": str(tmp_path / "ledger.db")}
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", program]
    ended = subprocess.run(
        command, env=os.environ | settings, capture_output=True, text=True, timeout=300, check=False
    )
    assert (ended.stdout, ended.stderr) == ("[] 0 1\n", "")
