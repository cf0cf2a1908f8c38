"""Finds a call by its id, and the calls of a user. The API has neither, so both list calls and select."""

from __future__ import annotations

import re
from contextlib import aclosing
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack, cast

from agora_analytics.agora.call_statistics import CallStatistics
from agora_analytics.engine.call_options import CallOptions, takes_call_options
from agora_analytics.errors import CallNotFound, InvalidRequest, WindowOutOfReach
from agora_analytics.instants import Instant, epoch_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agora_analytics.agora.client import AsyncAgora
    from agora_analytics.agora.records import Call, Session
    from agora_analytics.agora.settings import Settings
    from agora_analytics.agora.user_calls import UserCall
    from agora_analytics.core.endpoint import Endpoint
    from agora_analytics.engine.pages import Page, Pages, Paginator

AROUND = 600
"""Seconds before and after `around=` that are searched, because clocks and memories differ."""
_ID = re.compile(r"[0-9A-Za-z_-]{1,128}", re.ASCII)
# The ids of the vendor's samples have 21 and 24 letters and digits; a channel name is often shorter.
_SHORTEST_ID = 16


def can_be_call_id(text: str) -> bool:
    """Return whether a text has only the characters of the ids of calls."""
    return _ID.fullmatch(text) is not None


def looks_like_call_id(text: str) -> bool:
    """Return whether a text has the length of an id and a digit, unlike most names of channels."""
    return can_be_call_id(text) and len(text) >= _SHORTEST_ID and any(map(str.isdecimal, text))


@takes_call_options
class CallLookup(CallStatistics):
    """The methods of `AsyncAgora` that find calls by something else than their time."""

    settings: Settings

    async def find_call(
        self,
        call_id: str,
        around: Instant | None = None,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        cname: str | None = None,
        max_pages: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Call:
        """Return the call with an id.

        The API cannot look up an id, so calls are listed until the id is among them, the newest first. A request lists
        100 calls. Without a time, that is the whole range that the plan allows, so pass what you know. Simultaneous
        searches for the same call are one search. A finished call is found again without a request (`cache_bytes`).

        Args:
            call_id: the id.
            around: a time within ten minutes of the call: an aware datetime, ISO 8601, epoch seconds, or a time ago.
            since: the start of the search; default: the earliest time that the plan allows.
            until: the end of the search; default: now.
            cname: the channel of the call, if it is known.
            max_pages: the most pages of 100 calls to list; None: all.

        Raises:
            CallNotFound: the call is not in the range that was searched.
            InvalidRequest: the text cannot be a call id, or, without a time, does not look like one; no request was
                sent. Also `around` together with `since` or `until`, and as `calls`.
            WindowOutOfReach: no part of the range is in the plan's reach.

        Example:
            call = await client.find_call("2a9f4e0c7b1d4c8fa3", around="2026-11-20T09:30Z")
            table = await client.metrics(call).to_arrow()
        """
        from agora_analytics.agora.operations import LISTS
        from agora_analytics.core.resume_tokens import as_asked

        is_narrow = around is not None or since is not None
        if not can_be_call_id(call_id):
            raise InvalidRequest(
                f"{call_id[:128]!r} cannot be a call id; pass the id as the list of calls has it"
            )
        if not is_narrow and not looks_like_call_id(call_id):
            raise InvalidRequest(
                f"{call_id!r} does not look like a call id, which has 16 characters or more and a digit; "
                "pass around= or since= to search anyway"
            )
        if around is not None and (since is not None or until is not None):
            raise InvalidRequest("around= and since= or until= exclude each other; pass one of them")
        kept: Call | None = self._engine.shared.final.get(("call", call_id))
        is_listed = kept is not None and kept.destroyed_ts >= self._engine.reach(LISTS).start
        if kept is not None and is_listed and cname in (None, kept.cname):
            return deepcopy(kept)  # a caller may change `extra`
        times = [as_asked(each) for each in (around, since, until)]
        search = partial(self._search, call_id, around, since, until, cname, max_pages)
        key = ("find_call", call_id, *times, cname, max_pages)
        return deepcopy(await self._engine.shared.share(key, search, LISTS.name))

    async def _search(
        self,
        call_id: str,
        around: Instant | None,
        since: Instant | None,
        until: Instant | None,
        cname: str | None,
        max_pages: int | None,
    ) -> Call:
        from agora_analytics.agora.operations import LISTS

        client, now = cast("AsyncAgora", self), self._now()
        begin, end = client.reach(LISTS).start if since is None else since, now if until is None else until
        if around is not None:
            middle = epoch_seconds(around, now=now, name="around")
            begin, end = middle - AROUND, max(min(middle + AROUND, now), middle - AROUND + 1)
        first, last = (epoch_seconds(each, now=now) for each in (begin, end))
        count, is_complete = 0, True
        async with aclosing(client.calls(begin, end, cname=cname).pages()) as pages:
            async for page in pages:
                count += 1
                for call in page.records:
                    if call.call_id == call_id:
                        if self._is_settled(call):
                            self._engine.shared.final.put(("call", call_id), call, len(repr(call)))
                        return call
                if page.resume_token and count == max_pages:
                    is_complete = False
                    break
        raise CallNotFound(
            f"no call with the id {call_id}{f' in channel {cname}' if cname else ''}",
            call_id=call_id,
            since=first,
            until=last,
            pages=count,
            complete=is_complete,
        )

    def calls_of_user(
        self,
        uid: str | int,
        since: Instant,
        until: Instant = "now",
        *,
        cname: str | None = None,
        resume: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[UserCall]:
        """List the calls that a user was in, each with the sessions of the user, the newest call first.

        The API has no such filter, so the calls of the range are listed, and the sessions of each are requested for
        this user: one request for 100 calls, and one for each call. Pass a short range or a channel. A page has the
        user's calls among 100 calls of the range, and may be empty. Calls whose data is not available yet are left
        out (see `sessions`).

        Args:
            uid: the user id. A negative id is one that a client printed as a signed integer: 2**32 is added.
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`).
            until: likewise.
            cname: only calls of this channel.
            resume: a page's `resume_token`, to continue after that page; pass the same other arguments.

        Raises:
            InvalidRequest: not a user id, and as `calls`.
            WindowOutOfReach: no part of the range is in the plan's reach.

        Example:
            async for found in client.calls_of_user("2882341273", "6h"):
                print(found.call.created_at, found.call.cname, len(found.sessions))
        """
        from agora_analytics.agora.user_calls import UserCallPaginator, sessions_of_user
        from agora_analytics.agora.user_ids import user_ids

        client = cast("AsyncAgora", self)

        async def sessions_of(call: Call) -> Sequence[Session]:
            try:
                return await client.sessions(call, uids=[uid], exclude_server_user=False).collect()
            except WindowOutOfReach:  # the call has left the plan's reach since it was listed
                return ()

        async def paginator() -> Paginator[Any, Page[UserCall]]:
            if self._validates(None):
                user_ids([uid])
            calls = self._call_pages(since, until, cname=cname, resume=resume, uid=uid)
            return UserCallPaginator(calls, sessions_of)

        return self._pages(paginator, table=sessions_of_user)

    def _call_pages(
        self,
        since: Instant,
        until: Instant,
        *,
        cname: str | None,
        settled: bool = False,
        page_size: int = 100,
        resume: str | None,
        validate: bool | None = None,
        as_rows: bool = False,
        uid: str | int | None = None,
    ) -> Paginator[Any, Page[Call]]:
        """Return the paginator of a list of calls; `uid` is a part of the question of its resume tokens."""
        from agora_analytics.agora import listings, operations
        from agora_analytics.core.resume_tokens import as_asked

        chosen = (*(("settled",) if settled else ()), *(() if uid is None else ("uid", str(uid))))
        return listings.plan_records(
            self._engine,
            operations.LISTS,
            (("appid", self.settings.app_id), *((("cname", cname),) if cname else ())),
            self._window(since, until, validate=validate),
            page_size,
            resume,
            (as_asked(since), as_asked(until), *chosen),
            validate=self._validates(validate),
            as_rows=as_rows,
            keep=self._is_settled if settled else None,
        )

    def _is_settled(self, call: Call | str, endpoint: Endpoint | None = None) -> bool:
        from agora_analytics.agora.call_arguments import is_settled
        from agora_analytics.agora.operations import METRICS

        return is_settled(call, endpoint or METRICS, self.settings.plan, self._engine)
