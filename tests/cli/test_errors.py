import json
import os
import resource
import socket
import subprocess
import sys
import time

import pytest

from agora_analytics.cli.runner import MEANINGS, OF_ERRORS, describe, exit_code_of
from agora_analytics.errors import BadRequest, NotFound, ServerError
from agora_analytics.simulator import World
from agora_analytics.store import open_store

LAST_DAY = ("--since", "1d")


@pytest.fixture(scope="module")
def nobody():
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(scope="module", autouse=True)
def unreachable_harvest(nobody, tmp_path_factory):
    """A harvest whose host is not there. It tries for 20 s, so it does that while the other tests run."""
    folder = tmp_path_factory.mktemp("unreachable-host")
    settings = {"AGORA_CUSTOMER_ID": "c", "AGORA_CUSTOMER_SECRET": "s3cret", "AGORA_APP_ID": "a"}
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "agora_analytics",
            "harvest",
            *LAST_DAY,
            "--out",
            "store",
            "--base-url",
            nobody,
        ],
        text=True,
        stderr=subprocess.PIPE,
        cwd=folder,
        env={"AGORA_LEDGER": str(folder / "ledger"), "HOME": str(folder)} | settings,
    )
    yield process
    process.kill()
    process.communicate()


def test_exit_codes_are_listed_on_request_and_not_in_the_help(command):
    listed = command("--exit-codes").stdout.splitlines()
    assert listed == [f"{code:>3}  {meaning}" for code, meaning in MEANINGS.items()]
    assert {code for _, code in OF_ERRORS} <= set(MEANINGS)
    assert "141" not in command("--help").stdout


@pytest.mark.slow
def test_invalid_times_are_reported(fails, nobody, tmp_path):
    cases = {
        "looks like milliseconds": ("--since", "1763000000000"),
        "is not before until": ("--since", "1h", "--until", "2h"),
        "give ISO 8601": ("--since", "tomorrow"),
        "the plan allows 20": ("--since", "2020-01-01", "--until", "2020-01-02"),
        "too recent": ("--since", "10s"),
        "harvest --help": ("--sinc", "1h"),
    }
    message = fails.all(
        *((2, ("harvest", *words, "--out", "store", "--base-url", nobody)) for words in cases.values())
    )
    assert all(expected in line for expected, line in zip(cases, message, strict=True))
    assert not (tmp_path / "store").exists()


def test_missing_environment_variables_are_all_named(fails):
    gone = dict.fromkeys(("AGORA_CUSTOMER_ID", "AGORA_CUSTOMER_SECRET", "AGORA_APP_ID"))
    message = fails(78, "harvest", *LAST_DAY, "--out", "store", env=gone)
    assert all(name in message for name in gone)


@pytest.mark.slow
def test_invalid_settings_are_reported(fails):
    cases = {
        "standard, premium, enterprise": ("--plan", "gold"),
        "use https": ("--base-url", "http://example.com"),
        "global, cn": ("--region", "moon"),
        "AGORA_LEDGER": ("--ledger", "/dev/null/ledger"),
    }
    message = fails.all(*((78, ("harvest", *LAST_DAY, "--out", "store", *words)) for words in cases.values()))
    assert all(expected in line for expected, line in zip(cases, message, strict=True))
    assert "use one of debug" in fails(78, "quota", env={"AGORA_LOG": "loud"})


def test_wrong_credentials_are_reported_without_the_secret(fails, base_url):
    message = fails(77, "harvest", *LAST_DAY, "--out", "store", env={"AGORA_CUSTOMER_SECRET": "wr0ng"})
    assert "check the customer id and secret" in message
    assert "wr0ng" not in message


def test_unknown_app_id_is_reported(fails, base_url):
    assert "check the app id" in fails(77, "harvest", *LAST_DAY, "--out", "store", "--app-id", "nope")


def test_plan_without_access_is_reported(fails, serving, world):
    with serving(world, plan="starter") as url:
        message = fails(77, "harvest", *LAST_DAY, "--out", "store", "--base-url", url)
    assert "plan" in message


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder_is_reported(fails, base_url, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "right to write" in fails(73, "harvest", *LAST_DAY, "--out", tmp_path / "locked" / "store")


def test_file_in_place_of_the_store_is_reported(fails, base_url, tmp_path):
    (tmp_path / "store").write_text("a file")
    assert "file" in fails(2, "harvest", *LAST_DAY, "--out", "store")
    assert fails(73, "harvest", *LAST_DAY, "--out", "store/below")


def test_url_in_place_of_the_store_is_reported(fails, base_url, tmp_path):
    """A local folder named `s3:` would be lost with its container."""
    message = fails(2, "harvest", *LAST_DAY, "--out", "https://bucket/calls.store")
    assert "a store is a folder or a bucket" in message
    assert "--output s3://bucket/calls.csv: " in fails(2, "calls", *LAST_DAY, "-o", "s3://bucket/calls.csv")
    assert not (tmp_path / "s3:").exists()


def test_foreign_folder_is_not_used_as_a_store(fails, base_url, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "thesis.txt").touch()
    assert "thesis.txt" in fails(74, "harvest", *LAST_DAY, "--out", "store")


@pytest.mark.slow
def test_store_of_a_newer_format_is_reported(fails, base_url, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "_store.json").write_text(json.dumps({"format": 99, "created_by": "the future"}))
    message = fails.all(
        (65, ("harvest", *LAST_DAY, "--out", "store")), (65, ("sql", "--store", "store", "select 1"))
    )
    assert all("the future" in line for line in message)


@pytest.mark.skipif(os.name == "nt", reason="no limit on file sizes there")
def test_full_disk_is_reported(fails, serving, tmp_path):
    until = int(time.time()) - 1000
    large = World.generate(
        since=until - 7200, until=until, calls=1, simple=True, minutes=50, sigma=0, session_range=(20, 20)
    )

    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    with serving(large) as url:
        # Python does not notice that it wrote only a part of a .pyc file, and cannot import the module later.
        limited = {"preexec_fn": little_room, "env": {"PYTHONDONTWRITEBYTECODE": "1"}}
        message = fails(74, "harvest", *LAST_DAY, "--out", "store", "--base-url", url, **limited)
    assert "free space and run the same command again" in message
    assert open_store(tmp_path / "store").counts() == {"calls": 0, "sessions": 0, "metrics": 0, "points": 0}


@pytest.mark.slow
def test_invalid_sql_is_reported(fails, tmp_path):
    open_store(tmp_path / "store", create=True)
    cases = {
        "the query is wrong": (2, ("sql", "--store", "store", "select nothing from calls")),
        "one query that reads": (2, ("sql", "--store", "store", "drop table calls")),
        "does not exist": (2, ("sql", "--store", "nowhere", "select 1")),
        "is not a store": (74, ("sql", "--store", ".", "select 1")),
    }
    message = fails.all(*cases.values())
    assert all(expected in line for expected, line in zip(cases, message, strict=True))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("unknown call", status=404, code=404), 2),
        (NotFound("unknown session", status=200, code=1017), 2),
        (NotFound("expired session", status=200, code=1016), 2),
        (NotFound("unknown project", status=200, code=1015), 78),
        (NotFound("no such path", status=404), 78),
        (BadRequest("wrong query", status=200, code=1004), 2),
        (BadRequest("wrong metric", status=400, code="Meter.ParamError"), 2),
        (ServerError("down", status=500), 69),
    ],
)
def test_wrong_input_that_the_server_reports_ends_with_2(error, code):
    assert exit_code_of(error) == code


def test_closed_pipe_ends_sql_without_an_error(start, tmp_path):
    open_store(tmp_path / "store", create=True)
    process = start("sql", "--store", "store", "--format", "csv", "select * from range(200000)")
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 141
    process.stdout = None


def test_debug_shows_the_traceback_and_no_secret(command, base_url):
    done = command("harvest", *LAST_DAY, "--out", "store", "--app-id", "nope", "--debug")
    assert done.returncode == 77
    assert "Traceback" in done.stderr
    assert "DEBUG agora_analytics.requests: call/lists: HTTP 200" in done.stderr
    assert "demo-customer-secret" not in done.stderr
    assert "authorization" not in done.stderr.lower()


def test_unexpected_error_is_one_line(command, tmp_path):
    program = (
        "import sys; from agora_analytics.cli import app, main\n"
        "import agora_analytics.store as store\n"
        "def broken(*_): raise KeyError('x')\n"
        "store.open_store = broken\n"
        "sys.exit(main(['sql', '--store', '.', 'select 1']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert "--debug" in done.stderr
    assert done.stderr.count("\n") == 1


def test_missing_extra_is_one_line():
    program = (
        "import sys; sys.modules['typer'] = None; from agora_analytics.cli import main; sys.exit(main([]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'agora-analytics[cli]'" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("module", "extras"),
    [
        ("duckdb", "cli"),
        ("numpy", "cli,simulator"),
        ("graphql", "cli,simulator"),
        ("ariadne", "cli,simulator"),
    ],
)
def test_missing_module_names_its_extras_once(module, extras):
    text, code = describe(ModuleNotFoundError(name=module), ["sql"])
    assert code == 78
    assert text == f"{module} is not installed; run: pip install 'agora-analytics[{extras}]'"


@pytest.mark.parametrize(
    ("words", "is_harvest"),
    [
        ("harvest --since 1d", True),
        ("--debug harvest", True),
        ("opentok harvest", True),
        ("apsaravideo harvest --out store", True),
        ("calls --cname harvest", False),
        ("inspect harvest", False),
    ],
)
def test_only_a_stopped_harvest_promises_stored_rows(words, is_harvest):
    text, code = describe(KeyboardInterrupt(), words.split())
    assert (code, "stored rows are safe" in text) == (130, is_harvest)


def test_help_imports_no_heavy_library():
    program = (
        "import sys; from agora_analytics.cli import main; main(['--help']); main(['harvest', '--help'])\n"
        "sys.exit(sorted({'httpx', 'pyarrow', 'duckdb', 'numpy', 'starlette'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_unreachable_host_is_reported_after_retries(unreachable_harvest):
    _, err = unreachable_harvest.communicate(timeout=60)
    assert unreachable_harvest.returncode == 69
    assert "Traceback" not in err
    assert "s3cret" not in err
    *progress, last = err.splitlines()
    assert last.startswith("agora-analytics: no response")
    assert progress
    assert all("calls 0 of 0+" in line for line in progress)
    assert any("call/lists waits" in line for line in progress)  # not while an attempt is in flight
