"""The thread of a blocking client: one event loop, entered from any thread through an anyio portal."""

import asyncio
import os
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from contextvars import Context
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakSet

import anyio
from anyio.from_thread import BlockingPortal

T = TypeVar("T")

_CANCEL_TIMEOUT = 5.0  # seconds that an interrupted caller waits for its cancelled coroutine
_WAKE_EVERY = 0.25 if sys.platform == "win32" else None  # Ctrl-C cannot interrupt a wait on a lock there


class AsyncClient(Protocol):
    """An asyncio client, which runs in the thread."""

    @property
    def sent(self) -> Mapping[str, int]: ...  # noqa: D102

    async def aclose(self) -> None: ...  # noqa: D102


A = TypeVar("A", bound=AsyncClient)


class Worker(Generic[A]):
    """Owns an asyncio client and the thread that its coroutines run in.

    The thread starts with the first call and ends with `close`. A forked process gets a client and a thread of its
    own, because neither loops nor connections survive a fork.

    Args:
        make: creates the client; called again in a forked process.
        shared: what a forked process must not use, such as `http_client`; "" if there is nothing.
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
            RuntimeError: it was created before a fork, and uses something that two processes must not share.
        """
        if self._client is None:
            if self._shared:
                raise RuntimeError(
                    f"this client was created before a fork, and its {self._shared} belongs to the other process; "
                    "create the client in the worker process"
                )
            self._client = self._make()
        return self._client

    def run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run a coroutine in the thread and return its result. An interruption of the caller cancels the coroutine.

        Raises:
            RuntimeError: the client is closed, or the caller is the thread itself.
        """
        submission = _Submission(function, args)
        try:
            future = self._portal().start_task_soon(submission.run)
            while wait((future,), _WAKE_EVERY).not_done:
                pass
        except BaseException:
            submission.abandon()
            raise
        try:
            return future.result()
        except CancelledError:
            raise RuntimeError("the client was closed while a call was in progress") from None

    def drop(self, items: AsyncIterator[Any]) -> None:
        """Close an iterator that is left early, without waiting, because the garbage collector may call this."""
        if self._thread is not None:
            self._thread.drop(items)

    def close(self) -> None:
        """Cancel running calls, close the client, and end the thread. A second call does nothing."""
        with self._starting:
            if self._thread is None and not self._closed and self._client is not None:
                # The client may have opened files although it was never used.
                self._thread = _PortalThread(self._client)
            self._closed = True
            thread = self._thread
            if thread is not None:
                thread.start()
        if thread is not None:
            thread.stop()
            thread.join()
            self._thread = None  # only now, so that an interrupted close can be repeated

    def forked(self) -> None:
        """Drop what belongs to the parent process: its thread does not exist here, and its loop must not be used."""
        self._starting = threading.RLock()
        self._thread = self._client = None

    def __del__(self) -> None:
        if (thread := getattr(self, "_thread", None)) is not None:
            if not self._closed:
                with suppress(Exception):  # at exit the warnings module may be gone
                    warnings.warn(f"unclosed {self._client!r}", ResourceWarning, stacklevel=2, source=self)
            thread.stop()

    def _portal(self) -> BlockingPortal:
        with self._starting:
            if self._closed:
                raise RuntimeError("the client is closed; create a new one")
            thread = self._thread
            if thread is None or thread.failed:
                thread = self._thread = _PortalThread(self.client)
            thread.start()  # stored before it starts, so that an interruption does not lose it
            if self._closed:  # by a signal handler, since the check above
                self.close()
                raise RuntimeError("the client was closed while a call was in progress")
            return thread.portal


class _PortalThread:
    """A thread with an event loop, like that of `anyio.from_thread.start_blocking_portal`.

    That one is a context manager whose exit waits for the thread, even if the garbage collector or the end of the
    interpreter calls it. This one can be stopped without waiting. It is a daemon, so that it never blocks an exit. If its
    start is interrupted, it can be started again or stopped at any time.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._started: Future[BlockingPortal] = Future()
        self._claim = threading.Lock()
        self._dropping: set[asyncio.Task[None]] = set()

    @property
    def portal(self) -> BlockingPortal:
        """The portal, which passes coroutines to the thread. Waits until the thread runs."""
        return self._started.result()

    @property
    def failed(self) -> bool:
        """Whether the event loop could not be created."""
        return self._started.done() and self._started.exception() is not None

    def start(self) -> None:
        """Start the thread, unless one runs. After an interruption there may be two; one of them ends immediately."""
        if not self._claim.locked():
            # A new context, so that the client does not keep the context variables of the starting thread.
            threading.Thread(
                target=Context().run, args=(self._live,), name="agora-analytics", daemon=True
            ).start()

    def stop(self) -> None:
        """End the event loop, from any thread, without waiting."""
        self._soon(lambda portal: portal.stop(cancel_remaining=True))

    def join(self) -> None:
        """Wait until the thread has ended; does nothing in the thread itself."""
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
        def run_soon(started: Future[BlockingPortal]) -> None:
            if started.exception() is None:
                with suppress(RuntimeError):  # the loop is closed already
                    self._loop.call_soon_threadsafe(lambda: self._keep(work(started.result())))

        self._started.add_done_callback(run_soon)

    def _live(self) -> None:
        if not self._claim.acquire(blocking=False):
            return
        self._thread = threading.current_thread()
        try:
            anyio.run(self._loop_until_stopped)
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)  # the event loop could not be created

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
    """A coroutine that its waiting caller can abandon at any time, even while it is being submitted."""

    def __init__(self, function: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> None:
        self._function = function
        self._args = args
        self._scope: anyio.CancelScope | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._abandoned = False
        self._ended = threading.Event()

    async def run(self) -> T:
        self._scope = anyio.CancelScope()
        self._loop = asyncio.get_running_loop()
        try:
            with self._scope:
                if self._abandoned:  # set before `abandon` reads the loop, so one of the two sees the other
                    self._scope.cancel()
                return await self._function(*self._args)
            raise asyncio.CancelledError
        finally:
            self._ended.set()

    def abandon(self) -> None:
        self._abandoned = True
        if self._scope is not None and self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._scope.cancel)
            self._ended.wait(_CANCEL_TIMEOUT)


_WORKERS: "WeakSet[Worker[Any]]" = WeakSet()


def _forked() -> None:
    for worker in list(_WORKERS):
        worker.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
