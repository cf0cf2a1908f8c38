"""Failures of a bucket as `StoreError`. Their own texts may quote credentials, so they are never shown."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from deltalake.exceptions import DeltaError
from obstore.exceptions import BaseError

from agora_analytics.errors import StoreError

FAILURES = (BaseError, DeltaError, OSError, pa.ArrowException)
"""The errors of obstore, deltalake and of a read through pyarrow."""

_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"\b(?:status code:?|HTTP status[^0-9]*)\s*(\d{3})\b", re.IGNORECASE)
_AGAIN = "everything committed is safe; run the same command again"
_ACCESS = "check the credentials in the environment, and that they may read, write, list and delete below the prefix"
_ADVICE = {
    "NoSuchBucket": "create the bucket, or correct its name",
    "AccessDenied": _ACCESS,
    "InvalidAccessKeyId": _ACCESS,
    "SignatureDoesNotMatch": _ACCESS,
    "ExpiredToken": "renew the credentials in the environment",
    "401": _ACCESS,
    "403": _ACCESS,
}
_KINDS = (
    ("scheme is not allowed", "the endpoint is not encrypted", "use https, or set AWS_ALLOW_HTTP=true"),
    ("builder error", "the endpoint is wrong or not encrypted", "use https, or set AWS_ALLOW_HTTP=true"),
    ("credential", "no credentials were found", _ACCESS),
    ("dns error", "the bucket cannot be reached", f"check the network and the endpoint; {_AGAIN}"),
    ("connect", "the bucket cannot be reached", f"check the network and the endpoint; {_AGAIN}"),
    ("timed out", "the bucket did not respond in time", _AGAIN),
    (
        "error sending request",
        "the bucket cannot be reached",
        f"check the network and the endpoint; {_AGAIN}",
    ),
)


@contextmanager
def bucket_errors(action: str, target: str) -> Iterator[None]:
    """Raise a `StoreError` with advice in place of every failure of the bucket in the block.

    `action` is what was attempted, such as `cannot write`; `target` is the URL or key.
    """
    try:
        yield
    except FAILURES as problem:
        raise bucket_error(action, target, problem) from None  # its text may quote credentials


def bucket_error(action: str, target: str, problem: Exception) -> StoreError:
    """Return the error for a failure of the bucket."""
    text = str(problem)
    code = _CODE.search(text) or _STATUS.search(text)
    if code:
        return StoreError(f"{action} {target}: {code[1]}; {_ADVICE.get(code[1], _AGAIN)}")
    lower = text.lower()
    for word, reason, advice in _KINDS:
        if word in lower:
            return StoreError(f"{action} {target}: {reason}; {advice}")
    return StoreError(f"{action} {target}: {type(problem).__name__}; {_AGAIN}")
