"""Faults on demand: what goes wrong, how often, and how each looks on the wire."""

import random
from collections.abc import Callable, Iterable
from typing import Any, Literal

import anyio
from attrs import field, frozen
from attrs.validators import and_, ge, le
from starlette.types import Receive, Scope, Send

FaultKind = Literal[
    "reset", "500", "503-html", "504-html", "429", "cut-off", "broken-json", "hang", "lost-answer"
]
KINDS: tuple[FaultKind, ...] = (
    "reset",
    "500",
    "503-html",
    "504-html",
    "429",
    "cut-off",
    "broken-json",
    "hang",
    "lost-answer",
)
_DEFAULT_KINDS: tuple[FaultKind, ...] = ("reset", "500", "503-html", "cut-off", "broken-json", "hang")
HANG_SECONDS = 120.0

_HTML = b"<html>\r\n<head><title>%b</title></head>\r\n<body><center><h1>%b</h1></center><hr><center>nginx</center></body>\r\n</html>\r\n"


def _known(_faults: Any, _attribute: Any, kinds: tuple[str | None, ...]) -> None:
    if unknown := {kind for kind in kinds if kind is not None} - set(KINDS):
        raise ValueError(f"unknown fault {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")


def _names(only: Iterable[str] | None) -> frozenset[str] | None:
    return None if only is None else frozenset(only)


@frozen(kw_only=True)
class Faults:
    """Which requests fail and how. Each arrival throws the dice once, after it was counted.

    Attributes:
        share: the share of requests that fail (0 to 1).
        kinds: what can happen to them, equally likely. A `reset` comes before the request has an effect, a
            `lost-answer` after it.
        seed: the same seed and the same order of arrivals give the same faults.
        first: only the first so many arrivals can fail; None: any.
        script: what happens to the first arrivals, one by one (None: nothing); the dice rule after it.
        only: the endpoints that can fail (`call/metrics`); arrivals elsewhere throw no dice. None: all.

    Example:
        >>> Faults(script=("reset", None, "500")).share
        0.0
    """

    share: float = field(default=0.0, validator=and_(ge(0), le(1)))
    kinds: tuple[FaultKind, ...] = field(default=_DEFAULT_KINDS, converter=tuple, validator=_known)
    seed: int = 1
    first: int | None = None
    script: tuple[FaultKind | None, ...] = field(default=(), converter=tuple, validator=_known)
    only: frozenset[str] | None = field(default=None, converter=_names)

    def dice(self) -> Callable[[str], FaultKind | None]:
        """Return a function that says for each arrival at an endpoint what happens to it."""
        rng = random.Random(self.seed)
        thrown = 0

        def throw(endpoint: str) -> FaultKind | None:
            nonlocal thrown
            if self.only is not None and endpoint not in self.only:
                return None
            thrown += 1
            if thrown <= len(self.script):
                return self.script[thrown - 1]
            # Both dice are thrown always, so that another share does not shift the rest of the sequence.
            unlucky, kind = rng.random() < self.share, rng.choice(self.kinds) if self.kinds else None
            return kind if unlucky and (self.first is None or thrown <= self.first) else None

        return throw


GATEWAY_ANSWERS: dict[str, tuple[int, bytes, bytes]] = {
    "500": (500, b"application/json", b'{"message":"An unexpected error occurred"}'),
    "503-html": (503, b"text/html", _HTML % ((b"503 Service Temporarily Unavailable",) * 2)),
    "504-html": (504, b"text/html", _HTML % ((b"504 Gateway Time-out",) * 2)),
    "429": (429, b"application/json", b'{"message":"API rate limit exceeded"}'),
}
"""Faults that are an answer of the gateway: status, content type, body."""


def reset(scope: Scope) -> None:
    """Break the connection as a TCP reset does: through `scope["state"]["abort"]`, or by raising where there is none.

    Raises:
        ConnectionResetError: the server in front has not told how to abort a connection.
    """
    abort: Callable[[], None] | None = scope.get("state", {}).get("abort")
    if abort is None:
        raise ConnectionResetError("the simulator reset this connection")
    abort()


def cut(scope: Scope) -> None:
    """Close the connection in mid-answer, what was sent included; as a reset where the server offers no `cut`."""
    close: Callable[[], None] | None = scope.get("state", {}).get("cut")
    if close is None:
        reset(scope)
    else:
        close()


async def hang(scope: Scope, receive: Receive) -> None:
    """Answer nothing until the client goes away, or reset the connection after two minutes."""
    with anyio.move_on_after(HANG_SECONDS):
        body_ended = False
        while (message := await receive())["type"] != "http.disconnect":
            if body_ended:  # a transport that does not wait here would keep the loop busy
                await anyio.sleep_forever()
            body_ended = not message.get("more_body", False)
        return
    reset(scope)


async def send_half(scope: Scope, send: Send, start: dict[str, object], body: bytes) -> None:
    """Send the headers of the whole answer and half of its body, then close."""
    await send(start)
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    cut(scope)
