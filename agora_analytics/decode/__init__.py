"""The metrics answer, decoded to columns by the fastest reader that is installed.

Three quick readers, best first: "simdjson" (the extra `fast`), "arrow" (the extra `arrow`) and "msgspec" (always there).
A quick reader never judges: what it cannot read with certainty goes to the next one, and at the end to
`careful`, which alone says that an answer is wrong. So every reader gives the same columns and the same errors.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module

from agora_analytics.core.columns import MetricColumns
from agora_analytics.decode import json_reader
from agora_analytics.decode.fallback import NeedsFallback

__all__ = ["available", "decode_metrics", "decode_with"]

Reader = Callable[[bytes], MetricColumns]

_MODULES = {"simdjson": "simdjson_reader", "arrow": "arrow_reader", "msgspec": "msgspec_reader"}


@cache
def _reader(name: str) -> Reader | None:
    """Import a reader, when it is asked for first; None if its libraries are not installed."""
    try:
        read: Reader = import_module(f"{__name__}.{_MODULES[name]}").read
    except ImportError:
        return None
    return read


def available() -> tuple[str, ...]:
    """Return the names of the readers that work here, best first, such as ("simdjson", "arrow", "msgspec")."""
    return tuple(name for name in _MODULES if _reader(name))


def decode_metrics(body: bytes) -> MetricColumns:
    """Decode the answer of `/beta/analytics/call/metrics`, given as UTF-8 JSON, to columns.

    Raises:
        DecodeError: if it is not JSON or not a metrics answer; `path` is where.

    >>> body = b'{"metrics": [{"sid": "A", "data": [{"mid": 20001, "kvs": [[1548670255, 4]], "peer_uid": 0}]}]}'
    >>> columns = decode_metrics(body)
    >>> columns.mid, columns.ts.tolist(), columns.value.tolist()
    ((20001,), [1548670255], [4.0])
    """
    return _first_sure(body, available())


def decode_with(name: str, body: bytes) -> MetricColumns:
    """Decode with one of the `available` readers, and the careful one where that is unsure."""
    return _first_sure(body, (name,))


def _first_sure(body: bytes, names: tuple[str, ...]) -> MetricColumns:
    for name in names:
        read = _reader(name)
        if read is not None:
            try:
                return read(body)
            except NeedsFallback:
                pass
    return json_reader.read(body)
