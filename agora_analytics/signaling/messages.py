"""Messages to users and channels: the methods of `AsyncSignaling` that send them."""

from collections.abc import Mapping
from typing import Any, Unpack

from agora_analytics.core.sent_text import check_text, json_body
from agora_analytics.engine.call_options import CallOptions, takes_call_options
from agora_analytics.errors import InvalidRequest
from agora_analytics.kit.client import Client
from agora_analytics.kit.operation import Operation
from agora_analytics.messages import Query
from agora_analytics.signaling import operations
from agora_analytics.signaling.credentials import Credentials, CredentialsSource, LegacyToken, Token
from agora_analytics.signaling.limits import check_message
from agora_analytics.signaling.operations import at
from agora_analytics.signaling.records import Delivery


@takes_call_options
class Messages(Client):
    """The part of `AsyncSignaling` that sends messages."""

    app_id: str
    credentials: Credentials | CredentialsSource

    async def peer_message(
        self,
        sender: str,
        destination: str,
        payload: str,
        *,
        wait_for_ack: bool = False,
        offline: bool = False,
        historical: bool = False,
        **options: Unpack[CallOptions],
    ) -> Delivery:
        """Send a message to a user. It is never sent twice, unless the first attempt certainly did not arrive.

        Args:
            sender: the user id that it is sent as, 1 to 64 characters; that user need not be logged in.
            destination: the user id that it is sent to.
            payload: the text, 1 byte to 32 KB as UTF-8.
            wait_for_ack: return when the message is delivered, not when it is sent.
            offline: keep it for a user who is offline (deprecated by the vendor; at most 200 are kept).
            historical: keep it in the history.

        Returns:
            Whether the message was sent or delivered, or the user is offline.

        Raises:
            InvalidRequest: a name or the payload is not valid, or the token belongs to another sender.
            BadRequest, AuthenticationError, AccessDenied, RateLimited: the server refused the message.
            TransportError, ServerError: there was no good response. The error says if the message may have arrived.
            DecodeError: the server accepted the message, but its response cannot be read.

        Source: Agora, "Signaling REST API", "Peer-to-peer message".
        """
        self._check_message(sender, destination, "destination", payload)
        body = {
            "destination": destination,
            "payload": payload,
            "enable_offline_messaging": offline,
            "enable_historical_messaging": historical,
        }
        query = (("wait_for_ack", str(wait_for_ack).lower()),)
        return await self._send(operations.PEER_MESSAGES, sender, body, query)

    async def channel_message(
        self,
        sender: str,
        channel: str,
        payload: str,
        *,
        historical: bool = False,
        **options: Unpack[CallOptions],
    ) -> Delivery:
        """Send a message to a channel. It is never sent twice, unless the first attempt certainly did not arrive.

        Args:
            sender: the user id that it is sent as, 1 to 64 characters; that user need not be in the channel.
            channel: the channel's name, 1 to 64 characters.
            payload: the text, 1 byte to 32 KB as UTF-8.
            historical: keep it in the history.

        Raises:
            AgoraAnalyticsError: as `peer_message`.

        Source: Agora, "Signaling REST API", "Channel message".
        """
        self._check_message(sender, channel, "channel", payload)
        body = {"channel_name": channel, "payload": payload, "enable_historical_messaging": historical}
        return await self._send(operations.CHANNEL_MESSAGES, sender, body)

    async def _send(
        self, operation: Operation[str | None], sender: str, body: Mapping[str, Any], query: Query = ()
    ) -> Delivery:
        target = at(operation, app_id=self.app_id, user_id=sender)
        response = await self._engine.run(target.request(query, body=json_body(body)))
        return Delivery(code=response.result, request_id=response.request_id)

    def _check_message(self, sender: str, receiver: str, what: str, payload: str) -> None:
        if not self._options.validate:
            return
        check_text([("payload", payload)])
        check_message(sender, receiver, what, payload)
        user_id = self.credentials.user_id if isinstance(self.credentials, Token | LegacyToken) else None
        if user_id not in (None, sender):
            raise InvalidRequest(f"the token belongs to {user_id!r} and cannot send as {sender!r}")
