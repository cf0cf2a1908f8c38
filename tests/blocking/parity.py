"""What makes a blocking client the twin of an asynchronous one, read from instances, so that groups count too."""

import inspect
from collections.abc import AsyncIterator
from typing import Any, get_args, get_origin

from agora_analytics.blocking.wrappers import Pages, without_await
from agora_analytics.engine.pages import Pages as AsyncPages

OTHER_NAMES = {"aclose": "close"}
CONTEXT = {"__aenter__": "__enter__", "__aexit__": "__exit__"}


def public(thing: Any) -> set[str]:
    return {OTHER_NAMES.get(name, name) for name in dir(thing) if not name.startswith("_")}


def is_group(value: Any) -> bool:
    """A group of methods, such as `client.insights`: an object of ours that has something to wait for."""
    kind = type(value)
    return kind.__module__.startswith("agora_analytics.") and any(
        waits(member) for _, member in inspect.getmembers(kind, inspect.isfunction)
    )


def waits(function: Any) -> bool:
    returned = get_origin(inspect.signature(function).return_annotation)
    return (
        inspect.iscoroutinefunction(function)
        or inspect.isasyncgenfunction(function)
        or (isinstance(returned, type) and issubclass(returned, AsyncPages | AsyncIterator))
    )


def differences(awaited: Any, blocking: Any, path: str = "") -> list[str]:
    """Return how two clients (or two groups of theirs) differ, one line each."""
    here = path or type(awaited).__name__
    found = [
        f"{here}.{name} has no twin: add it to {type(blocking).__name__}"
        for name in public(awaited) - public(blocking)
    ]
    found += [f"{here} has no {name}" for name in public(blocking) - public(awaited)]
    for name in sorted(public(awaited) & public(blocking)):
        original = next((old for old, new in OTHER_NAMES.items() if new == name), name)
        found += _member_differences(awaited, blocking, original, name, f"{here}.{original}")
    return found + _class_differences(type(awaited), type(blocking), here)


def _class_differences(awaited: type, blocking: type, here: str) -> list[str]:
    found = []
    if without_await(inspect.getdoc(awaited) or "") != inspect.getdoc(blocking):
        found.append(f"{here}: other words")
    if _shape(awaited.__init__) != _shape(blocking.__init__) and hasattr(awaited, "__aenter__"):
        found.append(f"{here}: other settings")
    return found


def _member_differences(awaited: Any, blocking: Any, original: str, name: str, here: str) -> list[str]:
    old, new = getattr(type(awaited), original, None), getattr(type(blocking), name, None)
    value = getattr(awaited, original)
    if is_group(value):
        return differences(value, getattr(blocking, name), here)
    if isinstance(old, property):
        return (
            []
            if without_await(inspect.getdoc(old) or "") == inspect.getdoc(new)
            else [f"{here}: other words"]
        )
    if not callable(value):
        return []
    found = []
    if _shape(value) != _shape(getattr(blocking, name)):
        found.append(f"{here}: other parameters")
    if without_await(inspect.getdoc(old) or "") != inspect.getdoc(new):
        found.append(f"{here}: other words")
    if waits(getattr(blocking, name)):
        found.append(f"{here}: its twin does not block")
    return found + _result_differences(value, getattr(blocking, name), here)


def _result_differences(method: Any, twin: Any, here: str) -> list[str]:
    old, new = (inspect.signature(one).return_annotation for one in (method, twin))
    if get_origin(old) is AsyncPages:
        wanted: Any = Pages[get_args(old)]
        return [] if new == wanted else [f"{here}: its twin does not return blocking pages"]
    if not hasattr(old, "__aiter__"):
        return []
    found = []
    if hasattr(new, "__aiter__") or not hasattr(new, "__iter__"):
        found.append(f"{here}: what its twin returns does not block")
    if public(old) - public(new):
        found.append(f"{here}: what its twin returns lacks names")
    return found


def _shape(function: Any) -> list[tuple[str, Any, Any, Any]]:
    return [
        (p.name, p.kind, p.default, p.annotation) for p in inspect.signature(function).parameters.values()
    ]
