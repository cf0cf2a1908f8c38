"""A process that has imported the command line and its libraries, and forks to run each command.

A new interpreter needs 0.5 to 1 s of CPU time for these imports. A forked command is still a process of its own, with its
own arguments, environment, folder and pipes; it runs `python -m agora_analytics`, and its interpreter is finalized at the end.

`python -m tests.cli.fork_server FD` ends when the other end of the socket FD is closed. For each message with a command
and the files of its stdin, stdout, stderr and status, it writes the process id and later the exit code to the status.
"""

import gc
import json
import os
import runpy
import selectors
import socket
import sys
import warnings
from contextlib import suppress
from importlib import import_module

IMPORTED = (
    "agora_analytics.apsaravideo",
    "agora_analytics.cli.app",
    "agora_analytics.cli.harvest_summary",
    "agora_analytics.cli.live_progress",
    "agora_analytics.harvest",
    "agora_analytics.insight.scores",
    "agora_analytics.opentok",
    "agora_analytics.store.stream",
    "anyio.to_thread",
    "duckdb",
    "encodings.idna",
    "httpcore",  # by httpx
    "httpx",
    "pandas",  # by pyarrow, where it is installed
    "platformdirs.unix",
    "pyarrow.compute",
    "pyarrow.parquet",
    "pydantic.type_adapter",  # by typer
)
MOST = 128 << 10  # bytes of a message


def forked_command(server: socket.socket) -> tuple[dict, list[int]] | None:
    """Return the command and its files in each forked process; None in the server when it ends."""
    with selectors.DefaultSelector() as ready:
        ready.register(server, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is not server:
                    ready.unregister(key.fileobj)
                    _report_exit(key.fileobj, *key.data)
                    continue
                message, files, *_ = socket.recv_fds(server, MOST, 4)
                if not message:
                    return None
                *streams, status = files
                pid = _fork()
                if not pid:
                    return json.loads(message), streams
                os.write(status, str(pid).encode())
                ready.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, status))
                for file in streams:
                    os.close(file)


def _fork() -> int:
    with warnings.catch_warnings():
        # OpenBLAS starts threads at its import; it is prepared for a fork.
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*multi-threaded")
        return os.fork()


def _report_exit(process: int, pid: int, status: int) -> None:
    _, code = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):  # the test has ended
        os.write(status, str(os.waitstatus_to_exitcode(code)).encode())
    os.close(status)
    os.close(process)


def run(words: list[str], folder: str, environment: dict[str, str], streams: list[int]) -> None:
    """Run the command in this process, as `python -m agora_analytics` does, and end the process."""
    for standard, file in enumerate(streams):
        os.dup2(file, standard)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = words
    runpy.run_module("agora_analytics", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for module in IMPORTED:
        with suppress(ModuleNotFoundError):  # of an extra
            import_module(module)
    gc.collect()
    gc.freeze()  # otherwise each collection of a command would copy the memory of all these modules
    with socket.socket(fileno=int(sys.argv[1])) as server:
        forked = forked_command(server)
    if forked:
        run(**forked[0], streams=forked[1])
