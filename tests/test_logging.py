"""The log set-up: `AGORA_LOG`, the null handler, and the line of httpx for each request."""

import contextlib
import io
import logging
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from typing import get_args

import pytest

from agora_analytics import AsyncAgora, HttpxTransport, logs
from tests.conftest import CUSTOMER, SECRET, SIMULATOR

PROGRAM = """
import logging
{before}
from agora_analytics import AsyncAgora
from agora_analytics.engine.events import QuotaClosed, Waited
client = AsyncAgora("id", "secret", app_id="app")
AsyncAgora("id", "secret", app_id="app")
client._engine.observer(QuotaClosed(endpoint="call/lists", retry_at=0.0))
client._engine.observer(Waited(endpoint="call/lists", rule="the rate", seconds=1.0))
print(logging.getLogger().handlers == {root}, logging.getLogger().level, logging.getLogger("httpx").handlers)
"""


def run(level, *, before="", root="[]"):
    """Run a program with two clients and two events; return its result."""
    program = PROGRAM.format(before=before, root=root)
    environment = {**os.environ, "AGORA_LOG": level}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(
    ("level", "lines"), [("debug", 2), ("INFO", 1), ("warning", 1), ("error", 0), ("", 0)]
)
def test_agora_log_writes_to_stderr_and_leaves_other_loggers_alone(level, lines):
    done = run(level)
    assert done.stdout == "True 30 []\n"
    assert len(done.stderr.splitlines()) == lines
    if lines:
        assert " WARNING agora_analytics.limits: call/lists: the day's quota is spent" in done.stderr


def test_program_with_its_own_logging_gets_each_line_once():
    root = "[handler]"
    done = run(
        "debug",
        before="handler = logging.StreamHandler(); logging.getLogger().addHandler(handler)",
        root=root,
    )
    assert done.stdout == "True 30 []\n"
    assert len(done.stderr.splitlines()) == 2


def test_unknown_level_is_a_configuration_error():
    done = run("loud")
    assert done.returncode == 1
    assert "ConfigurationError: AGORA_LOG='loud' is not a log level; use one of debug, info" in done.stderr


def test_second_set_up_replaces_the_handler_of_the_first():
    first, second = logging.NullHandler(), logging.NullHandler()
    logs.set_up("info", first)
    logs.set_up("debug", second)
    package = logging.getLogger("agora_analytics")
    assert (first in package.handlers, second in package.handlers) == (False, True)


def test_lines_go_to_the_stderr_of_the_moment():
    """A live view of a terminal replaces `sys.stderr`."""
    logs.set_up("info", logs.StderrHandler())
    with contextlib.redirect_stderr(io.StringIO()) as replaced:
        logs.logger_of("harvest").info("begun")
    assert replaced.getvalue().endswith(" INFO agora_analytics.harvest: begun\n")


def test_warning_is_not_written_by_a_program_without_logging():
    """The null handler keeps Python from writing warnings to stderr itself."""
    assert run("").stderr == ""


@pytest.mark.parametrize(
    ("client", "level", "lines"),
    [("own", logging.NOTSET, 0), ("own", logging.INFO, 1), ("borrowed", logging.NOTSET, 1)],
)
async def test_httpx_line_of_a_request_is_written_only_on_request(client, level, lines, caplog):
    if any(find_spec(name) is None for name in SIMULATOR):
        pytest.skip("needs the simulator")
    import httpx

    from agora_analytics.simulator import Simulator, World, serve

    caplog.set_level(logging.INFO)
    now = int(time.time())
    world = World.generate(since=now - 10_800, until=now - 7200, calls=1, simple=True)
    logger = logging.getLogger("httpx")
    before = logger.level
    logger.setLevel(level)
    try:
        async with serve(Simulator(world)) as url, httpx.AsyncClient() as borrowed:
            options = {"http_client": borrowed} if client == "borrowed" else {}
            async with AsyncAgora(CUSTOMER, SECRET, app_id=world.app_id, base_url=url, **options) as agora:
                await agora.calls("4h").collect()
            assert sum(record.name == "httpx" for record in caplog.records) == lines
            caplog.clear()
            await borrowed.get(url)  # the program's own requests keep their lines
            assert [record.name for record in caplog.records] == ["httpx"]
    finally:
        logger.setLevel(before)


async def test_other_requests_of_the_same_task_keep_their_lines():
    from agora_analytics.engine.transports.httpx_log import _is_written, own_request

    line = logging.LogRecord("httpx", logging.INFO, __file__, 1, "HTTP Request", None, None)
    error = logging.LogRecord("httpx", logging.WARNING, __file__, 1, "trouble", None, None)
    with own_request(True):
        assert (_is_written(line), _is_written(error)) == (False, True)
    assert _is_written(line)
    assert HttpxTransport()  # creating a transport changes no logger


@pytest.mark.parametrize("_run", range(2))
def test_each_test_begins_without_the_log_set_up_of_another(_run):
    for name in (
        "",
        "httpx",
        "agora_analytics",
        *(f"agora_analytics.{area}" for area in get_args(logs.Area)),
    ):
        logger = logging.getLogger(name)
        assert (logger.level, logger.propagate) == (logging.NOTSET if name else logging.DEBUG, True)
        assert not any(isinstance(each, logs.StderrHandler) for each in logger.handlers)
        logger.setLevel(logging.ERROR)
        logger.addHandler(logs.StderrHandler())
        logger.propagate = False
