"""A request of an endpoint before it is sent, and its good response."""

from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import field, frozen

from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.verdicts import Payload, Read, SkippedRecord
from agora_analytics.engine.pages import Meta
from agora_analytics.errors import Attempt
from agora_analytics.messages import Response

R = TypeVar("R")


@frozen(kw_only=True)
class ApiRequest(Generic[R]):
    """One request of an endpoint, before it is sent.

    Attributes:
        endpoint: where it goes.
        build: returns what to send, given the server's time when the request is sent. It may raise.
        read: judges and decodes the response in one pure step.
        final: whether the response cannot change any more, so that the client may keep it: the data of a call that is
            finished and complete.
    """

    endpoint: Endpoint
    build: Callable[[float], Payload]
    read: Read[R]
    final: bool = False


@frozen(kw_only=True)
class ApiResponse(Generic[R]):
    """A good response.

    Attributes:
        result: what it holds, decoded.
        request_id: the id that the vendor's support asks for.
        response: the HTTP response.
        payload: what was sent, with the time range that it asked for.
        host: the base URL that answered.
        trail: all attempts, the successful one last.
        skipped: the records of the response that could not be read.
    """

    result: R
    request_id: str | None = None
    response: Response
    payload: Payload = field(factory=Payload)
    host: str
    trail: tuple[Attempt, ...]
    skipped: tuple[SkippedRecord, ...] = ()

    @property
    def meta(self) -> Meta:
        """The same as a page shows it."""
        return Meta(
            status=self.response.status,
            request_id=self.request_id,
            host=self.host,
            attempts=len(self.trail),
            elapsed=self.response.elapsed,
            window=self.payload.window,
        )
