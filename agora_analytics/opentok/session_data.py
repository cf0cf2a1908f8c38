"""The listings of sessions and of their meetings."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from agora_analytics.instants import Instant
from agora_analytics.opentok import query_builders
from agora_analytics.opentok.graphql_query import Field
from agora_analytics.opentok.listing import Lister, Text, members, several, table_of
from agora_analytics.opentok.pagination import InsightsPages
from agora_analytics.opentok.query_builders import MeetingFilter
from agora_analytics.opentok.records import Meeting, MeetingSummary, Session, SessionSummary, record
from agora_analytics.opentok.spec import SESSION_DATA

T = TypeVar("T")

_SESSIONS = ("project", "sessionData", "sessions")
_SUMMARIES = ("project", "sessionData", "sessionSummaries")
_AT_A_TIME = 50
"""Sessions that one query asks for; the guide splits what returns more than a hundred resources."""


class SessionData(Lister):
    """Sessions and their meetings; needs Advanced Insights."""

    def session_summaries(
        self,
        since: Instant,
        until: Instant = "now",
        *,
        minutes: bool = False,
        fields: Sequence[str] = query_builders.SUMMARY,
        resume: str | None = None,
    ) -> InsightsPages[SessionSummary]:
        """List the sessions with a meeting that began in `since <= t < until`, each with all of its meetings.

        Args:
            since: an aware datetime, ISO 8601, epoch seconds, or a time ago (`6h`, `2d`): at most 21 days.
            until: likewise.
            minutes: ask for streamed minutes too, which is slow.
            fields: what is asked for of each meeting, as the API spells it; default: all that is known of.
            resume: a page's `resume_token`, to go on behind it; with the same arguments.

        Raises:
            WindowOutOfReach: nothing of the range is there; raised before a request.
            InvalidRequest: milliseconds, a naive datetime, `until` not after `since`.
            AccessDenied: Advanced Insights is not enabled, or the query was too large (code 1014).
            IncompleteListing: a list changed while its pages were read.
            DecodeError: no error came, and no list.
            AuthenticationError, RateLimited, TransportError, ServerError: no good answer came.

        Example:
            async for summary in client.session_summaries("2d"):
                print(summary.session_id, [meeting.created_at for meeting in summary.meetings])

        Source: `reference/opentok-insights.md`, section 6.
        """
        window = self._asker.legal(since, until)
        query = query_builders.summaries_query(self._asker.project_id, window, minutes=minutes, fields=fields)

        def read(member: Mapping[str, Any]) -> Iterator[SessionSummary]:
            session_id = str(member.get("sessionId"))
            meetings = (
                record(MeetingSummary, one, session_id=session_id) for one in members(member, "meetings")
            )
            yield record(SessionSummary, member, session_id=session_id, meetings=tuple(meetings))

        return self._listing([query], _SUMMARIES, read, table_of(SessionSummary), SESSION_DATA, resume)

    def sessions(
        self, session_ids: Text, *, minutes: bool = False, resume: str | None = None
    ) -> InsightsPages[Session]:
        """List sessions, each with all of its meetings. Any number of ids; 50 at a time are asked for.

        Args:
            session_ids: one, or several.
            minutes: ask for streamed minutes too, which is slow.
            resume: a page's `resume_token`, to go on behind it; with the same arguments.

        Raises:
            InvalidRequest: no id, or an id that is empty or named twice.
            IncompleteListing: a list changed while its pages were read.
            NotFound: a session is not known.
            As `session_summaries`.

        Example:
            (session,) = await client.sessions("1_MX4xMDB-fjE1Mzg4NzA0MjExNDd-VjRuSWhpn4").collect()

        Source: `reference/opentok-insights.md`, section 6.
        """

        def read(member: Mapping[str, Any]) -> Iterator[Session]:
            session_id = str(member.get("sessionId"))
            meetings = (record(Meeting, one, session_id=session_id) for one in members(member, "meetings"))
            yield record(Session, member, session_id=session_id, meetings=tuple(meetings))

        queries = self._of_sessions(session_ids, MeetingFilter(), minutes=minutes)
        return self._listing(queries, _SESSIONS, read, table_of(Session), SESSION_DATA, resume)

    def meetings(
        self,
        session_ids: Text,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        meeting_id: str | None = None,
        minutes: bool = False,
        resume: str | None = None,
    ) -> InsightsPages[Meeting]:
        """List the meetings of sessions.

        Args:
            session_ids: one, or several.
            since, until: only meetings that began in `since <= t < until`, at most 21 days ago.
            meeting_id: only the entries of this meeting.
            minutes: ask for streamed minutes too, which is slow.
            resume: a page's `resume_token`, to go on behind it; with the same arguments.

        Raises:
            As `sessions`.

        Example:
            meetings = await client.meetings(session_id, since="1d").collect()

        Source: `reference/opentok-insights.md`, section 6.
        """
        part = self._part(since, until, meeting_id)

        def read(session_id: str, meeting: Mapping[str, Any]) -> Iterator[Meeting]:
            yield record(Meeting, meeting, session_id=session_id)

        return self._of_meetings(Meeting, session_ids, part, read, minutes=minutes, resume=resume)

    def _of_meetings(
        self,
        kind: type[T],
        session_ids: Text,
        part: MeetingFilter,
        read: Callable[[str, Mapping[str, Any]], Iterable[T]],
        *inner: Field,
        minutes: bool = False,
        resume: str | None,
        at_a_time: int = _AT_A_TIME,
    ) -> InsightsPages[T]:
        def of_session(member: Mapping[str, Any]) -> Iterator[T]:
            for meeting in members(member, "meetings"):
                known = record(Meeting, meeting, session_id="")
                if part.has(known.created_at, known.meeting_id):
                    yield from read(str(member.get("sessionId")), meeting)

        queries = self._of_sessions(session_ids, part, *inner, minutes=minutes, at_a_time=at_a_time)
        return self._listing(queries, _SESSIONS, of_session, table_of(kind), SESSION_DATA, resume)

    def _of_sessions(
        self,
        session_ids: Text,
        part: MeetingFilter,
        *inner: Field,
        minutes: bool = False,
        at_a_time: int = _AT_A_TIME,
    ) -> list[Field]:
        ids = several(session_ids)
        query_builders.check_session_ids(ids)
        return [
            query_builders.sessions_query(
                self._asker.project_id, ids[i : i + at_a_time], part, *inner, minutes=minutes
            )
            for i in range(0, len(ids), at_a_time)
        ]

    def _part(self, since: Instant | None, until: Instant | None, meeting_id: str | None) -> MeetingFilter:
        first, last = self._asker.bounds(since, until, of=SESSION_DATA, names=("since", "until"))
        if first is not None:
            first = max(first, self._asker.oldest)  # the server refuses what reaches further back
        return MeetingFilter(since=first, until=last, meeting_id=meeting_id)
