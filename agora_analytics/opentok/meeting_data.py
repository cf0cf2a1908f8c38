"""The listings of what was in meetings: connections, streams, and what was measured of them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from agora_analytics.errors import InvalidRequest
from agora_analytics.instants import Instant
from agora_analytics.opentok import query_builders
from agora_analytics.opentok.listing import Text, members, several
from agora_analytics.opentok.pagination import InsightsPages
from agora_analytics.opentok.records import Connection, Publisher, StreamSample, Subscriber, moment, record
from agora_analytics.opentok.session_data import SessionData


class MeetingData(SessionData):
    """Who was in the meetings of sessions, and how well they sent and received; needs Advanced Insights."""

    def connections(
        self,
        session_ids: Text,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        meeting_id: str | None = None,
        fields: Sequence[str] = query_builders.CONNECTION,
        resume: str | None = None,
    ) -> InsightsPages[Connection]:
        """List who was in the meetings of sessions: country, browser, device, SDK, from when to when.

        Args:
            session_ids: one, or several.
            since, until: only of meetings that began in `since <= t < until`.
            meeting_id: only of this meeting.
            fields: what is asked for of each connection, as the API spells it; default: all that is known of.
            resume: a page's `resume_token`, to go on behind it; with the same arguments.

        Raises:
            As `sessions`.

        Example:
            table = await client.connections(session_id).to_arrow()

        Source: `reference/opentok-insights.md`, section 6.
        """
        part = self._part(since, until, meeting_id)
        read = partial(_of_list, Connection, "connections")
        return self._of_meetings(
            Connection, session_ids, part, read, query_builders.connection_fields(fields), resume=resume
        )

    def publishers(
        self,
        session_ids: Text,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        meeting_id: str | None = None,
        fields: Sequence[str] = query_builders.STREAM,
        resume: str | None = None,
    ) -> InsightsPages[Publisher]:
        """List the streams that were sent into the meetings of sessions.

        Args and Raises:
            As `connections`.

        Example:
            publishers = await client.publishers(session_id, meeting_id=meeting.meeting_id).collect()

        Source: `reference/opentok-insights.md`, section 6.
        """
        part = self._part(since, until, meeting_id)
        read = partial(_of_list, Publisher, "publishers")
        return self._of_meetings(
            Publisher,
            session_ids,
            part,
            read,
            query_builders.stream_fields("publisher", fields),
            resume=resume,
        )

    def subscribers(
        self,
        session_ids: Text,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        meeting_id: str | None = None,
        fields: Sequence[str] = query_builders.STREAM,
        resume: str | None = None,
    ) -> InsightsPages[Subscriber]:
        """List the streams that were received in the meetings of sessions.

        Args and Raises:
            As `connections`.

        Example:
            subscribers = await client.subscribers(session_id).collect()

        Source: `reference/opentok-insights.md`, section 6.
        """
        part = self._part(since, until, meeting_id)
        read = partial(_of_list, Subscriber, "subscribers")
        return self._of_meetings(
            Subscriber,
            session_ids,
            part,
            read,
            query_builders.stream_fields("subscriber", fields),
            resume=resume,
        )

    def stream_stats(
        self,
        session_ids: Text,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        meeting_id: str | None = None,
        roles: Text = ("publisher", "subscriber"),
        fields: Sequence[str] = query_builders.STATS,
        resume: str | None = None,
    ) -> InsightsPages[StreamSample]:
        """List what was measured of the streams of sessions every 30 seconds, where they were sent and received.

        A page is a session, and takes one request at least.

        Args:
            session_ids: one, or several.
            since, until: only of meetings that began in `since <= t < until`.
            meeting_id: only of this meeting.
            roles: `publisher`, `subscriber`, or both.
            fields: what is asked for of each sample, as the API spells it; default: all that is known of.
            resume: a page's `resume_token`, to go on behind it; with the same arguments.

        Raises:
            As `sessions`.

        Example:
            table = await client.stream_stats(session_id, since="2d").to_arrow()

        Source: `reference/opentok-insights.md`, section 6.
        """
        chosen = tuple(dict.fromkeys(several(roles)))
        if not chosen or set(chosen) - {"publisher", "subscriber"}:
            raise InvalidRequest(f"roles={chosen}: name publisher, subscriber, or both")
        part = self._part(since, until, meeting_id)

        def read(session_id: str, meeting: Mapping[str, Any]) -> Iterator[StreamSample]:
            senders = {_stream_id(one): one.get("connectionId") for one in members(meeting, "publishers")}
            return chain.from_iterable(_samples(session_id, meeting, role, senders) for role in chosen)

        wanted = [query_builders.sample_fields(role, fields) for role in chosen]
        return self._of_meetings(StreamSample, session_ids, part, read, *wanted, resume=resume, at_a_time=1)


def _of_list(kind: type[Any], name: str, session_id: str, meeting: Mapping[str, Any]) -> Iterator[Any]:
    for member in members(meeting, name):
        its_own = {name: value for name, value in member.items() if name != "stream"}
        yield record(kind, {**(member.get("stream") or {}), **its_own}, **_known(session_id, meeting))


def _stream_id(stream: Mapping[str, Any]) -> Any:
    return (stream.get("stream") or {}).get("streamId")


def _samples(
    session_id: str, meeting: Mapping[str, Any], role: str, senders: Mapping[Any, Any]
) -> Iterator[StreamSample]:
    for stream in members(meeting, f"{role}s"):
        known = _known(session_id, meeting) | {
            "role": role,
            "stream_id": _stream_id(stream),
            "publisher_connection_id": senders.get(_stream_id(stream)),
            "connection_id": stream.get("connectionId"),
            "subscriber_id": stream.get("subscriberId"),
        }
        for sample in members(stream, "streamStatsCollection"):
            yield record(StreamSample, sample, **known)


def _known(session_id: str, meeting: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "meeting_id": meeting.get("meetingId"),
        "meeting_created_at": moment(meeting.get("createdAt")),
    }
