"""Writes `docs/faults.md` from the fault matrix: `python -m tests.faults.page`."""

from pathlib import Path

from agora_analytics.messages import FailureKind
from tests.faults.matrix import FAULTS

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
HEAD = """\
# What goes wrong, and what the client does

This page is written by `python -m tests.faults.page` from the table that `tests/faults/test_matrix.py` runs over real
sockets: the shipped names through the transport's `resolve` hook, TLS with a throw-away CA, black holes, resets, drips.

A *query* may be sent twice; a *message* (what changes something, or is counted: `Endpoint.replayable` is false) is sent
again only where the failure proves that it never left. Each fault stays; what is well is all the rest.
How hosts are chosen: [regions](regions.md).

| layer | fault | at | told apart as | a query | a message |
|---|---|---|---|---|---|
"""
TAIL = """
Never left, so safe to send again: {never_left}.

Nothing rotates for a limit or a refusal. Every error has `trail`, one line an attempt: host, what came, how long it took.
A call whose deadline passes raises `DeadlineExceeded` with the same trail, whatever it was doing.

## Safety

- TLS is verified, always; a CA of your own comes in with `HttpxTransport(ssl_context=...)`.
- Plain http goes to this machine only, or with `allow_http=True`.
- Redirects are not followed: they would take the credentials along.
- An answer above 256 MiB, unpacked, is refused (`HttpxTransport(largest_body=...)`).
- Secrets travel in headers, and no log, repr, error, URL or file has them; the whole suite runs under `tests/secret_watch.py`, which fails a test that shows one.
  With `http2=True` the debug lines of `hpack`, which have every header, are switched off.
- No answer is evaluated, imported or unpickled; bodies are JSON, read by msgspec, simdjson, pyarrow or the standard library.
- `nox -s audit` runs `pip-audit` over the dependencies. It asks a database on the network, so it is not part of the
  default sessions; CI runs it where it has a network.
"""


def page() -> str:
    rows = [
        f"| {fault.layer} | {fault.name} | {fault.at} | {_told(fault.told)} | {fault.query.value} | {fault.message.value} |\n"
        for fault in FAULTS
    ]
    return HEAD + "".join(rows) + TAIL.format(never_left=", ".join(k for k in FailureKind if k.never_left))


def _told(told: object) -> str:
    return f"`{told.name}` ({told})" if isinstance(told, FailureKind) else f"`{told.__name__}`"  # type: ignore[attr-defined]


if __name__ == "__main__":
    PAGE.write_text(page())
