"""The events of one request: each start has exactly one end, also if the request is cancelled."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from types import TracebackType
from typing import Any, Self

from agora_analytics.core.endpoint import Endpoint
from agora_analytics.core.verdicts import Done, Payload, Verdict
from agora_analytics.engine.events import (
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    Event,
    RequestEnded,
    RequestStarted,
    ResponseReceived,
    current_request,
)
from agora_analytics.errors import Attempt
from agora_analytics.messages import Response, TransportFailure

_numbers = count(1)


@contextmanager
def request_events(
    endpoint: Endpoint, trail: Sequence[Attempt], observer: Callable[[Event], None]
) -> Iterator[None]:
    """Report the start and the end of a request. Events within the block have its number."""
    token = current_request.set(next(_numbers))
    clock = asyncio.get_running_loop().time  # also works if the coroutine is closed after its loop
    began, error = clock(), ""
    observer(RequestStarted(endpoint=endpoint.name))
    try:
        yield
    except BaseException as raised:
        error = type(raised).__name__
        raise
    finally:
        observer(
            RequestEnded(endpoint=endpoint.name, error=error, attempts=len(trail), elapsed=clock() - began)
        )
        current_request.reset(token)


class AttemptEvents:
    """Reports the start of an attempt and how it ended: on exit at the latest.

    Example:
        with AttemptEvents(endpoint, number=1, observer=observer) as events:
            events.start(host, payload)
            outcome = await transport.send(request)
            events.end(attempt, outcome, verdict)
    """

    def __init__(self, endpoint: Endpoint, *, number: int, observer: Callable[[Event], None]) -> None:
        self._endpoint = endpoint
        self._number = number
        self._observer = observer
        self._clock = asyncio.get_running_loop().time
        self._host: str | None = None
        self._began = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._host is not None and kind is not None:
            self._observer(
                AttemptAbandoned(
                    endpoint=self._endpoint.name,
                    host=self._host,
                    reason=kind.__name__,
                    elapsed=self._clock() - self._began,
                    attempt=self._number,
                )
            )

    def start(self, host: str, payload: Payload) -> None:
        """Report that the request is handed to the transport."""
        self._host, self._began = host, self._clock()
        self._observer(
            AttemptStarted(
                endpoint=self._endpoint.name,
                host=host,
                method=self._endpoint.method,
                path=self._endpoint.template or self._endpoint.path,
                parameters=tuple([name for name, _ in payload.query]),
                window=payload.window,
                attempt=self._number,
            )
        )

    def end(self, attempt: Attempt, outcome: Response | TransportFailure, verdict: Verdict[Any]) -> None:
        """Report the response, or that there is none."""
        self._host = None
        name, number = self._endpoint.name, self._number
        event: Event
        if isinstance(outcome, TransportFailure):
            event = AttemptFailed(
                endpoint=name, host=attempt.host, kind=outcome.kind, elapsed=attempt.seconds, attempt=number
            )
        else:
            event = ResponseReceived(
                endpoint=name,
                host=attempt.host,
                status=outcome.status,
                size=len(outcome.body),
                elapsed=attempt.seconds,
                verdict=attempt.outcome,
                error="" if isinstance(verdict, Done) else type(verdict.error).__name__,
                attempt=number,
            )
        self._observer(event)
