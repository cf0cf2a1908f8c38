"""Notes where a secret is seen: in log records, errors, URLs and files."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.secret_watch import FORMS, shows_a_secret

_IN_FILES = [form.encode() for form in FORMS]


class _Handler(logging.Handler):
    def __init__(self, seen: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._seen = seen

    def emit(self, record: logging.LogRecord) -> None:
        if shows_a_secret(f"{record.getMessage()} {record.exc_text} {record.args}"):
            self._seen.append(f"a log record of {record.name}")


@contextmanager
def watch_logs(seen: list[str]) -> Iterator[None]:
    """Note the log records of the package that show a secret, down to DEBUG."""
    logger, handler = logging.getLogger("agora_analytics"), _Handler(seen)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


def files_with_secrets(folder: Path) -> list[str]:
    """Return the files below a folder that contain a secret."""
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(form in path.read_bytes() for form in _IN_FILES)
    ]
