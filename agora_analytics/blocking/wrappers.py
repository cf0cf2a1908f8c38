"""How a blocking method is made from an asynchronous one: `calls = listing(AsyncAgora.calls)`.

Type checkers see the parameters of the original with the result that blocking code gets; at run time the signature
and the docstring say the same. So no signature stands in two places.
"""

import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, get_args

from agora_analytics.blocking.pages import Pages, iterate
from agora_analytics.blocking.worker import Closeable, Worker
from agora_analytics.engine.pages import Page
from agora_analytics.engine.pages import Pages as AsyncPages

P = ParamSpec("P")
T = TypeVar("T")
Q = TypeVar("Q", bound=Page[Any])
B = TypeVar("B")
A_co = TypeVar("A_co", bound=Closeable, covariant=True)
C = TypeVar("C", bound=Callable[..., Any])


class HasWorker(Protocol):
    """What the methods need of the object they are on: the thread, and the asynchronous object behind it."""

    @property
    def _worker(self) -> Worker[Any]: ...

    @property
    def _subject(self) -> Any: ...


class Blocking(Generic[A_co]):
    """The base of the blocking clients: makes the asynchronous one, and is a context manager."""

    def __init__(self, client: Callable[..., A_co], *args: Any, **settings: Any) -> None:
        brought = [name for name in ("http_client", "transport") if settings.get(name) is not None]
        self._worker: Worker[A_co] = Worker(lambda: client(*args, **settings), shared=" and ".join(brought))

    @classmethod
    def _made_by(cls, client: Callable[..., A_co], *args: Any, **settings: Any) -> Self:
        """Return a blocking client of what another constructor of the asynchronous one makes."""
        made = cls.__new__(cls)
        Blocking.__init__(made, client, *args, **settings)
        return made

    @property
    def _subject(self) -> A_co:
        return self._worker.client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, service: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Run a service that is built on the asynchronous client."""
        return self._worker.run(lambda: service(self._subject, *args, **kwargs))

    def close(self) -> None:
        """Cancel the requests in progress, and close what the client opened itself."""
        self._worker.close()

    def __repr__(self) -> str:
        return in_blocking_words(repr(self._subject))


class BlockingPart:
    """A group of methods of a blocking client: what `client.<name>` is."""

    def __init__(self, client: Blocking[Any], name: str) -> None:
        self._worker = client._worker  # noqa: SLF001 - a part of it
        self._name = name

    @property
    def _subject(self) -> Any:
        return getattr(self._worker.client, self._name)


def listing(
    method: Callable[Concatenate[Any, P], AsyncPages[T, Q]],
) -> Callable[Concatenate[Any, P], Pages[T, Q]]:
    """Return the blocking twin of a method that returns `Pages`."""

    def twin(self: HasWorker, *args: P.args, **kwargs: P.kwargs) -> Pages[T, Q]:
        return Pages(self._worker, _bound(self, method)(*args, **kwargs))

    return copy_signature(twin, method, lambda result: Pages[get_args(result)])  # type: ignore[misc]


def wrapped(
    method: Callable[Concatenate[Any, P], T], kind: Callable[[Worker[Any], T], B]
) -> Callable[Concatenate[Any, P], B]:
    """Return the blocking twin of a method whose result has a blocking twin of its own, the class `kind`."""

    def twin(self: HasWorker, *args: P.args, **kwargs: P.kwargs) -> B:
        return kind(self._worker, _bound(self, method)(*args, **kwargs))

    return copy_signature(twin, method, lambda _: kind)


def stream(
    method: Callable[Concatenate[Any, P], AsyncIterator[T]],
) -> Callable[Concatenate[Any, P], Iterator[T]]:
    """Return the blocking twin of a method that is an asynchronous iterator."""

    def twin(self: HasWorker, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return iterate(self._worker, _bound(self, method)(*args, **kwargs))

    return copy_signature(twin, method, lambda result: Iterator[_argument(result)])  # type: ignore[misc]


def awaited(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], T]:
    """Return the blocking twin of a coroutine method."""

    def twin(self: HasWorker, *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = self._worker.run(lambda: _bound(self, method)(*args, **kwargs))
        return result

    return copy_signature(twin, method)


def plain(method: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
    """Return the twin of a method that waits for nothing."""

    def twin(self: HasWorker, *args: P.args, **kwargs: P.kwargs) -> T:
        result: T = _bound(self, method)(*args, **kwargs)
        return result

    return copy_signature(twin, method)


def copy_init(
    client: Callable[P, Any],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Give an `__init__` the parameters of another class."""

    def dress(init: Callable[..., None]) -> Callable[Concatenate[Any, P], None]:
        return copy_signature(init, getattr(client, "__init__"))  # noqa: B009 - mypy: unsound on an instance

    return dress


def copy_constructor(
    constructor: Callable[P, Any],
) -> Callable[[Callable[..., T]], Callable[Concatenate[Any, P], T]]:
    """Give a classmethod the parameters and the docstring of another, such as `from_env`."""

    def dress(function: Callable[..., T]) -> Callable[Concatenate[Any, P], T]:
        original, own = inspect.signature(constructor), inspect.signature(function)
        first = next(iter(own.parameters.values()))
        parameters = [first, *original.parameters.values()]
        function.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        return copy_docstring(constructor)(function)

    return dress


def copy_docstring(original: Callable[..., Any]) -> Callable[[C], C]:
    """Give a function the docstring of another, said in blocking words."""

    def dress(function: C) -> C:
        function.__doc__ = in_blocking_words(inspect.getdoc(original) or "")
        return function

    return dress


def in_blocking_words(text: str) -> str:
    """Return a text about the asynchronous client as it reads for the blocking one.

    Example:
        >>> in_blocking_words("async with AsyncAgora.from_env() as client: await client.quota()")
        'with Agora.from_env() as client: client.quota()'
    """
    return re.sub(r"\basync (?=with|for)|\bawait |\bAsync(?=[A-Z])", "", text)


def _bound(self: HasWorker, method: Callable[..., Any]) -> Callable[..., Any]:
    # By its name, so that a subclass of the asynchronous client keeps its own methods.
    found: Callable[..., Any] = getattr(self._subject, method.__name__)
    return found


def _argument(result: Any) -> Any:
    return get_args(result)[0]


def copy_signature(
    twin: Callable[..., Any], original: Callable[..., Any], result: Callable[[Any], Any] = lambda same: same
) -> Callable[..., Any]:
    """Give a twin the name, the signature and the words of the original; `result` turns what it returns."""
    signature = inspect.signature(original)
    wraps(original)(twin)
    del twin.__wrapped__  # type: ignore[attr-defined]
    twin.__signature__ = signature.replace(return_annotation=result(signature.return_annotation))  # type: ignore[attr-defined]
    return copy_docstring(original)(twin)
