"""Chooses the ledger of a client: the user's file, which is the default, another file, a server, or memory."""

import os
from pathlib import Path

from agora_analytics.engine.ledger import Ledger, MemoryLedger
from agora_analytics.engine.sqlite_ledger import SqliteLedger
from agora_analytics.errors import ConfigurationError

LEDGER = "AGORA_LEDGER"
"""The environment variable that names the ledger."""
MEMORY = "memory"
"""The name of the ledger that counts the requests of this process only."""

_process_ledger = MemoryLedger()
_files: dict[tuple[Path, bool], SqliteLedger] = {}
_servers: dict[str, Ledger] = {}


def default_path() -> Path:
    """Return the file that all programs of a user share, in the platform's state folder."""
    import platformdirs

    return platformdirs.user_state_path("agora-analytics", appauthor=False) / "ledger.sqlite3"


def open_ledger(name: str | None = None) -> Ledger:
    """Return the ledger that a setting names. All clients of a process that name the same ledger share one object.

    The file or the connection is opened by the first request. If the default file cannot be written, its ledger counts in
    memory and warns once. A file that is named is used, or its first use is an error.

    Args:
        name: the path of a file, `postgresql://...`, `redis://...`, or `memory`; None: the environment variable
            `AGORA_LEDGER`, or else the default file.

    Raises:
        ConfigurationError: the name is of none of these, or the extra `[postgres]` or `[redis]` is not installed.

    Example:
        ledger = open_ledger("postgresql://ledger.internal/agora")
    """
    name = (name or os.environ.get(LEDGER, "")).strip()
    if name.lower() == MEMORY:
        return _process_ledger
    if "://" in name:
        if name not in _servers:
            _servers.setdefault(name, _on_a_server(name))
        return _servers[name]
    try:
        path = Path(name).expanduser().absolute() if name else default_path()
    except RuntimeError:
        raise ConfigurationError(f"the ledger {name} is in a home folder that is unknown") from None
    is_default = not name
    if (path, is_default) not in _files:
        _files.setdefault((path, is_default), SqliteLedger(path, is_default=is_default))
    return _files[path, is_default]


def _on_a_server(url: str) -> Ledger:
    scheme = url.partition("://")[0].lower()
    if scheme in ("postgresql", "postgres"):
        from agora_analytics.engine.network.postgres import PostgresLedger

        return PostgresLedger(url)
    if scheme in ("redis", "rediss", "unix"):
        from agora_analytics.engine.network.redis import RedisLedger

        return RedisLedger(url)
    raise ConfigurationError(
        f"{LEDGER} or ledger names a URL that is not postgresql:// or redis://; or use the path of a file, or {MEMORY!r}"
    )
