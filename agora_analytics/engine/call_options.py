"""The deadline and the longest wait of one call, which every request of the call stays within.

The options of the current call are a context variable, so that the tasks of a call have them too: each page of a listing,
and each nested query of a page.

Every client's module imports this one, so anyio is imported in the functions.
"""

import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import wraps
from inspect import CO_VARKEYWORDS, iscoroutinefunction, isfunction
from typing import Any, TypedDict, TypeVar, cast

from attrs import define, field

from agora_analytics.errors import DeadlineExceeded, InvalidRequest

T = TypeVar("T")

_LONGEST_SHOWN = 60  # characters of an argument in a repr


class CallOptions(TypedDict, total=False):
    """The keyword arguments of every method that sends requests.

    For a method that is awaited, both are for the whole call. For a listing, they are for each page, from when the client
    begins to fetch it, and for `user_events` and `channel_events`, for each batch. For `follow`, they are for each request.

    Attributes:
        deadline: seconds until the call raises `DeadlineExceeded`. They include opening the transport, waiting for the
            ledger's lock and for rate-limit slots, and all attempts, but not decoding. If the client learns
            earlier that the call cannot succeed in time, for instance from `Retry-After`, the call raises `RateLimited`,
            `QuotaExhausted` or `ServerError` at once. Default: `RetryPolicy.deadline` for each request. None: no deadline.
        max_wait: seconds that a request may wait until it can be sent. If its rate-limit slot would come later, the call
            raises `RateLimited` at once, before anything is charged. A listing then fetches one page at a time. Default
            and None: the deadline is the only limit.

    Example:
        rows = await client.statistics(call, deadline=5, max_wait=0.5)
    """

    deadline: float | None
    max_wait: float | None


@define
class CallLimits:
    """The limits of one call.

    Attributes:
        seconds: the deadline that the caller passed; None: it is the policy's, for each request, unless `unlimited`.
        unlimited: the caller passed `deadline=None`.
        ends_at: when the deadline is, on the clock of the event loop.
        max_wait: seconds that a request may wait for its turn.
        timeout: the timer of the request in progress, if these are its own limits.
        decoding: seconds that the decoding of responses took, which the deadline leaves out.
    """

    seconds: float | None = None
    unlimited: bool = False
    ends_at: float = math.inf
    max_wait: float | None = None
    timeout: Any = field(default=None, init=False)  # an `asyncio.Timeout`
    decoding: float = field(default=0.0, init=False)

    @property
    def has_deadline(self) -> bool:
        """Whether the caller passed `deadline=`."""
        return self.unlimited or self.seconds is not None

    def remaining(self, default: float | None) -> float | None:
        """Return the seconds until the deadline; `default` if the caller passed none, None if there is none."""
        if self.seconds is None:
            return None if self.unlimited else default
        import anyio

        return self.ends_at - anyio.current_time()

    def extend(self, ends_at: float | None) -> None:
        """Move the deadline of the caller, because a response was decoded."""
        if ends_at is not None and self.seconds is not None:
            self.ends_at = max(self.ends_at, ends_at)

    def loosen(self, other: "CallLimits", ends_at: float) -> None:
        """Take the later deadline of another caller, `ends_at` on the clock of the event loop."""
        self.seconds, self.unlimited, self.ends_at = other.seconds, other.unlimited, other.ends_at
        if self.timeout is not None and not self.timeout.expired():
            self.timeout.reschedule(None if ends_at == math.inf else ends_at)

    @asynccontextmanager
    async def enforced(self, endpoint: str, activity: str) -> AsyncIterator[None]:
        """Raise `DeadlineExceeded` if the deadline passes while something else than a request is waited for."""
        import anyio

        with anyio.move_on_after(self.remaining(None)) as scope:
            yield
        if scope.cancelled_caught:
            raise DeadlineExceeded(f"timed out after {self.seconds:g} s while {activity}", endpoint=endpoint)


_current: ContextVar[CallLimits | None] = ContextVar("call_limits", default=None)


def current_limits() -> CallLimits:
    """Return the limits of the current call."""
    return _current.get() or CallLimits()


@contextmanager
def limited_by(limits: CallLimits) -> Iterator[None]:
    """Apply limits to the requests in the block."""
    token = _current.set(limits)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def call_limits(options: CallOptions) -> Iterator[CallLimits]:
    """Apply the options of a call to the requests in the block. Without options, those of the outer call apply.

    Raises:
        InvalidRequest: a deadline that is not above zero, or a wait below zero.
    """
    if not options:
        yield current_limits()
        return
    import anyio

    seconds = checked_options(options).get("deadline")
    limits = CallLimits(
        seconds=seconds,
        unlimited="deadline" in options and seconds is None,
        ends_at=math.inf if seconds is None else anyio.current_time() + seconds,
        max_wait=options.get("max_wait"),
    )
    with limited_by(limits):
        yield limits


def takes_call_options(group: type[T]) -> type[T]:
    """Apply the `CallOptions` of the public methods of a class to their requests.

    A method declares them as `**options: Unpack[CallOptions]`, for type checkers, and need not read them if it is awaited
    or returns `Pages`.
    """
    for name, method in list(vars(group).items()):
        if isfunction(method) and not name.startswith("_") and method.__code__.co_flags & CO_VARKEYWORDS:
            setattr(group, name, _with_options(method))
    return group


def _with_options(method: Callable[..., Any]) -> Callable[..., Any]:
    code = method.__code__
    own = frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])

    def options_of(keywords: dict[str, Any]) -> CallOptions:
        options = {name: value for name, value in keywords.items() if name not in own}
        if unknown := options.keys() - CallOptions.__annotations__.keys():
            raise TypeError(f"{method.__qualname__}() got an unexpected keyword argument {min(unknown)!r}")
        return cast("CallOptions", options)

    @wraps(method)
    async def awaited(*args: Any, **keywords: Any) -> Any:
        with call_limits(options_of(keywords)):
            return await method(*args, **keywords)

    @wraps(method)
    def listing(*args: Any, **keywords: Any) -> Any:
        options = options_of(keywords)
        result = method(*args, **keywords)
        limited: Callable[[CallOptions], Any] | None = getattr(result, "_limited", None)
        result = limited(options) if limited else result
        named: Callable[[str], Any] | None = getattr(result, "_named", None)
        return named(_question(method, args, keywords)) if named else result

    return awaited if iscoroutinefunction(method) else listing


def _question(method: Callable[..., Any], args: Sequence[Any], keywords: Mapping[str, Any]) -> str:
    """Return the call of a method as a reader would write it, such as `calls('6h', until='now')`."""
    shown = [*map(_short, args[1:]), *(f"{name}={_short(value)}" for name, value in keywords.items())]
    return f"{method.__name__}({', '.join(shown)})"


def _short(value: Any) -> str:
    text = value.call_id if hasattr(value, "call_id") else value
    text = repr(text)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def checked_options(options: CallOptions) -> CallOptions:
    """Return the options of a call.

    Raises:
        InvalidRequest: a deadline that is not above zero, or a wait below zero.
    """
    deadline, max_wait = options.get("deadline"), options.get("max_wait")
    if deadline is not None and not deadline > 0:
        raise InvalidRequest(f"deadline={deadline} leaves no time; pass more than 0 seconds")
    if max_wait is not None and not max_wait >= 0:
        raise InvalidRequest(f"max_wait={max_wait} is not a number of seconds; pass 0 or more")
    return options
