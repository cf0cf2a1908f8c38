"""Which ledger a client counts in: the user's file by default, the one that a setting names, or memory."""

import asyncio
import os
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from agora_analytics import (
    AsyncAgora,
    AsyncAgoraBeta,
    AsyncApsaraVideo,
    AsyncOpenTok,
    AsyncSignaling,
    MemoryLedger,
    ProjectKey,
    SqliteLedger,
)
from agora_analytics.agora.credentials import Basic
from agora_analytics.engine import open_ledger as module
from agora_analytics.engine.ledger import Budget
from agora_analytics.engine.open_ledger import default_path, open_ledger
from agora_analytics.errors import ConfigurationError
from agora_analytics.testing import VirtualClock
from tests.conftest import NOW, a_pace

CLIENTS = {
    "agora": lambda **options: AsyncAgora("an-id", "s", app_id="a", **options),
    "agora-beta": lambda **options: AsyncAgoraBeta("an-id", "s", app_id="a", **options),
    "signaling": lambda **options: AsyncSignaling(Basic("an-id", "s"), app_id="a", **options),
    "opentok": lambda **options: AsyncOpenTok(ProjectKey("45000001", "s"), **options),
    "apsaravideo": lambda **options: AsyncApsaraVideo("an-id", "s", app_id="a", **options),
}
ENVIRONMENTS = {
    AsyncAgora: ("AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET", "AGORA_APP_ID"),
    AsyncAgoraBeta: ("AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET", "AGORA_APP_ID"),
    AsyncSignaling: ("AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET", "AGORA_APP_ID"),
    AsyncOpenTok: ("OPENTOK_API_KEY", "OPENTOK_API_SECRET"),
    AsyncApsaraVideo: (
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "APSARAVIDEO_APP_ID",
    ),
}
BUDGET = Budget("account", "group")


@pytest.fixture
def state(tmp_path, monkeypatch):
    """The user's state folder, which does not exist yet; no variable names a ledger."""
    if sys.platform in ("win32", "darwin"):
        monkeypatch.setattr(module, "default_path", lambda: tmp_path / "state/agora-analytics/ledger.sqlite3")
    monkeypatch.delenv(module.LEDGER)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/agora-analytics/ledger.sqlite3"


async def reserve(ledger, times=1):
    for _ in range(times):
        assert await ledger.reserve(BUDGET, now=0.0, server_now=NOW, pace=a_pace(0.01), per_day=100)


@pytest.mark.parametrize("vendor", CLIENTS)
async def test_every_client_counts_in_the_file_of_the_user(vendor, state):
    async with CLIENTS[vendor]() as client, CLIENTS["agora"]() as other:
        assert not state.parent.exists()
        assert client._ledger is other._ledger
        await client.quota()
        assert client._ledger.path == state
    assert state.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
async def test_default_folder_and_file_are_private(state):
    old = os.umask(0)
    try:
        async with CLIENTS["agora"]() as client:
            await reserve(client._ledger)
            modes = {
                path.name: stat.S_IMODE(path.stat().st_mode)
                for path in (state.parent, *state.parent.iterdir())
            }
    finally:
        os.umask(old)
    assert modes.pop("agora-analytics") == 0o700
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("kind", ENVIRONMENTS)
async def test_variable_names_the_ledger_of_every_vendor(kind, state, tmp_path, monkeypatch):
    environment = dict.fromkeys(ENVIRONMENTS[kind], "45000001")
    path = tmp_path / "other.db"
    async with kind.from_env(environment | {"AGORA_LEDGER": str(path)}) as client:
        assert (type(client._ledger), client._ledger.path) == (SqliteLedger, path)
    async with kind.from_env(environment | {"AGORA_LEDGER": "memory"}) as client:
        assert type(client._ledger) is MemoryLedger
    monkeypatch.setenv("AGORA_LEDGER", str(path))
    async with kind.from_env(environment) as client:
        assert client._ledger.path == path
    mine = MemoryLedger()
    async with kind.from_env(environment, ledger=mine) as client:
        assert client._ledger is mine
    assert not state.exists()


@pytest.mark.parametrize("vendor", CLIENTS)
async def test_constructor_reads_the_variable_and_keyword_takes_precedence(vendor, tmp_path, monkeypatch):
    monkeypatch.setenv("AGORA_LEDGER", str(tmp_path / "named.db"))
    mine = MemoryLedger()
    async with CLIENTS[vendor]() as client, CLIENTS[vendor](ledger=mine) as other:
        assert client._ledger.path == tmp_path / "named.db"
        assert other._ledger is mine


@pytest.mark.parametrize("vendor", CLIENTS)
async def test_clock_of_its_own_counts_in_memory(vendor, state, tmp_path, monkeypatch):
    """Virtual time must not enter a file that programs share, whatever the environment names."""
    monkeypatch.setenv("AGORA_LEDGER", str(tmp_path / "named.db"))
    async with (
        CLIENTS[vendor](clock=VirtualClock(NOW)) as one,
        CLIENTS[vendor](clock=VirtualClock(NOW)) as two,
    ):
        assert type(one._ledger) is MemoryLedger
        assert one._ledger is not two._ledger
        assert all(engine._ledger is one._ledger for engine in one._engines)
    assert not state.exists()
    assert not (tmp_path / "named.db").exists()


async def test_clients_share_one_ledger_in_memory():
    async with CLIENTS["agora"]() as one, CLIENTS["opentok"]() as two:
        assert one._ledger is two._ledger
        assert type(one._ledger) is MemoryLedger


async def test_client_that_is_closed_does_not_disturb_another(state):
    one, two = CLIENTS["agora"](), CLIENTS["agora"]()
    await reserve(one._ledger, 2)
    await one.aclose()
    await reserve(two._ledger)
    assert await two._ledger.spent(BUDGET, "2026-11-19") == (3, False)
    await two.aclose()
    assert two._ledger._file._opened is None


def test_one_ledger_in_several_event_loops(state):
    async def work():
        async with CLIENTS["agora"]() as client:
            await reserve(client._ledger, 3)
            return await client._ledger.spent(BUDGET, "2026-11-19")

    assert [asyncio.run(work()) for _ in range(3)] == [(3, False), (6, False), (9, False)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_process_counts_in_the_same_file(state):
    program = """
import asyncio, os, sys
from agora_analytics.engine.open_ledger import open_ledger
from tests.engine.test_open_ledger import BUDGET, reserve
ledger = open_ledger()
asyncio.run(reserve(ledger, 2))
child = os.fork()
asyncio.run(reserve(ledger, 3))
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(asyncio.run(ledger.spent(BUDGET, "2026-11-19")))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("(8, False)\n", "")


@pytest.fixture(
    params=["a file is in the way", "no home folder", "read-only folder", "read-only file", "foreign folder"]
)
def unwritable(request, state, monkeypatch):
    """A default file that cannot be written."""
    match request.param:
        case "a file is in the way":
            state.parent.parent.write_text("not a folder")
        case "no home folder":
            monkeypatch.setattr(
                module, "default_path", lambda: Path("~/.local/state/agora-analytics/ledger.sqlite3")
            )
        case "read-only folder":
            state.parent.mkdir(parents=True, mode=0o500)
        case "read-only file":
            asyncio.run(reserve(SqliteLedger(state)))
            state.chmod(0o400)
        case "foreign folder":
            monkeypatch.setattr(module, "default_path", lambda: Path("/proc/agora-analytics/ledger.sqlite3"))
    if request.param.startswith("read-only") and hasattr(os, "geteuid") and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    return request.param


def test_memory_and_one_warning_where_no_file_can_be_written(unwritable, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def work():
        async with CLIENTS["agora"]() as one, CLIENTS["opentok"]() as two:
            await reserve(one._ledger, 2)
            await reserve(two._ledger)
        async with CLIENTS["signaling"]() as later:  # a closed client's count stays
            await reserve(later._ledger)
            return await later._ledger.spent(BUDGET, "2026-11-19")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert asyncio.run(work()) == (4, False)
    (warning,) = caught
    assert warning.category is RuntimeWarning
    for words in ("cannot write the ledger file", "in memory", "AGORA_LEDGER", "'memory'"):
        assert words in str(warning.message)
    assert not (tmp_path / "~").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_memory_in_place_of_the_file_survives_a_fork(tmp_path):
    (tmp_path / "state").write_text("not a folder")
    program = """
import asyncio, os, warnings
from agora_analytics.engine.open_ledger import open_ledger
from tests.engine.test_open_ledger import BUDGET, reserve
ledger = open_ledger()
asyncio.run(reserve(ledger, 2))
if not (child := os.fork()):
    asyncio.run(reserve(ledger))
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(asyncio.run(ledger.spent(BUDGET, "2026-11-19")))
"""
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state"), "AGORA_LEDGER": ""}
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", program], capture_output=True, text=True, env=environment
    )
    assert done.stdout == "(2, False)\n", done.stderr
    assert done.stderr.count("RuntimeWarning") == 1


async def test_named_file_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="AGORA_LEDGER to another file, or to 'memory'"):
        await reserve(open_ledger(str(tmp_path / "file" / "ledger.db")))


async def test_database_of_another_program_at_the_default_path_is_an_error(state):
    state.parent.mkdir(parents=True)
    state.write_text("notes of the user, which are not a database" * 99)
    with pytest.raises(ConfigurationError, match="not a database"):
        await reserve(open_ledger())


@pytest.mark.parametrize("name", ["s3://bucket/ledger", "sqlite:///ledger.db", "://"])
def test_url_of_another_kind_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="names a URL that is not postgresql"):
        open_ledger(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "package", "kind"),
    [
        ("postgresql://host/db", "psycopg", "PostgresLedger"),
        ("postgres://host/db", "psycopg", "PostgresLedger"),
        ("redis://host", "redis", "RedisLedger"),
        ("rediss://host/1", "redis", "RedisLedger"),
    ],
)
def test_url_names_a_ledger_on_a_server(url, package, kind, monkeypatch):
    pytest.importorskip(package)
    monkeypatch.setenv(module.LEDGER, url)
    assert type(open_ledger()).__name__ == kind
    assert open_ledger() is open_ledger(url)


@pytest.mark.parametrize(("url", "extra"), [("postgresql://host/db", "postgres"), ("redis://host", "redis")])
def test_ledger_on_a_server_without_its_extra_names_the_extra(url, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ConfigurationError, match=rf"pip install 'agora-analytics\[{extra}\]'"):
        open_ledger(url)


def test_paths_that_name_one_file_are_one_ledger(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert open_ledger("day.db") is open_ledger(str(tmp_path / "day.db")) is open_ledger("~/day.db")


@pytest.mark.parametrize("name", ["memory", "Memory", " MEMORY "])
def test_name_of_memory_in_any_case(name, monkeypatch):
    monkeypatch.setenv("AGORA_LEDGER", name)
    assert type(open_ledger()) is type(open_ledger(name)) is MemoryLedger


def test_empty_variable_counts_as_absent(state, monkeypatch):
    for value in ("", "  "):
        monkeypatch.setenv("AGORA_LEDGER", value)
        assert open_ledger().path == state


def test_constructing_a_client_does_not_open_the_file(state):
    CLIENTS["agora"]()
    assert not state.parent.exists()
    assert default_path().name == "ledger.sqlite3"


@pytest.mark.parametrize("_run", range(2))
def test_each_test_opens_ledgers_of_its_own(_run):
    """A ledger that another test left would have its counts, and would not warn again."""
    assert module._files == {}
    open_ledger("/nowhere/ledger.db")
