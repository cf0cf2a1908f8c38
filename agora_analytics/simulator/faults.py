"""Injected faults: which requests fail, how often, and what each fault sends."""

import random
from collections.abc import Callable
from typing import Any, Literal, get_args

import anyio
from attrs import field, frozen
from attrs.converters import optional
from attrs.validators import and_, ge, le
from starlette.types import Receive, Scope, Send

FaultKind = Literal[
    "reset", "500", "503-html", "504-html", "429", "cut-off", "broken-json", "hang", "lost-answer"
]
"""The kinds of faults that a simulator injects."""
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
_DEFAULT_KINDS: tuple[FaultKind, ...] = ("reset", "500", "503-html", "cut-off", "broken-json", "hang")
HANG_SECONDS = 120.0

_HTML = b"<html>\r\n<head><title>%b</title></head>\r\n<body><center><h1>%b</h1></center><hr><center>nginx</center></body>\r\n</html>\r\n"


def _known(_faults: Any, _attribute: Any, kinds: tuple[str | None, ...]) -> None:
    if unknown := {kind for kind in kinds if kind is not None} - set(KINDS):
        raise ValueError(f"unknown faults: {', '.join(sorted(unknown))}; use {', '.join(KINDS)}")


@frozen(kw_only=True)
class Faults:
    """Which requests fail and how. Each request is drawn once, after it was counted.

    Attributes:
        share: the share of requests that fail (0 to 1).
        kinds: the faults, all equally likely. A `reset` happens before the request has an effect, a `lost-answer`
            after it.
        seed: the same seed and the same order of requests give the same faults.
        first: only this many requests can fail, counted from the first; None: any.
        script: the fault of each of the first requests (None: no fault). Later requests are drawn.
        only: the endpoints that can fail, such as `call/metrics`; requests to others are not drawn. None: all.

    Example:
        >>> Faults(script=("reset", None, "500")).share
        0.0
    """

    share: float = field(default=0.0, validator=and_(ge(0), le(1)))
    kinds: tuple[FaultKind, ...] = field(default=_DEFAULT_KINDS, converter=tuple, validator=_known)
    seed: int = 1
    first: int | None = None
    script: tuple[FaultKind | None, ...] = field(default=(), converter=tuple, validator=_known)
    only: frozenset[str] | None = field(default=None, converter=optional(frozenset))

    def dice(self) -> Callable[[str], FaultKind | None]:
        """Return a function that draws the fault of each request to an endpoint."""
        rng = random.Random(self.seed)
        drawn = 0

        def draw(endpoint: str) -> FaultKind | None:
            nonlocal drawn
            if self.only is not None and endpoint not in self.only:
                return None
            drawn += 1
            if drawn <= len(self.script):
                return self.script[drawn - 1]
            # Both numbers are always drawn, so that another share does not shift the rest of the sequence.
            unlucky, kind = rng.random() < self.share, rng.choice(self.kinds) if self.kinds else None
            return kind if unlucky and (self.first is None or drawn <= self.first) else None

        return draw


GATEWAY_RESPONSES: dict[str, tuple[int, bytes, bytes]] = {
    "500": (500, b"application/json", b'{"message":"An unexpected error occurred"}'),
    "503-html": (503, b"text/html", _HTML % ((b"503 Service Temporarily Unavailable",) * 2)),
    "504-html": (504, b"text/html", _HTML % ((b"504 Gateway Time-out",) * 2)),
    "429": (429, b"application/json", b'{"message":"API rate limit exceeded"}'),
}
"""Faults that are a response of the gateway: status, content type, body."""


def break_connection(scope: Scope, how: Literal["abort", "cut"]) -> None:
    """Reset the connection (`abort`), or close it in the middle of a response (`cut`; without it, `abort`).

    Raises:
        ConnectionResetError: `scope["state"]` has no such function of the server.
    """
    state = scope.get("state", {})
    if (function := state.get(how) or state.get("abort")) is None:
        raise ConnectionResetError("the simulator reset this connection")
    function()


async def hang(scope: Scope, receive: Receive) -> None:
    """Send nothing until the client disconnects; reset the connection after two minutes."""
    with anyio.move_on_after(HANG_SECONDS):
        body_ended = False
        while (message := await receive())["type"] != "http.disconnect":
            if body_ended:  # some transports do not block in receive(), which would be a busy loop
                await anyio.sleep_forever()
            body_ended = not message.get("more_body", False)
        return
    break_connection(scope, "abort")


async def send_half(scope: Scope, send: Send, start: dict[str, object], body: bytes) -> None:
    """Send the headers of the whole response and half of its body, then close the connection."""
    await send(start)
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    break_connection(scope, "cut")
