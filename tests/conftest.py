"""Fixtures of all tests, and factories of responses, limits and endpoints."""

import asyncio
import gc
import json
import logging
import os
import random
import signal
from importlib import import_module
from importlib.util import find_spec
from typing import get_args

import hypothesis
import pytest

from agora_analytics import logs
from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.limits import Limits
from agora_analytics.engine import open_ledger
from agora_analytics.engine.ledger import MemoryLedger
from agora_analytics.engine.pace import Pace
from agora_analytics.messages import Response

pytest_plugins = (
    "pytester",
    "agora_analytics.integrations.pytest_plugin",
    "tests.secret_watch",
    "tests.services.fixtures",
)

# No deadline, because a busy machine must not fail a test. SEED=... selects other examples, as in `fixed_seed`.
hypothesis.settings.register_profile(
    "same",
    deadline=None,
    derandomize="SEED" not in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("same")

# dlt reads it when it is imported, by whichever test comes first, and would report to its maker over the network.
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

SIMULATOR = ("starlette", "numpy")
VENDORS = ("AGORA_", "ALIBABA_CLOUD_", "OPENTOK_", "VONAGE_")  # prefixes of environment variables
NEEDS = {
    "alerts": ("duckdb", "portalocker", "pyarrow", "pytz", *SIMULATOR),
    "apsaravideo": SIMULATOR,
    "benchmarks": ("benchmarks", "duckdb", "portalocker", "pyarrow", *SIMULATOR),
    "beta": SIMULATOR,
    "blocking": SIMULATOR,
    "bucket": ("deltalake", "duckdb", "obstore", "polars", "portalocker", "pyarrow", *SIMULATOR),
    "documents": ("typer", "duckdb", "portalocker", "pyarrow", "ariadne", "jwt", *SIMULATOR),
    "cli": ("typer", "duckdb", "portalocker", "starlette"),
    "fleet": ("duckdb", "portalocker", "pyarrow", "ariadne", "jwt", *SIMULATOR),
    "harvest": ("duckdb", "portalocker", "pyarrow", "starlette", "numpy"),
    "faults": SIMULATOR,
    "fuzz": ("duckdb", "portalocker", "pyarrow", "ariadne", "jwt", *SIMULATOR),
    "insight": ("duckdb", "portalocker", "pyarrow", "pytz", *SIMULATOR),
    "integrations/dlt": ("dlt", "duckdb", "portalocker", "pyarrow", *SIMULATOR),
    "integrations/grafana": (
        "ariadne",
        "jwt",
        "typer",
        "prometheus_client",
        "duckdb",
        "portalocker",
        "pyarrow",
        *SIMULATOR,
    ),
    "integrations/mcp": ("mcp", "typer", "altair", "duckdb", "portalocker", "pyarrow", *SIMULATOR),
    "integrations/otel": ("opentelemetry", *SIMULATOR),
    "integrations/prometheus": ("prometheus_client", "typer", *SIMULATOR),
    "integrations/pytest_plugin": SIMULATOR,
    "opentok": ("ariadne", "jwt", *SIMULATOR),
    "signaling": SIMULATOR,
    "simulator": SIMULATOR,
    "store": ("duckdb", "portalocker", "pyarrow"),
    "worlds": ("duckdb", "portalocker", "pyarrow", *SIMULATOR),
    "test_dirty_responses.py": ("pyarrow", *SIMULATOR),
}
# Folders and files whose extras are not installed are not collected; the rest must pass: `nox -s core_only`.
collect_ignore = [
    folder for folder, modules in NEEDS.items() if any(find_spec(module) is None for module in modules)
]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts pytest in the background ignores SIGINT, and its child processes would as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)

NOW = 1_795_089_600.0  # 2026-11-19 12:00 UTC
CUSTOMER, SECRET = "demo-customer-id", "demo-customer-secret"


def pytest_collection_modifyitems(config, items):
    """Leave out the tests of the fleet unless `-m` names them.

    In processes side by side, start files with slow tests first, or the last one would run alone.
    """
    if "fleet" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("fleet")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
    if hasattr(config, "workerinput"):
        slow_files = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow_files)


def harness_of(vendor):
    """Return the module `tests.<vendor>.harness`. Skips without the simulator, which all of them but Agora's import."""
    if vendor != "agora":
        for name in SIMULATOR:
            pytest.importorskip(name)
    return import_module(f"tests.{vendor}.harness")


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    """Remove the settings of the machine from the environment, and count requests in new ledgers, by default in memory."""
    for name in [name for name in os.environ if name.startswith((*VENDORS, "APSARAVIDEO_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(open_ledger.LEDGER, open_ledger.MEMORY)
    monkeypatch.setattr(open_ledger, "_process_ledger", MemoryLedger())
    monkeypatch.setattr(open_ledger, "_files", {})
    monkeypatch.setattr(open_ledger, "_servers", {})


@pytest.fixture(autouse=True)
def no_log_from_outside(monkeypatch):
    """Restore the log set-up after a test: levels and handlers, such as those of `AGORA_LOG`, count for the process."""
    monkeypatch.setattr(logs, "_is_set_up", False)
    monkeypatch.setattr(logs, "_handler", None)
    for area in get_args(logs.Area):
        logs.logger_of(area)  # a module that a test imports creates the same logger
    loggers = [each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    before = [(each, each.level, each.handlers[:], each.propagate) for each in (logging.root, *loggers)]
    yield
    for logger, level, handlers, propagate in before:
        if logger.level != level:  # setting a level visits every logger
            logger.setLevel(level)
        logger.handlers[:], logger.propagate = handlers, propagate


@pytest.fixture(autouse=True)
def no_gc_settings_from_outside():
    """Restore the garbage collection after a test: a command sets it for its process."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.fixture(autouse=True)
def fixed_seed(request):
    """Every run of a test has the same back-off jitter; SEED=... selects another."""
    random.seed(f"{os.environ.get('SEED', '')} {request.node.nodeid}")


def response(body=b"", status=200, **headers) -> Response:
    """Return a response; a body that is not bytes is sent as JSON."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return Response(status=status, headers=names, body=body, elapsed=0.01)


def ok(**fields) -> Response:
    """Return a successful response."""
    return response({"code": 200, "message": "success", **fields})


def limits(**changes) -> Limits:
    """Return the limits of an endpoint: 10 requests a second, and large values for everything else."""
    rows = {"requests": 10, "per_day": 10_000, "reach": 86_400, "span": 3600, "delay": 60}
    return Limits(**(rows | changes))


def endpoint(**changes) -> Endpoint:
    """Return an endpoint that is independent of a vendor."""
    return Endpoint(**({"name": "call/lists", "path": "/lists"} | changes))


def slow(*values: object):
    """Return parameters whose test is slow; the other parameters stay in the fast part."""
    return pytest.param(*values, marks=pytest.mark.slow)


def partly_slow(values, fast: int) -> list:
    """Return all values as parameters. `fast` of them, evenly chosen, stay in the fast part; the others are slow."""
    values = list(values)
    kept = {index * len(values) // fast for index in range(fast)}
    return [value if index in kept else slow(value) for index, value in enumerate(values)]


async def nothing_runs() -> bool:
    """Return whether only the task of the caller is left after cancelled tasks have ended."""
    for _ in range(10):
        await asyncio.sleep(0)
    return asyncio.all_tasks() == {asyncio.current_task()}


async def send(limiter, grant):
    """Hand a request over and let its bytes leave, as the request loop and a transport do; return its grant."""
    while not await limiter.hand_over(grant):
        grant = await limiter.acquire()
    limiter.sent(grant)
    return grant


async def leave(limiter):
    """Wait for a slot and send a request in it."""
    return await send(limiter, await limiter.acquire())


def a_pace(gap=0.1, requests=10**6, period=1.0, **settings):
    """Return a pace whose slots are a gap apart, and whose windows never fill unless `requests` is small."""
    return Pace(requests=requests, period=period, gap=gap, **settings)
