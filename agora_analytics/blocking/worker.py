"""The thread that a blocking client lives in: one event loop, entered from any thread through an anyio portal."""

import asyncio
import os
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from contextvars import Context
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakSet

import anyio
from anyio.from_thread import BlockingPortal

T = TypeVar("T")

_SETTLED_WITHIN = 5.0  # seconds that an interrupted caller waits for the cancelled coroutine to end
_WAKE_EVERY = 0.25 if sys.platform == "win32" else None  # Ctrl-C cannot end a wait on a lock there


class Closeable(Protocol):
    """What lives in the thread: an asyncio client."""

    async def aclose(self) -> None:
        """Close it."""
        ...


A = TypeVar("A", bound=Closeable)


class Worker(Generic[A]):
    """Owns an asyncio client and the thread that its coroutines run in.

    The thread starts with the first call and ends with `close`. A forked process gets a client and a thread of its
    own, because neither loops nor connections survive a fork.

    Args:
        make: makes the client; called again in a forked process.
        shared: what of the client a forked process must not use, such as `http_client`; "" if nothing.
    """

    def __init__(self, make: Callable[[], A], *, shared: str = "") -> None:
        self._make = make
        self._shared = shared
        self._closed = False
        self._thread: _PortalThread | None = None
        self._starting = threading.RLock()  # a signal handler may close in the thread that holds it
        self._client: A | None = make()
        _WORKERS.add(self)

    @property
    def client(self) -> A:
        """The asyncio client of this process.

        Raises:
            RuntimeError: it was made before a fork, and sends with something that two processes must not share.
        """
        if self._client is None:
            if self._shared:
                raise RuntimeError(
                    f"this client was made before a fork, and its {self._shared} belongs to the other process; "
                    "make the client in the worker"
                )
            self._client = self._make()
        return self._client

    def run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run a coroutine in the thread and return its result. What interrupts the caller cancels the coroutine.

        Raises:
            RuntimeError: the client is closed, or the caller is the thread itself.
        """
        errand = _Submission(function, args)
        try:
            future = self._portal().start_task_soon(errand.run)
            while wait((future,), _WAKE_EVERY).not_done:
                pass
        except BaseException:
            errand.give_up()
            raise
        try:
            return future.result()
        except CancelledError:
            raise RuntimeError("the client was closed while it was in use") from None

    def drop(self, items: AsyncIterator[Any]) -> None:
        """Let go of an iterator that is left early. Nothing waits: this may be called by the garbage collector."""
        if self._thread is not None:
            self._thread.drop(items)

    def close(self) -> None:
        """Cancel what runs, close the client, and end the thread. A second call does nothing."""
        with self._starting:
            if self._thread is None and not self._closed and self._client is not None:
                self._thread = _PortalThread(
                    self._client
                )  # it may have opened files, though it asked for nothing
            self._closed = True
            thread = self._thread
            if thread is not None:
                thread.start()
        if thread is not None:
            thread.stop()
            thread.join()
            self._thread = None  # only now: whoever is interrupted here may close it again

    def forked(self) -> None:
        """Forget what belongs to the parent process. Its thread does not exist here, and its loop must not be touched."""
        self._starting = threading.RLock()
        self._thread = self._client = None

    def __del__(self) -> None:
        if (thread := getattr(self, "_thread", None)) is not None:
            if not self._closed:
                with suppress(Exception):  # at the interpreter's end there may be nothing left to warn with
                    warnings.warn(f"unclosed {self._client!r}", ResourceWarning, stacklevel=2, source=self)
            thread.stop()

    def _portal(self) -> BlockingPortal:
        with self._starting:
            if self._closed:
                raise RuntimeError("the client is closed; make a new one")
            thread = self._thread
            if thread is None or thread.failed:
                thread = self._thread = _PortalThread(self.client)
            thread.start()  # it is ours already, so that an interruption does not lose it
            if self._closed:  # by a signal handler, since it was looked at
                self.close()
                raise RuntimeError("the client was closed while it was in use")
            return thread.portal


class _PortalThread:
    """A thread with a loop, as `anyio.from_thread.start_blocking_portal` makes one.

    That one is a context manager, whose clean-up waits for the thread even where the garbage collector or the end of
    the interpreter runs it; this one can be told to stop without waiting. A daemon, so that nobody's exit hangs.
    What interrupts its start leaves it as it is: it can be started again, and told to stop, at any moment.
    """

    def __init__(self, client: Closeable) -> None:
        self._client = client
        self._started: Future[BlockingPortal] = Future()
        self._claim = threading.Lock()
        self._dropping: set[asyncio.Task[None]] = set()

    @property
    def portal(self) -> BlockingPortal:
        """What hands coroutines over to the thread, as soon as it is there."""
        return self._started.result()

    @property
    def failed(self) -> bool:
        """Whether no loop could be made."""
        return self._started.done() and self._started.exception() is not None

    def start(self) -> None:
        """Start the thread, unless one runs. Where an interruption leaves that unsure there are two, and one ends at once."""
        if not self._claim.locked():
            # A context of its own: what the starting thread has set there is not the client's for life.
            threading.Thread(
                target=Context().run, args=(self._live,), name="agora-analytics", daemon=True
            ).start()

    def stop(self) -> None:
        """Tell the loop to end; from any thread, without waiting."""
        self._soon(lambda portal: portal.stop(cancel_remaining=True))

    def join(self) -> None:
        """Wait until the thread has ended, once it was started; the thread itself does not wait."""
        wait((self._started,))
        if self._thread is not threading.current_thread():
            self._thread.join()

    def drop(self, items: AsyncIterator[Any]) -> None:
        """Close an iterator soon."""
        if (aclose := getattr(items, "aclose", None)) is None:
            return

        async def close() -> None:
            with suppress(Exception):
                await aclose()

        self._soon(lambda _: close())

    def _soon(self, work: Callable[[BlockingPortal], Coroutine[Any, Any, None]]) -> None:
        def hand_over(started: Future[BlockingPortal]) -> None:
            if started.exception() is None:
                with suppress(RuntimeError):  # the loop is closed already
                    self._loop.call_soon_threadsafe(lambda: self._keep(work(started.result())))

        self._started.add_done_callback(hand_over)

    def _live(self) -> None:
        if not self._claim.acquire(blocking=False):
            return
        self._thread = threading.current_thread()
        try:
            anyio.run(self._loop_until_stopped)
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)  # no loop could be made: who waits for it must know

    async def _loop_until_stopped(self) -> None:
        try:
            async with BlockingPortal() as portal:
                self._loop = asyncio.get_running_loop()
                self._started.set_result(portal)
                await portal.sleep_until_stopped()
        finally:
            await self._client.aclose()

    def _keep(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)


class _Submission(Generic[T]):
    """A coroutine that the thread which waits for it can give up at any moment, even while it is being handed over."""

    def __init__(self, function: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> None:
        self._function = function
        self._args = args
        self._scope: anyio.CancelScope | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._given_up = False
        self._ended = threading.Event()

    async def run(self) -> T:
        self._scope = anyio.CancelScope()
        self._loop = asyncio.get_running_loop()
        try:
            with self._scope:
                if self._given_up:  # set before the loop is looked at there, so one of the two sees the other
                    self._scope.cancel()
                return await self._function(*self._args)
            raise asyncio.CancelledError
        finally:
            self._ended.set()

    def give_up(self) -> None:
        self._given_up = True
        if self._scope is not None and self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._scope.cancel)
            self._ended.wait(_SETTLED_WITHIN)


_WORKERS: "WeakSet[Worker[Any]]" = WeakSet()


def _forked() -> None:
    for worker in list(_WORKERS):
        worker.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
