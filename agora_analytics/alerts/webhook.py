"""Delivers events to a webhook: signed, with retries, and each event once.

The headers are those of the Standard Webhooks specification 1.0.0, so receivers can verify a delivery with its libraries.
"""

import base64
import os
import random
from collections.abc import Callable, Mapping
from hashlib import sha256
from hmac import HMAC
from urllib.parse import urlsplit

import anyio
from attrs import field, frozen

from agora_analytics.alerts.alert_queue import LONGEST_RETRY, AlertQueue, QueuedEvent
from agora_analytics.core.base_url import is_loopback, is_url
from agora_analytics.core.http_times import retry_after
from agora_analytics.engine.transports import Transport
from agora_analytics.engine.transports.httpx_log import url_is_secret
from agora_analytics.errors import ConfigurationError
from agora_analytics.logs import logger_of
from agora_analytics.messages import Request, TransportFailure

TIMEOUT = 10.0
"""Seconds for one attempt."""
FIRST_RETRY = 2.0
"""The first pause between two attempts, in seconds. The pause doubles, with jitter, up to `LONGEST_RETRY`."""
GIVE_UP_AFTER, LEAST_ATTEMPTS = 86_400.0, 10
"""An event is given up after so many seconds, if there were so many attempts."""
_LEASE = 4 * TIMEOUT  # longer than an attempt, so that no other process sends the same event meanwhile
_POLL = 60.0  # seconds; another process may queue an event
_SHORTEST_SECRET = 16
_PREFIX = "whsec_"
_GONE = (
    410  # "the receiver does not want more events" (Standard Webhooks 1.0.0); any other error may be repaired
)

_log = logger_of("alerts")


@frozen(kw_only=True)
class Webhook:
    """The receiver of events.

    Attributes:
        url: where events are sent. It may hold a token, so it is never shown.
        secret: the key of the signature: `whsec_` and base64, or any text of at least 16 characters.

    Raises:
        ConfigurationError: the URL is wrong, or is plain http to another machine; the secret is too short.

    Example:
        >>> Webhook(url="https://hooks.example.com/T0/B1", secret="a secret of more than 16").host
        'hooks.example.com'
    """

    url: str = field(repr=False)
    secret: str = field(repr=False)

    def __attrs_post_init__(self) -> None:
        if not is_url(self.url):
            raise ConfigurationError(
                "the webhook's URL is not valid; give one such as https://hooks.example.com/alerts"
            )
        if urlsplit(self.url).scheme == "http" and not is_loopback(self.host):
            raise ConfigurationError(f"the webhook on {self.host} would get alerts unencrypted; use https")
        if len(self.key) < _SHORTEST_SECRET:
            raise ConfigurationError(
                f"the webhook's secret has less than {_SHORTEST_SECRET} bytes; create one, for example with "
                "`openssl rand -base64 32`, and give it to the receiver too"
            )

    @property
    def host(self) -> str:
        """The host of the URL."""
        return urlsplit(self.url).hostname or ""

    @property
    def key(self) -> bytes:
        """The secret as bytes."""
        try:
            if not self.secret.startswith(_PREFIX):
                return self.secret.encode()
            return base64.b64decode(self.secret.removeprefix(_PREFIX), validate=True)
        except ValueError:
            raise ConfigurationError(
                "the webhook's secret is not valid: text in UTF-8, or whsec_ and base64"
            ) from None

    def headers(self, event_id: str, body: bytes, time: float) -> Mapping[str, str]:
        """Return the headers of a delivery. `time` is the time of the attempt, UTC epoch seconds.

        Source: Standard Webhooks 1.0.0, "Signature scheme". `Idempotency-Key` has the same id for receivers that know
        only that header.
        """
        timestamp = str(int(time))
        signed = HMAC(self.key, f"{event_id}.{timestamp}.".encode() + body, sha256).digest()
        return {
            "content-type": "application/json",
            "user-agent": "agora-analytics",
            "webhook-id": event_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
            "idempotency-key": event_id,
        }


def variable(name: str, holds: str) -> str:
    """Return the value of an environment variable. `holds` says in the error what it is for.

    Raises:
        ConfigurationError: the variable is not set, or the name is not one.
    """
    # A secret in place of its variable's name must not be shown.
    if not name.isidentifier() or not name.isascii():
        raise ConfigurationError(
            "url_env and secret_env are names of environment variables; one of them is not"
        )
    if value := os.environ.get(name, "").strip():
        return value
    raise ConfigurationError(f"{name} is not set; it holds {holds}")


class WebhookSender:
    """Sends queued events to a webhook.

    Args:
        webhook: the receiver.
        queue: the events, of an `AlertDatabase`.
        transport: sends the requests; the caller closes it.
        now: the time in UTC epoch seconds.
    """

    def __init__(
        self, webhook: Webhook, queue: AlertQueue, transport: Transport, now: Callable[[], float]
    ) -> None:
        self._webhook = webhook
        self._queue = queue
        self._transport = transport
        self._now = now
        self._wake = anyio.Event()

    def wake(self) -> None:
        """Send new events now."""
        self._wake.set()

    async def drain(self, seconds: float) -> None:
        """Send events until none waits, or for some seconds."""
        with anyio.move_on_after(seconds):
            while (due := self._queue.next_due()) is not None:
                await anyio.sleep(max(due - self._now(), 0.0))
                await self.send_due()

    async def run(self) -> None:
        """Send events until it is cancelled."""
        while True:
            await self.send_due()
            due = self._queue.next_due()
            with anyio.move_on_after(_POLL if due is None else min(max(due - self._now(), 0.05), _POLL)):
                await self._wake.wait()
            if self._wake.is_set():
                self._wake = anyio.Event()

    async def send_due(self) -> None:
        """Send the events that are due, once each."""
        while (event := self._queue.take(self._now(), _LEASE)) is not None:
            await self._send(event)

    async def _send(self, event: QueuedEvent) -> None:
        headers = self._webhook.headers(event.id, event.body, self._now())
        # The whole URL as the base: a query that holds a token must arrive as it is.
        request = Request(
            method="POST",
            base_url=self._webhook.url,
            path="",
            headers=headers,
            body=event.body,
            timeout=TIMEOUT,
        )
        try:
            with url_is_secret():
                response = await self._transport.send(request)
        except TransportFailure as failure:
            self._retry(event, f"{failure.kind} at {self._webhook.host}")
            return
        error = f"HTTP {response.status} from {self._webhook.host}"
        if 200 <= response.status < 300:
            self._queue.delivered(event)
        elif response.status == _GONE:
            self._give_up(event, error)
        else:
            self._retry(event, error, retry_after(response, self._now()) or 0.0)

    def _retry(self, event: QueuedEvent, error: str, advice: float = 0.0) -> None:
        now = self._now()
        pause = min(FIRST_RETRY * 2**event.attempts, LONGEST_RETRY) * random.uniform(0.5, 1.0)  # noqa: S311
        pause = max(pause, min(advice, LONGEST_RETRY))
        if now + pause > event.created + GIVE_UP_AFTER and event.attempts + 1 >= LEAST_ATTEMPTS:
            self._give_up(event, error)
            return
        _log.warning("alert %s: %s; attempt %d follows in %.0f s", event.id, error, event.attempts + 2, pause)
        self._queue.retry_at(event, now + pause, error)

    def _give_up(self, event: QueuedEvent, error: str) -> None:
        self._queue.failed(event, error)
        _log.error("alert %s was not delivered: %s", event.id, error)
