"""The two histories of messages: today's, whose pages name the next start, and the archive, whose queries are polled.

Source: Agora, "Signaling REST API", "Message history".
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import anyio
from attrs import evolve, field, frozen

from agora_analytics.core.numbers import whole_number
from agora_analytics.core.resume_tokens import ResumeTokens
from agora_analytics.core.sent_text import json_body
from agora_analytics.core.windows import Window
from agora_analytics.engine.api_request import ApiRequest, ApiResponse
from agora_analytics.engine.call_options import current_limits
from agora_analytics.engine.engine import Engine
from agora_analytics.engine.pages import Fetched, Page
from agora_analytics.errors import DeadlineExceeded, IncompleteListing
from agora_analytics.instants import iso
from agora_analytics.kit.listing import Listing, page_of
from agora_analytics.kit.operation import Operation
from agora_analytics.signaling.operations import COUNT, HISTORY, QUERY, RESULT, at
from agora_analytics.signaling.records import ArchivedMessage, DecodedHistory, HistoryMessage

R = TypeVar("R")

POLL = 2.0
"""Seconds between two requests for a result that is in progress."""


def history_listing(
    engine: Engine,
    operation: Operation[DecodedHistory],
    starts: Sequence[int],
    tokens: ResumeTokens,
    *,
    end: int,
    page_size: int,
) -> Listing[int, DecodedHistory, Page[HistoryMessage]]:
    """Return the paginator of today's history. A step is the start of a page; a response names the next one."""
    requested: set[int] = set()

    def request(start: int) -> ApiRequest[DecodedHistory]:
        return operation.request((("start", str(start)), ("end", str(end)), ("messageCount", str(page_size))))

    def page(start: int, response: ApiResponse[DecodedHistory]) -> Fetched[int, Page[HistoryMessage]]:
        requested.add(start)
        next_steps = _next_starts(response.result, requested, page_size)
        return Fetched(page=page_of(response, response.result.messages), next_steps=next_steps)

    return Listing(
        starts,
        run=engine.run,
        request=request,
        page=page,
        token=lambda _, after: tokens.write(after[0]),
        fresh=_WithoutOverlap(),
    )


def _next_starts(decoded: DecodedHistory, requested: set[int], page_size: int) -> list[int]:
    """Return the start of the next page, if there is one.

    Raises:
        IncompleteListing: a full page names a start that was requested before, or something else than a number.
    """
    new_start = 0 if decoded.new_start is None else whole_number(decoded.new_start)
    if not decoded.returned or (new_start is not None and new_start <= 0):
        return []
    if new_start is not None and new_start not in requested:
        return [new_start]
    if decoded.returned < page_size:
        return []
    reason = "not a number" if new_start is None else "the start of an earlier page"
    raise IncompleteListing(
        f"a full page of the history continues at {decoded.new_start!r}, which is {reason}",
        endpoint=HISTORY.name,
    )


class _WithoutOverlap:
    """Removes the messages that end one page and begin the next: whether pages overlap is not documented."""

    def __init__(self) -> None:
        self._previous: Sequence[HistoryMessage] = ()

    def __call__(self, messages: Sequence[HistoryMessage]) -> Sequence[HistoryMessage]:
        longest = min(len(self._previous), len(messages))
        overlap = next((n for n in range(longest, 0, -1) if self._previous[-n:] == messages[:n]), 0)
        self._previous = messages
        return messages[overlap:]


@frozen(kw_only=True)
class Archive:
    """The messages of the two-step history that match a filter, and the paginator of their pages.

    A step is an offset. A page takes several requests: a query is created, and its result is polled until it is ready.

    Attributes:
        engine: sends the requests.
        app_id: the project's App ID.
        window: the time range.
        ends: the source and the destination, as far as they are given.
        deadline: seconds to wait for a result if the call has no deadline of its own; None: without limit.
        steps: the offset to begin at; empty: no page.
        page_size: messages a page.
        order: `asc` or `desc`.
        tokens: writes the resume tokens of the pages.
    """

    engine: Engine
    app_id: str
    window: Window
    ends: Mapping[str, str]
    deadline: float | None
    steps: Sequence[int] = ()
    page_size: int = 100
    order: str = "asc"
    tokens: ResumeTokens = field(factory=lambda: ResumeTokens(QUERY.name))

    @property
    def filter(self) -> dict[str, str]:
        """The fields of the filter, as the API spells them."""
        seconds = {"start_time": iso(self.window.start), "end_time": iso(self.window.end + 1)}
        return {**self.ends, **seconds}

    def paged(self, page_size: int, order: str, question: Sequence[object], resume: str | None) -> "Archive":
        """Return the archive with pages. A resumed one has the time range of its token.

        `question` has the arguments of the caller that identify the listing, except `order`.

        Raises:
            InvalidRequest: a token that cannot be used.
        """
        tokens = ResumeTokens(QUERY.name, self.app_id, order, question, page_size=page_size)
        archive = evolve(self, steps=[0], page_size=page_size, order=order, tokens=tokens)
        if resume is None:
            return archive
        position = tokens.read(resume, tuple[int, int, int])
        if position is None:
            return evolve(archive, steps=[])
        start, end, offset = position
        return evolve(archive, window=Window(start, end), steps=[offset])

    async def count(self) -> int:
        """Return the number of messages.

        Raises:
            DeadlineExceeded: the result is still in progress.
        """
        count, _ = await self._poll(at(COUNT, app_id=self.app_id).request(tuple(self.filter.items())))
        return count

    async def fetch(self, step: int) -> Fetched[int, Page[ArchivedMessage]]:
        """See `Paginator.fetch`."""
        body = {"filter": self.filter, "offset": step, "limit": self.page_size, "order": self.order}
        query = at(QUERY, app_id=self.app_id).request(body=json_body(body))
        handle = (await self.engine.run(query)).result
        messages, response = await self._poll(at(RESULT, app_id=self.app_id, handle=handle).request())
        is_full = len(messages) + len(response.skipped) >= self.page_size
        next_steps = [step + self.page_size] if is_full else []
        return Fetched(page=page_of(response, messages), next_steps=next_steps)

    def finalize(self, page: Page[ArchivedMessage], left: Sequence[int]) -> Page[ArchivedMessage]:
        """See `Paginator.finalize`."""
        if not left:
            return page
        return evolve(page, resume_token=self.tokens.write((self.window.start, self.window.end, left[0])))

    async def _poll(self, request: ApiRequest[R | None]) -> tuple[R, ApiResponse[R | None]]:
        deadline = current_limits().remaining(self.deadline)
        with anyio.move_on_after(deadline):
            while True:
                response = await self.engine.run(request)
                if response.result is not None:
                    return response.result, response
                await anyio.sleep(POLL)
        raise DeadlineExceeded(
            f"the result is still in progress after {deadline:g} s", endpoint=request.endpoint.name
        )


def start_at(tokens: ResumeTokens, resume: str | None, *, default: int) -> list[int]:
    """Return where a history continues: at `default` without a token, and nowhere after the last page.

    Raises:
        InvalidRequest: the text is not a resume token of this history.
    """
    position = default if resume is None else tokens.read(resume, int)
    return [] if position is None else [position]
