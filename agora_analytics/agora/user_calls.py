"""The calls of a user: a page of calls, and the sessions of the user in each of them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field, frozen

from agora_analytics.agora.records import Call, Session
from agora_analytics.core.record import Record
from agora_analytics.engine.pages import Fetched, Page, Paginator
from agora_analytics.kit.listing import FirstSeen

if TYPE_CHECKING:
    import pyarrow as pa

_PARALLEL = 8  # requests for sessions that wait for their slots at the same time


@frozen(kw_only=True)
class UserCall(Record):
    """A call that a user was in.

    Attributes:
        call: the call.
        sessions: the sessions of this user, newest join first.
    """

    call: Call
    sessions: tuple[Session, ...]


@define
class UserCallPaginator:
    """The paginator of a user's calls: a page of calls, and the sessions of the user in each of them."""

    calls: Paginator[Any, Page[Call]]
    sessions_of: Callable[[Call], Awaitable[Sequence[Session]]]
    _unseen: FirstSeen[UserCall] = field(factory=lambda: FirstSeen(lambda found: found.call.call_id))

    @property
    def steps(self) -> Sequence[Any]:
        """See `Paginator.steps`."""
        return self.calls.steps

    async def fetch(self, step: Any) -> Fetched[Any, Page[UserCall]]:
        """See `Paginator.fetch`."""
        fetched = await self.calls.fetch(step)
        slots = asyncio.Semaphore(_PARALLEL)

        async def find(call: Call) -> UserCall:
            async with slots:
                return UserCall(call=call, sessions=tuple(await self.sessions_of(call)))

        try:
            async with asyncio.TaskGroup() as group:
                searches = [group.create_task(find(call)) for call in fetched.page.records]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        found = [search.result() for search in searches]
        page: Page[UserCall] = Page(
            records=[each for each in found if each.sessions],
            meta=fetched.page.meta,
            raw=fetched.page.raw,
            skipped=fetched.page.skipped,
        )
        return Fetched(page=page, next_steps=fetched.next_steps, after=fetched.after)

    def finalize(self, page: Page[UserCall], left: Sequence[Any]) -> Page[UserCall]:
        """See `Paginator.finalize`."""
        token = self.calls.finalize(Page(records=(), meta=page.meta), left).resume_token
        return evolve(page, records=self._unseen(page.records), resume_token=token)


def sessions_of_user(pages: Sequence[Page[UserCall]]) -> "pa.Table":
    """Return the sessions of a user as a table, with the schema of the sessions of a call."""
    import pyarrow as pa

    from agora_analytics.agora.arrow import sessions_table
    from agora_analytics.schemas import SESSIONS

    tables = [
        sessions_table([found.sessions], call_id=found.call.call_id)
        for page in pages
        for found in page.records
    ]
    return pa.concat_tables([SESSIONS.empty_table(), *tables])
