"""Methods that compute each of their results once."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar


class Remembers(Protocol):
    """An object with a place for the results of its methods."""

    results: dict[tuple[Any, ...], Any]


_Self = TypeVar("_Self", bound=Remembers)
_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")


def remembered(
    method: Callable[Concatenate[_Self, _Args], _Result],
) -> Callable[Concatenate[_Self, _Args], _Result]:
    """Return a method that computes its result once for each combination of positional arguments, for one object."""

    @wraps(method)
    def once(self: _Self, /, *args: _Args.args, **kwargs: _Args.kwargs) -> _Result:
        key = (method.__name__, *args)
        if key not in self.results:
            self.results[key] = method(self, *args, **kwargs)
        result: _Result = self.results[key]
        return result

    return once
