"""Tests that show a secret, each in another way, and one that shows none: `test_secrets.py` runs them under the watch."""

import logging
import subprocess
import sys
import warnings

import pytest

from agora_analytics.agora.credentials import Basic
from agora_analytics.errors import InvalidRequest
from agora_analytics.messages import Request
from tests.conftest import SECRET


class Careless:
    """An object of ours that shows what it holds."""

    def __repr__(self):
        return SECRET

    def fail(self):
        raise KeyError


Careless.__module__ = "agora_analytics.careless"


def test_in_a_log():
    logging.getLogger("some.library").debug("sent %s", {"authorization": SECRET})


def test_on_stdout():
    print(SECRET)


def test_on_stderr():
    print(SECRET, file=sys.stderr)


def test_in_what_it_reads_back(capsys):
    print(SECRET)
    assert capsys.readouterr()


def test_in_the_output_of_a_process():
    subprocess.run([sys.executable, "-c", f"print({SECRET!r})"], capture_output=True)


def test_in_a_warning(recwarn):
    warnings.warn(f"{SECRET} is out of date", stacklevel=1)


def test_in_a_suppressed_error():
    assert InvalidRequest(f"cannot send {SECRET}")


def test_in_an_expected_exception():
    with pytest.raises(ValueError, match="invalid"):
        int(SECRET)


def test_in_what_caused_an_exception():
    def look_up():
        try:
            int(SECRET)
        except ValueError as error:
            raise KeyError from error

    with pytest.raises(KeyError):
        look_up()


def test_in_the_repr_of_what_failed():
    with pytest.raises(KeyError):
        Careless().fail()


def test_in_an_unexpected_exception():
    int(SECRET)


def test_nowhere(tmp_path, capsys):
    (tmp_path / "note").write_text("nothing")
    logging.getLogger("some.library").debug("sent")
    print(Basic("demo-customer-id", SECRET))
    print(Request(method="GET", base_url="https://api.agora.io", path="/", headers={"authorization": SECRET}))
    assert capsys.readouterr()
    with pytest.raises(ZeroDivisionError):
        assert 1 / 0


def test_in_a_file(tmp_path):
    (tmp_path / "note").write_bytes(b"\x00" * 99 + SECRET.encode())
