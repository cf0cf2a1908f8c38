"""Resume tokens: where a listing continues, and which question it answers. Pure; the same for every vendor.

A token has a fingerprint of the arguments of its listing, the page size, and a position whose form is the listing's own.
It has no credential. Pages of another question do not continue a listing, so such a token is refused: records would be
missing without notice.
"""

import json
from base64 import b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Any, TypeVar
from zlib import crc32

import msgspec

from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import Instant, epoch_seconds

P = TypeVar("P")

_CHECKSUM_BYTES = 4


class ResumeTokens:
    """Writes and reads the resume tokens of one listing.

    Args:
        listing: the name of the listing.
        question: every argument that changes the result, except the page size.
        page_size: records a page; None if the caller cannot choose it.

    Example:
        >>> tokens = ResumeTokens("call/lists", "app", as_asked("6h"), page_size=20)
        >>> tokens.read(tokens.write([3, 4]), list[int])
        [3, 4]
    """

    def __init__(self, listing: str, *question: object, page_size: int | None = None) -> None:
        asked = json.dumps([listing, question], default=str)
        self._fingerprint = sha256(asked.encode()).hexdigest()[:16]
        self._page_size = page_size

    def write(self, position: Any) -> str:
        """Return a token for a position, which JSON can represent."""
        content = msgspec.json.encode([self._fingerprint, self._page_size, position])
        checksum = crc32(content).to_bytes(_CHECKSUM_BYTES, "big")
        return _encode(checksum + content)

    def read(self, token: str, kind: type[P]) -> P | None:
        """Return the position of a token, of the type `kind`; None for "", the token of a last page.

        Raises:
            InvalidRequest: the text is not a resume token, was changed, or belongs to another question.
        """
        if token == "":
            return None
        fingerprint, page_size, position = _decode(_content(token), tuple[str, int | None, msgspec.Raw])
        if fingerprint != self._fingerprint:
            raise InvalidRequest("this resume token is of another listing; pass the same arguments")
        if page_size != self._page_size:
            raise InvalidRequest(
                f"this resume token is of a listing with page_size={page_size}, not {self._page_size}; "
                f"pass page_size={page_size}"
            )
        found: P = _decode(position, kind)
        return found


def as_asked(moment: Instant | None) -> str | float | None:
    """Return a time as a part of a question: epoch seconds, or a text for a relative time such as `6h`.

    A relative time is another one later, but the question is the same. The token has the time range.

    Example:
        >>> as_asked("6h"), as_asked("now"), as_asked("2026-11-20T08:00Z") == as_asked(1_795_161_600)
        ('now-21600', 'now+0', True)
    """
    if moment is None or isinstance(moment, int | float):
        return None if moment is None else float(moment)
    seconds = epoch_seconds(moment, now=0.0)
    return seconds if epoch_seconds(moment, now=1.0) == seconds else f"now{seconds:+g}"


def _encode(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def _content(token: str) -> bytes:
    try:
        decoded = b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (ValueError, TypeError):  # not a text
        raise _no_token() from None
    checksum, content = decoded[:_CHECKSUM_BYTES], decoded[_CHECKSUM_BYTES:]
    # base64 has several spellings of the same bytes
    if crc32(content).to_bytes(_CHECKSUM_BYTES, "big") != checksum or _encode(decoded) != token:
        raise _no_token()
    return content


def _decode(content: bytes | msgspec.Raw, kind: Any) -> Any:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _no_token() from error


def _no_token() -> InvalidRequest:
    return InvalidRequest("this is not a resume token of a listing; pass a page's resume_token as it is")
