"""Derives a blocking client from an asynchronous one: `calls = listing(AsyncAgora.calls)`.

Type checkers see the parameters of the original with the blocking result, and so does `help()` at run time. No
signature is written twice.
"""

import inspect
import os
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from functools import wraps
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    NoReturn,
    ParamSpec,
    Protocol,
    Self,
    cast,
    get_args,
)

from typing_extensions import TypeVar

from agora_analytics.blocking.worker import AsyncClient, Worker
from agora_analytics.core.frames import Tabular
from agora_analytics.core.record_list import Records
from agora_analytics.engine.pages import Page
from agora_analytics.engine.pages import Pages as AsyncPages
from agora_analytics.kit.client import Client

if TYPE_CHECKING:
    import pyarrow as pa

P = ParamSpec("P")
T = TypeVar("T")
B = TypeVar("B")
PageT = TypeVar("PageT", default=Page[T], bound=Page[Any])
A_co = TypeVar("A_co", bound=AsyncClient, covariant=True)
C = TypeVar("C", bound=Callable[..., Any])

_END: Any = object()


class Pages(Tabular, Generic[T, PageT]):
    """A listing of records `T` in pages `P`: iterate over records, over pages, or collect everything.

    Creating a listing does nothing. When the iteration begins, the arguments are checked and the requests are planned,
    so a listing that is iterated twice is planned twice. Then up to `prefetch` pages are fetched at the same time and
    returned in order. Leaving the iteration early cancels the requests in progress.

    Example:
        for page in client.calls("6h", "now").pages():
            print(len(page.records), page.meta.host)
    """

    def __init__(self, worker: Worker[Any], listing: AsyncPages[T, PageT]) -> None:
        self._worker = worker
        self._listing = listing
        self._process = os.getpid()

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.records

    def pages(self) -> Iterator[PageT]:
        """Iterate over the pages in order."""
        self._check()
        return iterate(self._worker, self._listing.pages())

    def collect(self) -> Records[T]:
        """Return all records: a list that prints as a table and can become one, see `Records`."""
        self._check()
        return self._worker.run(self._listing.collect)

    def to_arrow(self) -> "pa.Table":
        """Return all records as one Arrow table, with the schema that the store uses for them.

        Raises:
            ConfigurationError: the extra `[arrow]` is not installed; no request was sent.
        """
        self._check()
        return self._worker.run(self._listing.to_arrow)

    def __repr__(self) -> str:
        return without_await(repr(self._listing).replace("or await", "or call"))

    def _check(self) -> None:
        if self._process != os.getpid():
            raise RuntimeError("this listing was created before a fork; create a new one in this process")


def iterate(worker: Worker[Any], items: AsyncIterator[T]) -> Iterator[T]:
    """Iterate over an asynchronous iterator, which runs only while the caller waits for the next item."""
    return _iterate(worker, items, process=os.getpid())


def _iterate(worker: Worker[Any], items: AsyncIterator[T], *, process: int) -> Iterator[T]:
    async def next_item() -> T:
        return await anext(items, _END)

    def run_next() -> T:
        if os.getpid() != process:  # its tasks belong to a loop that does not run in this process
            raise RuntimeError("this iteration was started before a fork; start a new one in this process")
        return worker.run(next_item)

    try:
        while (item := run_next()) is not _END:
            yield item
    finally:
        if os.getpid() == process:
            worker.drop(items)


def listing(
    method: Callable[Concatenate[Any, P], AsyncPages[T, PageT]],
) -> Callable[Concatenate[Any, P], Pages[T, PageT]]:
    """Return the blocking twin of a method that returns `Pages`."""
    return _twin(
        method,
        lambda worker, call: Pages(worker, call()),
        # A string, of a module with postponed annotations, already has the blocking class's name.
        lambda result: result if isinstance(result, str) else Pages[get_args(result)],  # type: ignore[misc]
    )


def wrapped(
    method: Callable[Concatenate[Any, P], T], kind: Callable[[Worker[Any], T], B]
) -> Callable[Concatenate[Any, P], B]:
    """Return the blocking twin of a method whose result has a blocking twin, the class `kind`."""
    return _twin(method, lambda worker, call: kind(worker, call()), lambda _: kind)


def stream(
    method: Callable[Concatenate[Any, P], AsyncIterator[T]],
) -> Callable[Concatenate[Any, P], Iterator[T]]:
    """Return the blocking twin of a method that is an asynchronous iterator."""
    return _twin(
        method,
        lambda worker, call: iterate(worker, call()),
        lambda result: Iterator[get_args(result)[0]],  # type: ignore[misc]
    )


def awaited(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], T]:
    """Return the blocking twin of a coroutine method."""
    return _twin(method, lambda worker, call: worker.run(call))


def plain(method: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
    """Return the twin of a method that does not wait."""
    return _twin(method, lambda _, call: call())


def _twin(
    method: Callable[..., Any],
    run: Callable[[Worker[Any], Callable[[], Any]], Any],
    result: Callable[[Any], Any] = lambda same: same,
) -> Callable[..., Any]:
    """Return a method that calls `method` through `run`; `result` maps the return annotation."""
    name = method.__name__

    def twin(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Looked up by name, so that a subclass of the asynchronous client may override it.
        return run(self._worker, lambda: getattr(self._subject, name)(*args, **kwargs))

    return copy_signature(twin, method, result)


class _Constructor(Protocol[P]):
    """A classmethod with the parameters `P` that returns an instance of the class that it is called on."""

    def __get__(self, instance: object, owner: type[B], /) -> Callable[P, B]: ...


def constructor(original: Callable[P, Any]) -> _Constructor[P]:
    """Return the twin of a classmethod that creates a client, such as `from_env`."""

    def twin(cls: type["Blocking[Any]"], *args: Any, **settings: Any) -> "Blocking[Any]":
        created = cls.__new__(cls)
        Blocking.__init__(created, original, *args, **settings)
        return created

    return cast("_Constructor[P]", classmethod(copy_signature(twin, original.__func__)))  # type: ignore[attr-defined]


def copy_init(
    client: Callable[P, Any],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Give an `__init__` the parameters of another class."""
    original = getattr(client, "__init__")  # noqa: B009 - mypy: unsound on an instance
    return lambda init: copy_signature(init, original)


def copy_signature(
    twin: Callable[..., Any], original: Callable[..., Any], result: Callable[[Any], Any] = lambda same: same
) -> Callable[..., Any]:
    """Give a twin the name, signature and docstring of the original; `result` maps the return annotation."""
    signature = inspect.signature(original)
    wraps(original)(twin)
    del twin.__wrapped__  # type: ignore[attr-defined]
    twin.__signature__ = signature.replace(return_annotation=result(signature.return_annotation))  # type: ignore[attr-defined]
    return copy_docstring(original)(twin)


def copy_docstring(original: Callable[..., Any]) -> Callable[[C], C]:
    """Give a function the docstring of another, without `async` and `await`."""

    def dress(function: C) -> C:
        function.__doc__ = without_await(inspect.getdoc(original) or "")
        return function

    return dress


def without_await(text: str) -> str:
    """Return the documentation of the asynchronous client rewritten for the blocking one.

    Example:
        >>> without_await("async with AsyncAgora.from_env() as client: await client.quota()")
        'with Agora.from_env() as client: client.quota()'
    """
    return re.sub(r"\basync (?=with|for)|\bawait |\bAsync(?=[A-Z])", "", text)


class Blocking(Generic[A_co]):
    """Base class of the blocking clients: creates the asynchronous client, and is a context manager."""

    def __init__(self, client: Callable[..., A_co], *args: Any, **settings: Any) -> None:
        passed = [name for name in ("http_client", "transport") if settings.get(name) is not None]
        self._worker: Worker[A_co] = Worker(lambda: client(*args, **settings), shared=" and ".join(passed))

    @property
    def _subject(self) -> A_co:
        return self._worker.client

    if not TYPE_CHECKING:  # type checkers report the use themselves

        async def __aenter__(self) -> NoReturn:
            name = type(self).__name__
            raise TypeError(f"use `with {name}...`, or Async{name} of agora_analytics")

        async def __aexit__(self, *_: object) -> None:
            """Never called, but `async with` looks it up first."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cancel the requests in progress, and close the engine and any ledger that the client opened."""
        self._worker.close()

    @property
    @copy_docstring(Client.sent)
    def sent(self) -> Mapping[str, int]:  # noqa: D102
        return self._subject.sent

    quota = awaited(Client.quota)

    def __repr__(self) -> str:
        return without_await(repr(self._subject))


class BlockingGroup:
    """A group of methods of a blocking client: `client.<name>`."""

    def __init__(self, client: Blocking[Any], name: str) -> None:
        self._worker = client._worker  # noqa: SLF001 - of the same package
        self._name = name

    @property
    def _subject(self) -> Any:
        return getattr(self._worker.client, self._name)
