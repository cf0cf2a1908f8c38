"""Decompresses a response body as it arrives, within a limit on memory. All transports of this package use it.

Supported are `gzip`, `x-gzip` and `deflate`, nested too. `br` and `zstd` are not requested (`ACCEPT_ENCODING`).
"""

import asyncio
import io
import zlib
from collections.abc import Iterable, Iterator

from agora_analytics.messages import FailureKind, TransportFailure

ACCEPT_ENCODING = "gzip, deflate"
"""The value of the request header `accept-encoding`: what `BodyReader` decodes."""

_SUPPORTED = frozenset({"gzip", "x-gzip", "deflate"})
_MOST_CODINGS = 5  # as in urllib3: each costs up to the limit in CPU time
_INPUT = 2**16  # bytes that one step reads at most
_OUTPUT = 2**15  # bytes that one step returns at most: zlib allocates them at once, and copies nothing
_STEPS = 32  # steps without a turn of the event loop: about a millisecond
_JOINED = 2**22  # bytes of a body that are joined with a copy, which is faster than to extend a buffer
_GZIP_MAGIC = b"\x1f\x8b"


class BodyReader:
    """Collects the chunks of one body and decompresses them, without a second copy of the body.

    Args:
        content_encoding: the header's value; several codings are separated by commas.
        limit: bytes above which the body is refused, before and after each decompression.

    Raises:
        TransportFailure: the coding is not supported (`ENCODING`).

    Example:
        >>> reader = BodyReader("deflate", 1_000_000)
        >>> asyncio.run(reader.feed(zlib.compress(b"[]")))
        >>> reader.finish()
        b'[]'
    """

    def __init__(self, content_encoding: str, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._chunks: list[bytes] = []  # the last part of the body, or all of a small one
        self._waiting = 0
        self._body = io.BytesIO()  # returns its buffer without a copy, unlike a list of chunks or a bytearray
        self._steps = 0
        self._stages = _stages(content_encoding, limit) if content_encoding else []

    async def feed(self, chunk: bytes) -> None:
        """Add the next chunk. Lets the event loop run if much is decompressed.

        Raises:
            TransportFailure: the body is too large, or corrupt.
        """
        if not self._stages:
            self._append(chunk)
            return
        pieces: Iterable[bytes] = (chunk,)
        for stage in self._stages:
            pieces = stage.inflate(pieces)
        for plain in pieces:
            if plain:
                self._append(plain)
            self._steps += 1
            if self._steps % _STEPS == 0:
                await asyncio.sleep(0)

    def finish(self) -> bytes:
        """Return the body. Raises `TransportFailure` if the compressed body ends too early."""
        for stage in self._stages:
            stage.finish()
        if self._size == self._waiting:
            return b"".join(self._chunks)
        self._body.writelines(self._chunks)
        return self._body.getvalue()

    def _append(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._limit:
            raise _too_large(self._limit)
        self._chunks.append(chunk)
        self._waiting += len(chunk)
        if self._waiting >= _JOINED:
            self._body.writelines(self._chunks)
            self._chunks, self._waiting = [], 0


def _stages(content_encoding: str, limit: int) -> "list[_Inflater]":
    codings = [coding.strip().lower() for coding in content_encoding.split(",")]
    codings = [coding for coding in codings if coding not in {"", "identity"}]
    if unknown := [coding for coding in codings if coding not in _SUPPORTED]:
        raise TransportFailure(
            FailureKind.ENCODING, f"the body has the unsupported content encoding {unknown[0]!r}"
        )
    if len(codings) > _MOST_CODINGS:
        raise TransportFailure(
            FailureKind.ENCODING, f"the body has {len(codings)} content encodings; at most {_MOST_CODINGS}"
        )
    # The last one was applied last, so it is removed first.
    return [_Inflater(coding, limit) for coding in reversed(codings)]


class _Inflater:
    """Removes one coding in steps of bounded size.

    The first bytes decide the format, because servers send gzip, zlib and raw deflate under each other's names.
    """

    def __init__(self, coding: str, limit: int) -> None:
        self._coding = coding
        self._limit = limit
        self._received = 0
        self._start = b""
        self._zlib: zlib._Decompress | None = None
        self._complete = False  # at least one gzip member, or the whole zlib or deflate stream
        self._ended = False

    def inflate(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Decompress chunks, and yield the result of each step, which may be empty."""
        for chunk in chunks:
            self._received += len(chunk)
            if self._received > self._limit:
                raise _too_large(self._limit)
            if len(chunk) <= _INPUT:
                yield from self._steps(chunk)
            else:  # zlib copies the rest of its input at each step
                for start in range(0, len(chunk), _INPUT):
                    yield from self._steps(chunk[start : start + _INPUT])

    def finish(self) -> None:
        """Check that the data were complete."""
        if self._received and (self._zlib is not None or not self._complete):
            raise TransportFailure(
                FailureKind.ENCODING, f"the compressed body ends too early, after {self._received} bytes"
            )

    def _steps(self, data: bytes) -> Iterator[bytes]:
        more = True
        while (data or more) and not self._ended:
            if self._zlib is None:
                data, self._start = self._start + data, b""
                if len(data) < len(_GZIP_MAGIC):
                    self._start = data
                    return
                self._zlib = self._next_stream(data)
                if self._zlib is None:
                    return
            try:
                plain = self._zlib.decompress(data, _OUTPUT)
            except zlib.error as error:
                raise TransportFailure(
                    FailureKind.ENCODING, f"the body is not {self._coding}: {error}"
                ) from None
            yield plain
            more = len(plain) == _OUTPUT  # zlib may keep output without keeping input
            data = self._zlib.unconsumed_tail
            if self._zlib.eof:
                data, more, self._zlib, self._complete = self._zlib.unused_data, False, None, True

    def _next_stream(self, data: bytes) -> "zlib._Decompress | None":
        """Return a decompressor for what follows; None after the end: bytes after it are padding and are ignored."""
        if data.startswith(_GZIP_MAGIC):
            return zlib.decompressobj(zlib.MAX_WBITS | 16)
        if self._complete:
            self._ended = True
            return None
        raw = self._coding == "deflate" and not _is_zlib(data)
        return zlib.decompressobj(-zlib.MAX_WBITS if raw else zlib.MAX_WBITS)


def _is_zlib(data: bytes) -> bool:
    """Return whether data start with a header of zlib (RFC 1950), and not with a block of raw deflate."""
    return data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0


def _too_large(limit: int) -> TransportFailure:
    return TransportFailure(FailureKind.TOO_LARGE, f"more than {limit} bytes")
