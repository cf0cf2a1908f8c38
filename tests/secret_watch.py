"""A pytest plugin that fails a test which shows a secret.

The secrets are the demo credentials of the simulators and the tokens that are signed with them. The plugin searches:

- every log record of this process, down to DEBUG;
- the output of tests, and of the processes that they start;
- warnings, and the text of every error of the package;
- the traceback of every exception that a test expects or fails with, and the repr of each object of the package in it;
- the files that tests leave below their tmp_path, except inside of compressed columns.

The `simulate` commands print the demo secret to be copied, so their tests read those lines directly.
"""

import base64
import logging
import re
import subprocess
import traceback
import warnings
from contextlib import suppress
from pathlib import Path

import pytest

from agora_analytics.errors import AgoraAnalyticsError

SECRETS = {
    "demo-customer-id": "demo-customer-secret",
    "demo-access-key-id": "demo-access-key-secret",
    "45000001": "demo0opentok0secret0of0forty0characters0",
}
TOKEN = "eyJhbGciOiJIUzI1Ni"  # how a signed token begins: {"alg":"HS256"...
MOST = 8 << 20  # bytes of a file that are searched, at either end


def _forms(name: str, secret: str) -> list[str]:
    """Return the spellings under which a secret may be seen."""
    raw, pair = secret.encode(), f"{name}:{secret}".encode()
    encoded = [base64.b64encode(text).decode().rstrip("=") for text in (raw, pair)]
    return [secret, *encoded, raw.hex(), secret[::-1]]


FORMS = [TOKEN, *(form for pair in SECRETS.items() for form in _forms(*pair))]
_SEEN = re.compile("|".join(map(re.escape, FORMS)))
_SEEN_IN_FILES = re.compile(_SEEN.pattern.encode())

_leaks: list[str] = []  # where the current test showed a secret; never the secret


def shows_a_secret(text: object) -> bool:
    """Return whether a secret is in the text; bytes are text too."""
    return bool(_SEEN.search(text.decode(errors="replace") if isinstance(text, bytes) else str(text)))


def look(where: str, text: object) -> None:
    """Note a leak if a secret is in the text."""
    if text and shows_a_secret(text):
        _leaks.append(where)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        look(f"a log record of {record.name}", f"{record.getMessage()} {record.exc_text} {record.args}")


def _look_at_exception(error: BaseException) -> None:
    name = type(error).__name__
    look(f"the repr of {name}", repr(error))
    look(f"the traceback of {name}", "".join(traceback.format_exception(error)))
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            if type(value).__module__.startswith("agora_analytics"):
                with suppress(AttributeError):  # of an object whose __init__ was refused
                    look(f"the repr of {type(value).__name__}", repr(value))


def _wrap(patch: pytest.MonkeyPatch, owner: type, name: str, after) -> None:
    """Call `after` with the object and the result of every call of a method."""
    method = getattr(owner, name)

    def wrapped(self, *args, **more):
        result = method(self, *args, **more)
        after(self, result)
        return result

    patch.setattr(owner, name, wrapped)


def _look_at_output(whose: str):
    def after(_, result) -> None:
        for text in result or ():
            look(f"the output of {whose}", text)

    return after


def _look_at_our_error(error: AgoraAnalyticsError, _) -> None:
    look(f"the text of {type(error).__name__}", f"{error} {error!r} {vars(error)!r}")


def pytest_configure(config) -> None:
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    config.option.log_level = config.getoption("log_level") or "WARNING"  # of what pytest itself keeps
    logging.getLogger().setLevel(logging.DEBUG)
    logging.getLogger().addHandler(_Handler())
    _wrap(patch, AgoraAnalyticsError, "__init__", _look_at_our_error)
    _wrap(patch, pytest.ExceptionInfo, "fill_unfilled", lambda info, _: _look_at_exception(info.value))
    _wrap(patch, pytest.CaptureFixture, "readouterr", _look_at_output("the test"))
    _wrap(patch, warnings.WarningMessage, "__init__", lambda warning, _: look("a warning", warning.message))
    _wrap(patch, subprocess.Popen, "communicate", _look_at_output("a process"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.excinfo is not None and call.when == "call":
        _look_at_exception(call.excinfo.value)
    if call.when == "teardown":
        for title, text in report.sections:
            look(title, text)
        if _leaks:
            report.outcome = "failed"
            report.longrepr = f"it shows a secret: {', '.join(dict.fromkeys(_leaks))}"
            _leaks.clear()
    return report


def _holds_a_secret(path: Path) -> bool:
    with path.open("rb") as file:
        found = _SEEN_IN_FILES.search(file.read(MOST))
        if not found and path.stat().st_size > MOST:
            file.seek(max(MOST, path.stat().st_size - MOST))
            found = _SEEN_IN_FILES.search(file.read())
    return found is not None


def pytest_sessionfinish(session) -> None:
    if hasattr(session.config, "workerinput"):
        return  # of several processes the first one looks, at the files of them all
    base = session.config._tmp_path_factory.getbasetemp()
    files = (path for path in base.rglob("*") if path.is_file() and not path.is_symlink())
    session.config.stash[_FILES] = [str(path.relative_to(base)) for path in files if _holds_a_secret(path)]
    if session.config.stash[_FILES]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config) -> None:
    for name in config.stash.get(_FILES, []):
        terminalreporter.write_line(f"{name} holds a secret", red=True)


_FILES = pytest.StashKey[list[str]]()
