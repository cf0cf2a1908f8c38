"""A server that tests start: a process of its own, on a free port of loopback, with its data in a temporary folder."""

import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOST = "127.0.0.1"
KEEPER = Path(__file__).with_name("keep.py")
PORTS = range(20_000, 32_000)
"""Below the ports that systems give to outgoing connections, so that a stopped server gets its port again."""
PATIENCE = 60.0
_chance = (
    random.SystemRandom()
)  # tests seed the global generator, and processes side by side need other ports


class ServerError(RuntimeError):
    """A server ended, or was not ready in time. The message ends with its log."""


class Server:
    """Base class. A server ends with the process that started it, even if that is killed."""

    signal = "SIGKILL"
    """Stops the server."""
    user = ""
    """Runs the server as this user; empty: as the user of the tests."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"{type(self).__name__.lower()}-"))
        self.working_folder = self.folder
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Return the command that runs the server on `self.port`."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Return whether the server answers."""
        raise NotImplementedError

    def open(self) -> None:
        """Start the server for the first time, on a free port."""
        for _ in range(4):
            self.port = free_port()
            try:
                return self.start()
            except ServerError:  # another process may have taken the port
                self.stop()
        self.port = free_port()
        return self.start()

    def start(self) -> None:
        """Start the server and wait until it answers. After `stop`, it has the same port and data."""
        keeper = [sys.executable, "-I", "-S", str(KEEPER), self.signal, self.user]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*keeper, *self.command()],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.working_folder,
                start_new_session=True,  # Ctrl-C ends the tests first
            )
        deadline = time.monotonic() + PATIENCE
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"{self.command()[0]} is not ready:\n{self.log()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server at once and wait until it has ended."""
        if self._process is not None:
            self._process.communicate(timeout=PATIENCE)  # closes its standard input
            self._process = None

    @property
    def is_running(self) -> bool:
        """Whether the server was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """Stop the server and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """Return what the server has written to its standard output and error."""
        return self._log.read_text(errors="replace")

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    while True:
        port = _chance.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
