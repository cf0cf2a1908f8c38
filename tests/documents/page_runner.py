"""Executes the code blocks of a page in an empty folder, in the order in which a reader meets them."""

import contextlib
import io
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.documents.blocks import Block, blocks_of, shape, shows, steps_of

LONGEST = 90  # seconds for a command, or until a server prints what is shown
EXECUTED = {"python", "console"}
SKIPPED = {"skip", "tests"}
"""Directives of blocks that are not executed; `tests` marks the command in the README that runs the tests."""
OPTIONAL = {"aiohttp", "altair", "dlt", "fastapi", "opentelemetry", "pandas", "polars", "prometheus_client"}
"""Packages that the library does not need."""
_QUOTED = re.compile(r"""'[^']*'|"[^"$`]*\"""")
_SHELL = re.compile(r"[|&;<>$`*?~]|^\w+=")
_KEEP = "env -0 >&3"  # after a command, so that `export` counts for the next one


class Server:
    """A program that runs until it is stopped, in a process group of its own."""

    def __init__(self, command: str, folder: Path, environment: dict[str, str]) -> None:
        self.command = command
        self.lines: list[str] = []
        self._seen = 0
        self._ended = False
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            ["bash", "-c", f"exec env {command}"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, shown: tuple[str, ...]) -> None:
        """Wait until the lines have been printed, in this order, possibly with others between them."""
        for line in shown:
            if line.strip() not in ("", "..."):
                with self._changed:
                    self._changed.wait_for(lambda line=line: self._ended or self._find(line), LONGEST)
                    found = self._find(line)
                    self._seen = found or self._seen
                assert found, f"{self.command} did not print {line!r} but\n" + "\n".join(self.lines)

    def _find(self, line: str) -> int | None:
        """Return the number of lines up to the next one of the same shape; None without one."""
        following = range(self._seen, len(self.lines))
        return next((at + 1 for at in following if shape(self.lines[at]) == shape(line)), None)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal, wait until the program has ended and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(LONGEST)
        finally:
            self.kill()

    def kill(self) -> None:
        """End the program and its child processes in any case."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()


class PageRunner:
    """Runs a page.

    Args:
        folder: the working directory: empty, as that of a reader.
        environment: the environment variables; None: those of this process, in which Python blocks and
            commands of `agora-analytics` then run as well.
        ports: replaces the ports of the page by free ones.
    """

    def __init__(
        self, folder: Path, environment: dict[str, str] | None = None, ports: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.in_process = environment is None
        self.environment = dict(os.environ if environment is None else environment)
        self.ports = ports or {}
        self.servers: list[Server] = []
        self.executed = 0
        self._cells: list[str] = []
        self._shown: dict[int, tuple[str, ...]] = {}  # the output that is shown, by cell
        self._printed = ""

    def run(self, page: Path) -> None:
        """Run every block of a page. Skips the test if the page imports a package that is not installed."""
        for name in sorted(
            OPTIONAL & set(re.findall(r"^(?:from|import) (\w+)", page.read_text(), re.MULTILINE))
        ):
            pytest.importorskip(name)
        for block in blocks_of(page):
            try:
                if store := block.directives.get("needs"):
                    self._harvest(store)
                if not block.directives.keys() & SKIPPED:
                    self._run_block(block)
            except BaseException as error:
                error.add_note(f"in the block at {block}")
                raise
        if self._cells:
            self._run_notebook()
        while self.servers:
            server = self.servers.pop()
            assert server.stop() in {0, 130, -signal.SIGINT}, "\n".join(server.lines)

    def close(self) -> None:
        """Kill the servers that still run, after a failure."""
        while self.servers:
            self.servers.pop().kill()

    def _run_block(self, block: Block) -> None:
        shown = tuple(self._text(block).splitlines())
        directives = block.directives
        if name := directives.get("file"):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._text(block), encoding="utf-8")
        elif "cell" in directives:
            self.executed += 1
            self._cells.append(block.text)
        elif "output" in directives and self._cells:
            self._shown[len(self._cells) - 1] = shown
        elif "output" in directives:
            assert shows(shown, self._printed), self._printed
        elif word := directives.get("appears in"):
            self._server(word).wait_for(shown)
        elif word := directives.get("stop"):
            server = self._server(word)
            self.servers.remove(server)
            assert server.stop() == 0, "\n".join(server.lines)
            server.wait_for(shown)
        elif block.language == "python":
            self._run_python(block)
        elif block.language == "console":
            self._run_console(block)

    def _harvest(self, store: str) -> None:
        if not (self.folder / store).exists():
            code, output = run_in_process(["harvest", "--since", "6h", "--out", store])
            assert code == 0, output

    def _ported(self, text: str) -> str:
        return re.sub(r"\b(\d{4})\b", lambda port: self.ports.get(port[1], port[1]), text)

    def _text(self, block: Block) -> str:
        return self._ported(block.text)

    def _server(self, word: str) -> Server:
        return next(server for server in reversed(self.servers) if word in server.command)

    def _run_python(self, block: Block) -> None:
        self.executed += 1
        program = self.folder / "program.py"
        program.write_text(block.text, encoding="utf-8")
        if not self.in_process:
            code, self._printed = self._run_command("python program.py")
            assert code == 0, self._printed
        else:
            with captured() as output:
                runpy.run_path(str(program), run_name="__main__")
            self._printed = output.getvalue()
        program.unlink()

    def _run_notebook(self) -> None:
        nbformat = pytest.importorskip("nbformat")
        nbclient = pytest.importorskip("nbclient")
        pytest.importorskip("ipykernel")
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in self._cells])
        here = {"metadata": {"path": str(self.folder)}}
        client = nbclient.NotebookClient(notebook, timeout=LONGEST, kernel_name="python3", resources=here)
        client.execute(env=self.environment | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"})
        for cell, shown in self._shown.items():
            printed = notebook.cells[cell].outputs[-1].data["text/plain"]
            assert shows(shown, printed), printed

    def _run_console(self, block: Block) -> None:
        for step in steps_of(block):
            self.executed += 1
            command = self._ported(step.command)
            if "server" in block.directives:
                assert step.shown, f"{block} shows nothing to wait for"
                self.servers.append(Server(command, self.folder, self.environment))
                self.servers[-1].wait_for(tuple(self._ported(line) for line in step.shown))
                continue
            code, output = self._run_command(command)
            assert code == 0, f"{command}\nended with {code}:\n{output}"
            if step.shown:
                assert shows(step.shown, output), f"{command}\nprinted\n{output}"

    def _run_command(self, command: str) -> tuple[int, str]:
        if (
            self.in_process
            and command.startswith("agora-analytics ")
            and not _SHELL.search(_QUOTED.sub("", command))
        ):
            return run_in_process(shlex.split(command.replace("\\\n", " "), comments=True)[1:])
        reading, writing = os.pipe()
        kept: list[bytes] = []
        with os.fdopen(reading, "rb") as pipe:
            keeper = threading.Thread(target=lambda: kept.append(pipe.read()))
            keeper.start()
            try:
                done = subprocess.run(
                    ["bash", "-c", f"{command}\ncode=$?; {_redirected(writing)}; exit $code"],
                    cwd=self.folder,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    encoding="utf-8",
                    timeout=LONGEST,
                    pass_fds=(writing,),
                )
            finally:
                os.close(writing)
                keeper.join()
        pairs = (item.partition("=") for item in kept[0].decode().split("\0") if item)
        self.environment = {name: value for name, _, value in pairs}
        return done.returncode, done.stdout


def _redirected(descriptor: int) -> str:
    return _KEEP.replace("3", str(descriptor))


@contextlib.contextmanager
def captured():
    """Collect what is printed to stdout and stderr, as a stream that has an encoding."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    text = io.StringIO()
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        try:
            yield text
        finally:
            text.write(raw.getvalue().decode())


def run_in_process(words: list[str]) -> tuple[int, str]:
    """Run a command of `agora-analytics` in this process; return its exit code and its output."""
    from agora_analytics.cli.runner import run

    with captured() as output:
        code = run(words)
    return code, output.getvalue()


def commands_on_path(folder: Path) -> str:
    """Return a PATH on which `python`, `uvicorn` and `agora-analytics` are those of this interpreter."""
    folder.mkdir(exist_ok=True)
    for name, module in {
        "agora-analytics": "-m agora_analytics",
        "uvicorn": "-m uvicorn",
        "python": "",
    }.items():
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
