"""A secret is a header and nothing else: the whole suite runs under `tests/secret_watch.py`; here is what that watch sees."""

import base64
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

pytest.importorskip("numpy")
pytest.importorskip("starlette")

from agora_analytics import AsyncAgora, ConfigurationError
from agora_analytics.agora.settings import Settings
from agora_analytics.simulator import DEMO_CREDENTIALS, DEMO_KEYS
from tests import secret_watch
from tests.conftest import CUSTOMER, SECRET

ROOT = Path(__file__).parents[2]
LEAKING = Path(__file__).with_name("leaking_tests.py")


def test_the_watch_knows_the_secrets_of_every_simulator():
    pytest.importorskip("ariadne")
    from agora_analytics.simulator import DEMO_PROJECT

    assert secret_watch.SECRETS == {**DEMO_CREDENTIALS, **DEMO_KEYS, **DEMO_PROJECT}
    assert secret_watch.SECRETS[CUSTOMER] == SECRET


def test_the_watch_knows_the_spellings_of_a_secret():
    jwt = pytest.importorskip("jwt")
    (customer, secret), *_ = secret_watch.SECRETS.items()
    spellings = [
        httpx.BasicAuth(customer, secret)._auth_header,
        jwt.encode({"iss": "x"}, secret * 2, algorithm="HS256"),
        base64.b64encode(secret.encode()).decode(),
        repr(secret.encode()),
        secret.encode().hex(),
    ]
    assert all(secret_watch.shows_a_secret(f"x={spelling};") for spelling in spellings)
    assert not secret_watch.shows_a_secret(f"{customer} secret Basic <hidden>")


@pytest.mark.slow
def test_secret_watch_reports_every_leak_and_nothing_else():
    with TemporaryDirectory() as place:  # below tmp_path the suite's own watch would find what leaked
        command = ["-m", "pytest", "-q", "-rE", "--tb=no", "--show-capture=no", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [sys.executable, *command, f"--basetemp={place}/files", str(LEAKING)],
            cwd=ROOT,
            env=os.environ | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=100,
        )
    reported = dict(re.findall(r"^ERROR \S+::(test_\w+) - (.*)", done.stdout, re.MULTILINE))
    leaks = re.findall(r"^def (test_in_\w+|test_on_\w+)", LEAKING.read_text(), re.MULTILINE)
    assert sorted([*reported, "test_in_a_file"]) == sorted(leaks), done.stdout
    assert all(line.startswith("it shows a secret: ") for line in reported.values()), reported
    assert reported["test_in_a_log"].endswith(": a log record of some.library")
    assert reported["test_in_the_repr_of_what_failed"].endswith(": the repr of Careless")
    assert re.findall(r"^\S*test_in_a_file\S*/note holds a secret$", done.stdout, re.MULTILINE), done.stdout
    assert done.stdout.count(" holds a secret") == 1
    assert done.returncode == pytest.ExitCode.TESTS_FAILED


def test_the_settings_show_no_secret():
    client = AsyncAgora("customer", "hush-hush", app_id="app")
    assert "hush" not in f"{client!r} {client.credentials!r} {client.credentials} {client.settings}"


@pytest.mark.parametrize("url", ["http://10.0.0.1:8080", "http://api.agora.io"])
def test_plain_http_needs_allow_http(url):
    given = {"app_id": "a", "base_url": url}
    with pytest.raises(ConfigurationError, match="allow_http=True"):
        Settings(**given)
    assert Settings(**given, allow_http=True).hosts == (url,)
