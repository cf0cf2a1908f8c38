"""Measuring on a machine that others use too: CPU time, ratios, candidates interleaved.

The CPU time of the process does not count what other processes do, and a ratio of two runs that followed each other
does not count how fast the machine was at that moment.
"""

import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from attrs import frozen


@frozen
class Spread:
    """The median of some figures, and their quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Spread":
        low, _, high = (
            statistics.quantiles(figures, n=4, method="inclusive") if len(figures) > 1 else figures * 3
        )
        return cls(statistics.median(figures), low, high)

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


def interleaved(
    candidates: Mapping[str, Callable[[], object]], *, repeats: int, loops: int = 1
) -> dict[str, list[float]]:
    """Run each candidate `repeats` times in turn; return its CPU seconds for one of `loops` runs, by repeat.

    What a candidate returns is freed within its time, and the garbage collector is as Python sets it.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for run in candidates.values():
        run()
    for _ in range(repeats):
        for name, run in candidates.items():
            gc.collect()
            start = time.process_time()
            for _ in range(loops):
                run()
            seconds[name].append((time.process_time() - start) / loops)
    return seconds


def faster(slow: Sequence[float], fast: Sequence[float]) -> Spread:
    """Return how many times faster `fast` was, repeat by repeat."""
    return Spread.of([a / b for a, b in zip(slow, fast, strict=True)])


def peak_memory(program: str, *arguments: str) -> int:
    """Run a Python program that prints its peak memory twice, before and after; return the bytes in between.

    It finds the function `peak()`, which gives the largest resident size so far in bytes.
    """
    # On Linux the figure of getrusage also remembers the process that started this one.
    peak = """
import resource, sys
def peak():
    if sys.platform == "linux":
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", peak + program, *arguments], capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split()[-2:])
    return after - before


_SERVER = """
import asyncio, sys
class Answer(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write(REPLY * data.count(b"\\r\\n\\r\\n"))
body = sys.stdin.buffer.read()
REPLY = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(body) + body
async def main():
    server = await asyncio.get_running_loop().create_server(Answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@contextmanager
def served(body: bytes) -> Iterator[str]:
    """Answer every request with a body, from a process of its own that is as bare as can be; yields its URL."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(body)
        server.stdin.close()
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, with rich if it is installed."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        print(f"\n{title}")
        for row in (header, *rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
