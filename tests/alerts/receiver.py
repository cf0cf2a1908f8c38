"""A receiver of webhooks on virtual time, which fails, hangs and counts."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from standardwebhooks.webhooks import Webhook as Verifier

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Answer = int | Literal["hang", "hang after reading"]


class Receiver:
    """An ASGI application. `answer(time)` is the status of a response, or that there is none.

    Attributes:
        deliveries: (time, id) of all deliveries that it read.
        events: the body of each event that it read, by id.
    """

    def __init__(self, now: Callable[[], float], answer: Callable[[float], Answer] = lambda _: 204) -> None:
        self._now, self._answer = now, answer
        self.deliveries: list[tuple[float, str]] = []
        self.events: dict[str, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        answer = self._answer(self._now())
        if answer == "hang":
            await asyncio.sleep(3600)
        body = (await receive())["body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self._verify(body, headers)
        self.deliveries.append((self._now(), headers["webhook-id"]))
        self.events[headers["webhook-id"]] = json.loads(body)
        if answer == "hang after reading":
            await asyncio.sleep(3600)
        await send({"type": "http.response.start", "status": answer, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def _verify(self, body: bytes, headers: dict[str, str]) -> None:
        """Verify a delivery with the library of the specification, whose `verify` reads the machine's clock."""
        event_id, seconds = headers["webhook-id"], int(headers["webhook-timestamp"])
        expected = Verifier(SECRET).sign(event_id, datetime.fromtimestamp(seconds, UTC), body.decode())
        assert headers["webhook-signature"] == expected
        assert seconds == int(self._now())
        assert headers["idempotency-key"] == event_id

    @property
    def statuses(self) -> list[str]:
        """The statuses of the events in the order of their first delivery."""
        return [event["data"]["status"] for event in self.events.values()]
