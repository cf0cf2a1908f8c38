"""Workers of a fleet, each in a process of its own, and the supervisor that starts them again."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from attrs import define, field

from tests.fleet.harness import SECRETS

COMMAND = (sys.executable, "-m", "agora_analytics")
STARTED = "working on"
"""A worker prints this before it connects to the queue."""
RESTART = 1.0
"""Seconds until a supervisor starts a worker again."""


@define(eq=False)
class Machine:
    """One worker after the other, in processes with an environment of their own. Its log is one file.

    Attributes:
        environment: the variables of its processes.
        log_file: what they write to their standard error.
        options: of the command `worker`.
        exits: the exit codes of the processes that have ended, with the time of the wall clock.
    """

    environment: Mapping[str, str]
    log_file: Path
    options: Sequence[str] = ()
    exits: list[tuple[int, float]] = field(factory=list, init=False)
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def pid(self) -> int:
        """The id of the latest process; 0: there was none."""
        return 0 if self._process is None else self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether its process has not ended. A process that is stopped with SIGSTOP runs."""
        if self._process is None:
            return False
        code = self._process.poll()
        if code is None:
            return True
        self._process = None
        self.exits.append((code, time.time()))
        return False

    @property
    def log(self) -> str:
        """What its processes have written."""
        return self.log_file.read_text("utf-8", "replace") if self.log_file.exists() else ""

    def start(self) -> None:
        """Start a process."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*COMMAND, "worker", *self.options],
                env=dict(self.environment),
                cwd=self.log_file.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C ends the tests first
            )

    def send(self, number: int) -> float:
        """Send a signal to its process, and return the time of the wall clock."""
        assert self._process is not None
        self._process.send_signal(number)
        return time.time()

    def kill(self) -> float:
        """Kill its process, wait for its end, and return the time."""
        assert self._process is not None
        at = self.send(signal.SIGKILL)
        self._process.wait(30)
        return at

    def exit_code(self, timeout: float) -> int:
        """Wait for the end of its process and return the exit code."""
        assert self._process is not None
        self._process.wait(timeout)
        assert not self.is_running
        return self.exits[-1][0]

    def close(self) -> None:
        """Kill its process, if it runs."""
        if self.is_running:
            self.kill()


class Supervisor:
    """Starts the worker of each machine again when it has ended, as systemd does, during a `with` block."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self._machines = machines
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._supervise, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _supervise(self) -> None:
        while not self._ended.wait(0.1):
            for machine in self._machines:
                if not machine.is_running and (
                    not machine.exits or time.time() > machine.exits[-1][1] + RESTART
                ):
                    machine.start()


def environment(dsn: str, config: Path) -> dict[str, str]:
    """Return the variables of a worker: the queue, the file, the secrets, and nothing that names another service."""
    prefixes = ("AGORA_", "PG")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return kept | SECRETS | {"AGORA_QUEUE": dsn, "AGORA_CONFIG": str(config), "AGORA_LOG": "info"}
