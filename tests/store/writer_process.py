"""A harvest in a separate process, for tests that kill it: `writer_process.py DIR FIRST LAST [KILL_AT]`.

With KILL_AT it sends itself SIGKILL: before rename number KILL_AT / 2 if KILL_AT is even, after it if odd.
With `compact` in place of FIRST, it compacts the days before LAST.
"""

import os
import signal
import sys
from pathlib import Path

from sample_calls import store_call

from agora_analytics.store import atomic_exchange, open_store


def killed_at(moment: int) -> None:
    count = 0

    def counting(real):
        def step(*arguments):
            nonlocal count
            if count == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*arguments)  # a rename that fails because the folder is missing is not counted
            count += 1
            if count == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
            return result

        return step

    Path.replace = counting(Path.replace)
    atomic_exchange.exchange = counting(atomic_exchange.exchange)


def main(folder: str, first: str, last: str, moment: str = "-1") -> None:
    store = open_store(folder, create=True)
    killed_at(int(moment))
    if first == "compact":
        sys.stdout.write(f"{store.writer.compact(closed_before=last)}\n")
        return
    for number in range(int(first), int(last)):
        store_call(store, f"call{number:05d}")
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
