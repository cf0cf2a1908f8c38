"""A command that the fork server runs, with what tests use of `subprocess.Popen`. Its streams are pipes of text."""

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.secret_watch import look

ROOT = Path(__file__).parents[2]
READ_AT_THE_START = ("PYTHON", "LANG", "LC_", "TZ")
"""How the variables begin that an interpreter reads when it starts. A command that changes one needs an interpreter of its own."""


@contextmanager
def start_server(environment):
    """Start a server with the variables that commands have in common; give the socket to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # Pipes, because commands inherit its stream objects, and those of a file would seek.
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.cli.fork_server", str(theirs.fileno())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=environment,
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    with ours:
        yield ours
    _, errors = server.communicate()
    assert server.returncode == 0, errors.decode()


class ForkedCommand:
    def __init__(self, server, words, folder, environment):
        self.args = ["agora-analytics", *words]
        self.returncode = None
        files = [os.pipe() for _ in range(3)]
        (to_read, stdin), (stdout, to_write), (stderr, to_report) = files
        self.stdin = os.fdopen(stdin, "w", encoding="utf-8")
        self.stdout, self.stderr = (os.fdopen(file, encoding="utf-8") for file in (stdout, stderr))
        self._status, status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = {"words": words, "folder": str(folder), "environment": environment}
        with status:
            theirs = [to_read, to_write, to_report, status.fileno()]
            socket.send_fds(server, [json.dumps(command).encode()], theirs)
        for file in theirs[:3]:
            os.close(file)
        self.pid = int(self._status.recv(16))

    def wait(self, timeout=None):
        if self.returncode is None:
            self._status.settimeout(timeout)
            try:
                self.returncode = int(self._status.recv(16))
            except TimeoutError:
                raise subprocess.TimeoutExpired(self.args, timeout) from None
            self._status.close()
        return self.returncode

    def poll(self):
        with suppress(subprocess.TimeoutExpired):
            self.wait(1e-6)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def communicate(self, input=None, timeout=None):  # noqa: A002 - the name in subprocess
        with ThreadPoolExecutor(3) as threads:
            threads.submit(self._write, input)
            reading = [threads.submit(_read, stream) for stream in (self.stdout, self.stderr)]
            self.wait(timeout)
        out, err = (each.result() for each in reading)
        for text in (out, err):
            look("the output of a process", text)
        return out, err

    def _write(self, text):
        with suppress(BrokenPipeError), self.stdin:
            if text and not self.stdin.closed:
                self.stdin.write(text)


def _read(stream):
    if stream is None or stream.closed:
        return ""
    with stream:
        return stream.read()
