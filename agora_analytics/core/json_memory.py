"""Estimates the memory that a JSON text takes as Python objects: up to thirty times the size of the text."""

from agora_analytics.messages import FailureKind, TransportFailure

_LIST, _DICT, _MEMBER, _QUOTE = 56, 160, 24, 16  # bytes of memory for each "[", "{", "," and '"', measured
_STEP = 4 * 2**20  # bytes counted at once, so that other threads run in between
_DENSEST = 6
"""The most that the lists and objects of a metrics response take, in bytes for each byte of text. Points of 15 bytes,
such as `[1548670255,4],`, take 3.7."""


def refuse_expansion(text: bytes, limit: int, *, columnar: bool) -> TransportFailure | None:
    """Return a failure if a body would take more memory than `limit` when it is decoded.

    Args:
        text: the body.
        limit: in bytes.
        columnar: the body is decoded to columns, one piece after the other. It is refused only if it has more lists or
            objects than a metrics response of its size can have.
    """
    size = _LIST * _count(text, b"[") + _DICT * _count(text, b"{")
    if columnar:
        limit = max(limit, _DENSEST * len(text))
    else:
        size += _MEMBER * _count(text, b",") + _QUOTE * _count(text, b'"')
    if size <= limit:
        return None
    detail = f"decoding its {len(text):,} bytes would take about {size // 10**6:,} MB of memory"
    return TransportFailure(FailureKind.TOO_LARGE, detail)


def _count(text: bytes, sign: bytes) -> int:
    return sum(text.count(sign, start, start + _STEP) for start in range(0, len(text), _STEP))
