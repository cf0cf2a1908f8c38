"""Writes `docs/faults.md` from the fault matrix: `python -m tests.faults.faults_page`."""

from pathlib import Path

from agora_analytics.messages import FailureKind
from tests.faults.matrix import FAULTS

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
HEAD = """\
# Failures, and what the client does about them

`python -m tests.faults.faults_page` writes this page from the table that `tests/faults/test_matrix.py` runs over real sockets:
with the real host names through the transport's `resolve` parameter, TLS with a temporary CA, black holes, resets and slow
responses.

A *query* may be sent twice. A *message* (a request that changes something, or is billed: `Endpoint.replayable` is false) is
sent again only if the failure proves that the server did not receive it. Each fault is permanent; all other hosts are
healthy. How hosts are chosen: [regions](regions.md).

| layer | fault | at | classified as | a query | a message |
|---|---|---|---|---|---|
"""
TAIL = """
Not received by the server, so safe to send again: {never_left}.

Rate limits and refusals do not switch hosts. Every error has `trail`, one entry for each attempt: host, outcome, duration.
A call whose deadline passes raises `DeadlineExceeded` with its trail. If no attempt can succeed in time, for instance
because of `Retry-After`, the call raises the error at once: see [limits](limits.md#waiting).

All errors, records, pages and reports can be pickled and copied, so they can pass between processes. An error keeps its
attributes, trail and notes. Its cause and traceback stay in the process where it was raised.

## Responses that are not as documented

The fast readers accept the documented form only. Everything else goes to one lenient reader, for all vendors.

| a response has | it is read as |
|---|---|
| a byte order mark | nothing |
| invalid UTF-8, lone surrogates (raw or escaped) in text | U+FFFD |
| NUL and other control characters in text | as they are |
| `NaN`, `Infinity`, `1e999` | null |
| null in place of a list, or no list | an empty list |
| a number as text, an integer as a float, a truth value as a number or text | the number, integer or truth value |
| an optional value that cannot be read, or an integer of more than 64 bits | null; `extra` has what was sent |
| a required value that cannot be read | the record is skipped and named |
| a time of zero or less, after 2099, or in milliseconds where seconds are documented | as a value that cannot be read |
| an id that is empty or has more than 1,024 characters | as a value that cannot be read |
| another type in place of the list of records | `DecodeError`, with the path |
| text that is not JSON | `ServerError`, after the retries |

A skipped record costs neither the other records of its response nor another request. `Page.skipped`, `Rows.skipped` and
the event `RecordsSkipped` name it: its path in the response, its id where it can be read, and the reason. The default
observer logs the event as a warning. In metrics, the units are a session, a series and a point. A value of a point that
cannot be read is null and named too, since points have no `extra`.

Half of a surrogate pair in an argument raises `InvalidRequest` before a request is sent; in a credential,
`ConfigurationError`.

## Safety

- TLS certificates are always verified; pass your own CA with `HttpxTransport(ssl_context=...)`.
- Plain http is used for this machine only, or with `allow_http=True`.
- Redirects are not followed, because they would send the credentials to another host.
- A response of more than 256 MiB, decompressed, is refused (`HttpxTransport(largest_body=...)`).
- Secrets are sent in headers; no log, repr, error, URL or file contains one. The whole test suite runs under
  `tests/secret_watch.py`, which fails a test that shows a secret. With `http2=True` the debug log of `hpack`, which has
  every header, is switched off.
- No response is evaluated, imported or unpickled; bodies are JSON, read by msgspec, simdjson, pyarrow or the standard
  library.
- `nox -s audit` runs `pip-audit` over the dependencies. It needs a database on the network, so it is not one of the
  default sessions.
"""


def page() -> str:
    rows = [
        f"| {fault.layer} | {fault.name} | {fault.at} | {_classified(fault.classified)} | {fault.query.value} | {fault.message.value} |\n"
        for fault in FAULTS
    ]
    return HEAD + "".join(rows) + TAIL.format(never_left=", ".join(k for k in FailureKind if k.never_left))


def _classified(kind: object) -> str:
    return f"`{kind.name}` ({kind})" if isinstance(kind, FailureKind) else f"`{kind.__name__}`"  # type: ignore[attr-defined]


if __name__ == "__main__":
    PAGE.write_text(page())
