"""Virtual time: a day of quota in milliseconds, for the tests of this library and for those of its users.

On a `VirtualLoop` nothing waits: when every task sleeps, the time of the loop jumps to the next timer.
`VirtualClock` is its clock. Functions for threads run inline, because threads take real time. A client with a clock of
its own counts its requests in memory. For clients in real time, set `AGORA_LEDGER=memory` in the tests, because the default
is a file that all programs of the user share.

Example:
    def test_a_day():
        clock = VirtualClock(start=1_795_000_000)
        simulator = Simulator(world, now=clock.now)

        async def job():
            transport = AsgiTransport(simulator.app)
            async with AsyncAgora(..., transport=transport, clock=clock) as client:
                return await client.calls("1d").collect()

        calls = run_virtual(job(), clock)
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualClock:
    """A clock that starts at `start` (UTC epoch seconds) and moves with the loop that runs.

    `step` sets the wall clock, as an operator would. `suspend` is a machine that sleeps.
    """

    def __init__(self, start: float) -> None:
        self._start = start
        self._passed = 0.0  # seconds before the loop, and in `suspend`
        self._loop: asyncio.AbstractEventLoop | None = None

    def now(self) -> float:
        """Return the wall-clock time in UTC epoch seconds."""
        return self._start + self.monotonic()

    def monotonic(self) -> float:
        """Return the seconds since the clock was created. `step` does not change it."""
        return self._passed + (self._loop.time() if self._loop else 0.0)

    def step(self, seconds: float) -> None:
        """Move the wall clock forward (or back, if negative). No time passes, so no rate-limit window ends."""
        self._start += seconds

    def suspend(self, seconds: float) -> None:
        """Let time pass in which the event loop does not run."""
        self._passed += seconds

    def follow(self, loop: asyncio.AbstractEventLoop) -> None:
        """Follow the time of a loop from now on."""
        self._passed = self.monotonic() - loop.time()
        self._loop = loop


_TURN = 1e-7  # seconds that an iteration of the loop takes: code that waits for 1e-17 s must see time pass


class _Jumping(selectors.SelectSelector):
    """A selector that adds a timeout to the time instead of waiting."""

    jumped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.jumped += _TURN
        ready = super().select(0)
        if ready or not timeout:
            return ready if timeout is not None or ready else super().select(None)
        self.jumped += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time starts at zero and jumps from timer to timer."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._jumping.jumped

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        """Run a function inline: a thread would take real time, which the virtual time does not include."""
        del executor
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed to whoever awaits it
            future.set_exception(error)
        return future


def run_virtual(work: Coroutine[Any, Any, T], clock: VirtualClock | None = None) -> T:
    """Run a coroutine on a new `VirtualLoop`, with the clock following it."""

    def make_loop() -> VirtualLoop:
        loop = VirtualLoop()
        if clock is not None:
            clock.follow(loop)
        return loop

    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(work)
