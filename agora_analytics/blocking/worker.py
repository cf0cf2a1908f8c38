"""The thread of a blocking client: one event loop, to which any thread submits coroutines."""

import asyncio
import os
import sys
import threading
import warnings
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakSet

import anyio

T = TypeVar("T")

_CANCEL_TIMEOUT = 5.0  # seconds that an interrupted caller waits for its cancelled coroutine
# Seconds that `close` waits for the thread in the main thread, which runs the signal handlers.
_CLOSE_TIMEOUT = 10.0
_CLOSED_MEANWHILE = "the client was closed while a call was in progress"
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
        self._creating = threading.RLock()
        self._inside: set[int] = set()  # the threads that are in `run` or `close`
        self._client: A | None = make()
        self._thread: _LoopThread | None = _LoopThread(self._client)
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
            with self._busy():
                try:
                    self._running_thread().submit(submission)
                    submission.wait()
                except BaseException:
                    submission.abandon()
                    raise
        finally:
            if self._closed:  # perhaps by a signal handler, which did not wait
                self.close()
        return submission.result()

    def drop(self, items: AsyncIterator[Any]) -> None:
        """Close an iterator that is left early, without waiting, because the garbage collector may call this."""
        if self._thread is not None:
            self._thread.drop(items)

    def close(self) -> None:
        """Cancel running calls, close the client, and end the thread. A second call does nothing.

        A signal handler may call this at any time. If it has interrupted a call or a close in its thread, it does not
        wait: the interrupted code may hold a lock that the thread needs. That code waits when it continues.
        """
        self._closed = True
        thread = self._thread
        if thread is None:
            return
        thread.stop()
        if threading.get_ident() not in self._inside:
            with self._busy():
                thread.start()  # the client may have opened files although it was never used
                thread.join()

    def forked(self) -> None:
        """Drop what belongs to the parent process: its thread does not exist here, and its loop must not be used."""
        self._creating = threading.RLock()
        self._inside = set()
        self._thread = self._client = None

    def __del__(self) -> None:
        thread: _LoopThread | None = getattr(self, "_thread", None)
        if thread is not None and thread.was_started:
            if not self._closed:
                with suppress(Exception):  # at exit the warnings module may be gone
                    name = repr(self._client).removeprefix("Async")
                    warnings.warn(
                        f"unclosed {name}; use `with`, or call close()",
                        ResourceWarning,
                        stacklevel=2,
                        source=self,
                    )
            thread.stop()

    @contextmanager
    def _busy(self) -> Iterator[None]:
        me = threading.get_ident()
        outermost = me not in self._inside  # otherwise this is a signal handler
        self._inside.add(me)
        try:
            yield
        finally:
            if outermost:
                self._inside.discard(me)

    def _running_thread(self) -> "_LoopThread":
        thread = self._thread
        if self._closed:
            raise RuntimeError("the client is closed; create a new one")
        if thread is None or thread.failed:
            with self._creating:
                thread = self._thread
                if thread is None or thread.failed:
                    thread = self._thread = _LoopThread(self.client)
        thread.start()  # stored before it starts, so that an interruption does not lose it
        if self._closed:  # since the check above
            thread.stop()
        return thread


class _LoopThread:
    """A thread with an event loop, to which other threads submit coroutines.

    The portal of `anyio.from_thread` takes locks to submit and to stop. A signal handler must not wait for a lock, because
    the code that it interrupts may hold it. Here only `join` waits. The thread is a daemon, so that it never blocks an
    exit. If its start is interrupted, it can be started again or stopped at any time.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._claim = threading.Lock()
        self._ended = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        self._stopped = asyncio.Event()
        self._over = False
        self._error: BaseException | None = None
        self._submitted: deque[_Submission[Any]] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def was_started(self) -> bool:
        """Whether the thread runs, or has run."""
        return self._claim.locked()

    @property
    def failed(self) -> bool:
        """Whether the event loop could not be created."""
        return self._over and self._loop is None

    def start(self) -> None:
        """Start the thread, unless one runs. After an interruption there may be two; one of them ends immediately."""
        if not self.was_started:
            # A new context, so that the client does not keep the context variables of the starting thread.
            threading.Thread(
                target=Context().run, args=(self._live,), name="agora-analytics", daemon=True
            ).start()

    def submit(self, submission: "_Submission[Any]") -> None:
        """Run a coroutine in the thread, as soon as it has started. If it has ended, the submission fails."""
        if self._is_current:
            raise RuntimeError("a blocking call in the event loop thread of its client would never end")
        self._submitted.append(submission)
        self._soon(self._begin)
        if self._over:  # since then, so that the thread may have missed the submission
            self._begin()

    def stop(self) -> None:
        """End the event loop, from any thread, without waiting."""
        self._stopping = True
        self._soon(self._stopped.set)

    def join(self) -> None:
        """Wait until the thread has ended; does nothing in the thread itself."""
        if self._is_current:
            return
        in_main = threading.current_thread() is threading.main_thread()
        # A signal handler may have interrupted code of another library that holds a lock, such as that of a log handler.
        if self._ended.wait(_CLOSE_TIMEOUT if in_main else None):
            self._thread.join(_CLOSE_TIMEOUT if in_main else None)

    def drop(self, items: AsyncIterator[Any]) -> None:
        """Close an iterator soon."""
        if (aclose := getattr(items, "aclose", None)) is None:
            return

        async def close() -> None:
            with suppress(Exception):
                await aclose()

        self._soon(lambda: self._keep(close()))

    @property
    def _is_current(self) -> bool:
        return getattr(self, "_thread", None) is threading.current_thread()

    def _soon(self, work: Callable[[], Any]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(work)

    def _begin(self) -> None:
        """Start what was submitted. Called in the thread, or after its end."""
        while True:
            try:
                submission = self._submitted.popleft()
            except IndexError:
                return
            if self._loop is None or self._stopping or self._over:
                submission.fail(self._error or RuntimeError(_CLOSED_MEANWHILE))
            else:
                self._keep(submission.run(self._loop), submission.context)

    def _live(self) -> None:
        if not self._claim.acquire(blocking=False):
            return
        self._thread = threading.current_thread()
        try:
            anyio.run(self._loop_until_stopped)
        except BaseException as error:
            if self._loop is not None:
                raise
            self._error = error  # the event loop could not be created
        finally:
            self._over = True
            self._begin()
            self._ended.set()

    async def _loop_until_stopped(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._begin()
        try:
            if not self._stopping:  # set before `stop` reads the loop, so that one of the two sees the other
                await self._stopped.wait()
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._client.aclose()

    def _keep(self, work: Coroutine[Any, Any, None], context: Context | None = None) -> None:
        assert self._loop is not None  # noqa: S101 - it runs
        task = self._loop.create_task(work, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Submission(Generic[T]):
    """A coroutine that its waiting caller can abandon at any time, even while it is being submitted.

    It runs in a copy of the context of its caller, so that it has the caller's context variables, such as a current span.
    """

    def __init__(self, function: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> None:
        self._function = function
        self._args = args
        self.context = copy_context()
        self._future: Future[T] = Future()
        self._scope: anyio.CancelScope | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._abandoned = False
        self._ended = threading.Event()

    async def run(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scope = anyio.CancelScope()
        self._loop = loop
        try:
            with self._scope:
                if self._abandoned:  # set before `abandon` reads the loop, so one of the two sees the other
                    self._scope.cancel()
                self._future.set_result(await self._function(*self._args))
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._future.set_exception(error)
            if not isinstance(error, Exception):
                raise
        finally:
            if not self._future.done():
                self.fail(RuntimeError(_CLOSED_MEANWHILE))
            self._ended.set()

    def fail(self, error: BaseException) -> None:
        """End without a result; the coroutine was never started, or it was cancelled."""
        self._future.set_exception(error)

    def wait(self) -> None:
        """Wait until the coroutine has ended."""
        while wait((self._future,), _WAKE_EVERY).not_done:
            pass

    def result(self) -> T:
        """Return what the coroutine returned, or raise what it raised."""
        return self._future.result()

    def abandon(self) -> None:
        """Cancel the coroutine, and wait a little for its end."""
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
