import os
import re
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("typer")
pytest.importorskip("duckdb")
pytest.importorskip("uvicorn")

from agora_analytics.simulator import DEMO_APP_ID, Simulator, World, serve_in_thread
from tests.cli.forked_command import READ_AT_THE_START, ForkedCommand, start_server

SECRET = "demo-customer-secret"
LONGEST = 120.0  # seconds that a command may live, so that a test which reads its lines never hangs


KEPT = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
KEPT |= {"PYTHONWARNINGS": "error"}


@pytest.fixture
def environment(tmp_path):
    """The environment of a command: the demo credentials and folders of its own."""
    return KEPT | {
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "AGORA_CUSTOMER_ID": "demo-customer-id",
        "AGORA_CUSTOMER_SECRET": SECRET,
        "AGORA_APP_ID": DEMO_APP_ID,
        "AGORA_PLAN": "enterprise",
    }


@pytest.fixture(scope="session")
def fork_server():
    """The socket of a process that forks for each command; None where there is no such process."""
    if sys.platform != "linux":
        yield None
        return
    with start_server(KEPT) as server:
        yield server


@pytest.fixture
def start(environment, tmp_path, fork_server):
    """Start the real command in a process that is killed at the end of the test."""
    running = []

    def process_of(words, extra, options):
        variables = {name: value for name, value in (environment | extra).items() if value is not None}
        if fork_server and not options and not any(name.startswith(READ_AT_THE_START) for name in extra):
            return ForkedCommand(fork_server, words, tmp_path, variables)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [sys.executable, "-m", "agora_analytics", *words],
            text=True,
            encoding="utf-8",
            cwd=tmp_path,
            env=variables,
            **pipes | options,
        )

    def start(*words, env=None, **options):
        process = process_of([*map(str, words)], env or {}, options)
        end = threading.Timer(LONGEST, process.kill)
        end.daemon = True
        end.start()
        running.append((process, end))
        return process

    yield start
    for process, end in running:
        end.cancel()
        process.kill()
        process.communicate()


@pytest.fixture
def command(start):
    """Run the real command to its end."""

    def run(*words, stdin=None, **options):
        process = start(*words, **options)
        out, err = process.communicate(stdin, timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def fails(start):
    """Run commands that fail with an exit code, one line on stderr, no traceback and no secret."""

    def fail(code, *words, **options):
        (message,) = fail_all((code, words), **options)
        return message

    def fail_all(*cases, **options):
        started = [(code, start(*words, **options)) for code, words in cases]
        return [_error_of(process, code) for code, process in started]

    fail.all = fail_all
    return fail


def _error_of(process, code):
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    # On a busy machine, a harvest lives long enough to report its progress.
    err = re.sub(r"^\d+:\d\d:\d\d \w+ [\d,]+ of .*\n", "", err, flags=re.MULTILINE)
    assert err.startswith("agora-analytics: ")
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    assert SECRET not in err + out
    return err


@pytest.fixture
def world():
    """Twelve short calls of the last hours, all of them finished."""
    until = int(time.time()) - 1000
    return World.generate(seed=7, since=until - 6 * 3600, until=until, calls=12, simple=True)


@pytest.fixture
def serving():
    """Return a context manager that serves a world over a real socket and returns its base URL."""

    def serve(world, **knobs):
        return serve_in_thread(Simulator(world, **knobs))

    return serve


@pytest.fixture
def base_url(world, serving, environment):
    with serving(world) as url:
        environment["AGORA_BASE_URL"] = url
        yield url
