"""Connections to DuckDB in memory: times in UTC, no extensions, and a private folder for temporary files."""

import atexit
import os
import secrets
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import duckdb

from agora_analytics.store.sql_guard import quoted


def connect() -> duckdb.DuckDBPyConnection:
    """Return a connection with times in UTC that loads no extensions."""
    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def spill_outside_of_store(connection: duckdb.DuckDBPyConnection) -> None:
    """Let a connection write its temporary files to a private folder; DuckDB's default is the working directory."""
    connection.execute(f"SET temp_directory = {quoted(_temporary_folder())}")


def _temporary_folder() -> str:
    """Return a new path for the temporary files of a connection. DuckDB creates the folder, and deletes it at the end."""
    folder = _private_folder(os.getpid())
    if not folder.is_dir():  # such as after a cleaner of old files
        _private_folder.cache_clear()
        folder = _private_folder(os.getpid())
    return str(folder / secrets.token_hex(8))


@cache
def _private_folder(process: int) -> Path:
    """Create a folder that only this user can read, and delete it when the process ends."""
    folder = Path(mkdtemp(prefix="agora-analytics-"))

    def delete() -> None:
        if os.getpid() == process:  # not in a fork
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(delete)
    return folder
