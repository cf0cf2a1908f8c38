"""Decodes a metrics response to columns with the fastest installed reader.

There are three fast readers, best first: "simdjson" (extra `fast`), "arrow" (extra `arrow`) and "msgspec" (always
installed). A fast reader never reports an error. If it cannot read a body with certainty, the next reader tries, and
`json_reader` last. Only `json_reader` raises errors, so the result and the errors do not depend on the reader.

`decode.arrow_table.columns_table` converts the columns to an Arrow table.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module

from agora_analytics.core.columns import MetricColumns
from agora_analytics.decode import json_reader
from agora_analytics.decode.columns_builder import NeedsFallback

__all__ = ["available", "decode_metrics", "decode_with"]

Reader = Callable[[bytes], MetricColumns]
"""Reads a metrics response. Raises `NeedsFallback` if a slower reader must read it."""

_MODULES = {"simdjson": "simdjson_reader", "arrow": "arrow_reader", "msgspec": "msgspec_reader"}


@cache
def _reader(name: str) -> Reader | None:
    """Import a reader at its first use; None if its libraries are not installed."""
    try:
        read: Reader = import_module(f"{__name__}.{_MODULES[name]}").read
    except ImportError:
        return None
    return read


def available() -> tuple[str, ...]:
    """Return the names of the installed readers, best first, such as ("simdjson", "arrow", "msgspec")."""
    return tuple(name for name in _MODULES if _reader(name))


def decode_metrics(body: bytes) -> MetricColumns:
    """Decode a response of `/beta/analytics/call/metrics` (UTF-8 JSON) to columns.

    Raises:
        DecodeError: if the body is not JSON or not a metrics response; `path` is the place in the JSON.

    >>> body = b'{"metrics": [{"sid": "A", "data": [{"mid": 20001, "kvs": [[1548670255, 4]], "peer_uid": 0}]}]}'
    >>> columns = decode_metrics(body)
    >>> columns.mid, columns.ts.tolist(), columns.value.tolist()
    ((20001,), [1548670255], [4.0])
    """
    return _read_with_fallback(body, available())


def decode_with(name: str, body: bytes) -> MetricColumns:
    """Decode with one of the `available` readers, and with `json_reader` if that reader cannot read the body."""
    return _read_with_fallback(body, (name,))


def _read_with_fallback(body: bytes, names: tuple[str, ...]) -> MetricColumns:
    for name in names:
        if read := _reader(name):
            with suppress(NeedsFallback):
                return read(body)
    return json_reader.read(body)
