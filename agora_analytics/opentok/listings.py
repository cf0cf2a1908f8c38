"""The listings of Insights: what each of them requests, and the records that its response becomes. Pure.

Source: Vonage, "Insights Dashboard & API", "Obtaining Project Data" and "Obtaining Session Data".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from agora_analytics.core.lenient_reader import LenientReader, kind_of, read_id
from agora_analytics.core.numbers import exact_float
from agora_analytics.core.record_table import record_table
from agora_analytics.core.spelling import did_you_mean
from agora_analytics.engine.events import Event, FilterIgnored
from agora_analytics.errors import InvalidRequest
from agora_analytics.opentok import query_builders
from agora_analytics.opentok.graphql_query import Field, OneOrMore, as_list
from agora_analytics.opentok.pagination import ListingPlan, Member, objects_in, value_at
from agora_analytics.opentok.query_builders import MeetingFilter
from agora_analytics.opentok.records import (
    Connection,
    Meeting,
    MeetingSummary,
    ProjectRow,
    Publisher,
    Session,
    SessionSummary,
    StreamSample,
    Subscriber,
    moment,
    project_table,
    record,
    snake,
)
from agora_analytics.opentok.spec import PROJECT_DATA, SESSION_DATA, Browser, GroupBy, Interval, SdkType

T = TypeVar("T")

SESSIONS_PER_QUERY = 50
"""Sessions in one query. The guide recommends to split queries that return more than a hundred resources."""
_SESSIONS = ("project", "sessionData", "sessions")
_SUMMARIES = ("project", "sessionData", "sessionSummaries")
_PROJECT_DATA = ("project", "projectData")
_STREAM_ID = ("stream", "streamId")
_ROLES = ("publisher", "subscriber")
_PARTICIPANTS = {Connection: "connection", Publisher: "publisher", Subscriber: "subscriber"}


def members_of(
    value: Mapping[str, Any], name: str, reader: LenientReader, path: str
) -> list[tuple[dict[str, Any], str]]:
    """Return the members of a collection in a response, each with its path; those that are null are left out."""
    collection, path = value.get(name), f"{path}.{name}"
    if not isinstance(collection, dict | None):
        reader.skip(path, f"expected an object, found {kind_of(collection)}")
        return []
    return objects_in(reader.inner_list((collection or {}).get("resources"), path), reader, path)


PlanInMeetings = Callable[[str, OneOrMore, MeetingFilter], ListingPlan[T]]
"""(project id, session ids, chosen meetings) -> the listing."""


def of_chosen_meetings(
    plan: PlanInMeetings[T],
    project_id: str,
    session_ids: OneOrMore,
    meeting_id: str | None,
    first: float | None,
    last: float | None,
) -> ListingPlan[T]:
    """Return a listing of the meetings that began in a time range, or that have an id."""
    return plan(project_id, session_ids, MeetingFilter(since=first, until=last, meeting_id=meeting_id))


def session_summaries(
    project_id: str, start: float | None, end: float | None, *, minutes: bool, fields: Sequence[str]
) -> ListingPlan[SessionSummary]:
    """Return the listing of the sessions that had a meeting in a time range."""
    return ListingPlan(
        kind=SessionSummary,
        endpoint=SESSION_DATA,
        queries=[
            query_builders.summaries_query(
                project_id, start=start or 0.0, end=end, minutes=minutes, fields=fields
            )
        ],
        outer=_SUMMARIES,
        parse=partial(_parse_session, SessionSummary, MeetingSummary),
        table=partial(record_table, SessionSummary, without={"meetings"}),
        names=_field_names(fields),
    )


def sessions(project_id: str, session_ids: OneOrMore, *, minutes: bool) -> ListingPlan[Session]:
    """Return the listing of sessions with their meetings."""
    parse = partial(_parse_session, Session, Meeting)
    return _in_sessions(Session, project_id, session_ids, parse, minutes=minutes)


def meetings(
    project_id: str, session_ids: OneOrMore, chosen: MeetingFilter, *, minutes: bool
) -> ListingPlan[Meeting]:
    """Return the listing of the meetings of sessions."""

    def parse(session_id: str, meeting: Member) -> Iterator[Meeting | None]:
        yield record(Meeting, *meeting, session_id=session_id)

    return _in_meetings(Meeting, project_id, session_ids, chosen, parse, minutes=minutes)


def participants(
    kind: type[T], project_id: str, session_ids: OneOrMore, chosen: MeetingFilter, *, fields: Sequence[str]
) -> ListingPlan[T]:
    """Return the listing of the `Connection`, `Publisher` or `Subscriber` records of meetings."""
    selection = query_builders.participant_fields(_PARTICIPANTS[kind], fields)
    parse = partial(_parse_participants, kind, selection.name)
    return _in_meetings(kind, project_id, session_ids, chosen, parse, selection, names=_field_names(fields))


def stream_samples(
    project_id: str, session_ids: OneOrMore, chosen: MeetingFilter, *, roles: OneOrMore, fields: Sequence[str]
) -> ListingPlan[StreamSample]:
    """Return the listing of the samples of streams, with one session in each query."""
    wanted = tuple(dict.fromkeys(as_list(roles)))
    if not wanted or set(wanted) - set(_ROLES):
        hint = did_you_mean(next((role for role in wanted if role not in _ROLES), ""), _ROLES)
        raise InvalidRequest(f"roles={wanted} is not valid; pass publisher, subscriber, or both{hint}")

    def parse(session_id: str, meeting: Member) -> Iterator[StreamSample | None]:
        fields, _, path = meeting
        publishers = members_of(fields, "publishers", LenientReader(), path)
        senders = {
            _text(value_at(publisher, _STREAM_ID)): publisher.get("connectionId")
            for publisher, _ in publishers
        }
        for role in wanted:
            yield from _parse_samples(session_id, meeting, role, senders)

    selections = [query_builders.sample_fields(role, fields) for role in wanted]
    options: dict[str, Any] = {"per_query": 1, "names": _field_names(fields)}
    return _in_meetings(StreamSample, project_id, session_ids, chosen, parse, *selections, **options)


def project_rows(
    project_id: str, fields: Sequence[str], start: float | None, end: float | None, **arguments: Any
) -> ListingPlan[ProjectRow]:
    """Return the listing of project data; `arguments` as `project_data_query`."""
    names = tuple(dict.fromkeys(fields))
    parents = {name.partition(".")[0] for name in names}
    if not names:
        raise InvalidRequest("no field is given; pass at least one, such as usage.hlsMinutes")

    def parse(member: Member) -> Iterator[ProjectRow | None]:
        fields, reader, path = member
        sent = {name: value_at(fields, name.split(".")) for name in names}
        values = {name: exact_float(value) for name, value in sent.items()}
        unreadable = {
            name: sent[name] for name, value in values.items() if value is None and sent[name] is not None
        }
        group = {
            name: value
            for name, value in fields.items()
            if name not in parents or not isinstance(value, dict | None)
        }
        yield record(ProjectRow, {**group, **unreadable}, reader, path, values=values)

    return ListingPlan(
        kind=ProjectRow,
        endpoint=PROJECT_DATA,
        queries=[
            query_builders.project_data_query(project_id, names, start=start or 0.0, end=end, **arguments)
        ],
        outer=_PROJECT_DATA,
        parse=parse,
        table=partial(project_table, names=names),
        names=[
            ("field", names, query_builders.PROJECT_FIELDS),
            ("interval", arguments["interval"] or (), Interval),
            ("group_by", arguments["group_by"], GroupBy),
            ("sdk_type", arguments["enum_filters"]["sdkType"], SdkType),
            ("browser", arguments["enum_filters"]["browser"], Browser),
        ],
        notices=_ignored_filters(names, **arguments),
    )


def _ignored_filters(
    fields: Sequence[str],
    *,
    group_by: OneOrMore,
    enum_filters: Mapping[str, OneOrMore],
    text_filters: Mapping[str, OneOrMore],
    **_: Any,
) -> list[Event]:
    """Return an event if the server does not apply filters or groups to all of the fields."""
    filters = {**enum_filters, **text_filters}
    names = [snake(name) for name, values in filters.items() if name != "country" and as_list(values)]
    names += [f"group_by={group}" for group in as_list(group_by) if group != GroupBy.COUNTRY]
    unfiltered = query_builders.unfiltered_fields(fields)
    if not names or not unfiltered:
        return []
    return [FilterIgnored(endpoint=PROJECT_DATA, arguments=tuple(names), fields=unfiltered)]


def _field_names(fields: Sequence[str]) -> list[tuple[str, OneOrMore, Iterable[str]]]:
    return [("field", fields, query_builders.SESSION_FIELDS)]


def _in_meetings(
    kind: type[T],
    project_id: str,
    session_ids: OneOrMore,
    chosen: MeetingFilter,
    parse: Callable[[str, Member], Iterable[T | None]],
    *selections: Field,
    **options: Any,
) -> ListingPlan[T]:
    """Return a listing of what `parse` returns for a session's id and each chosen meeting of it."""

    def parse_session(session: Member) -> Iterator[T | None]:
        fields, reader, path = session
        session_id = _text(fields.get("sessionId"))
        if not session_id:
            reader.skip(path, "sessionId is missing")
            return
        for meeting, its_path in members_of(fields, "meetings", reader, path):
            meeting_id = _text(meeting.get("meetingId"), reader, f"{its_path}.meetingId")
            if chosen.matches(moment(meeting.get("createdAt")), meeting_id):
                yield from parse(session_id, Member(meeting, reader, its_path))

    return _in_sessions(kind, project_id, session_ids, parse_session, *selections, chosen=chosen, **options)


def _in_sessions(
    kind: type[T],
    project_id: str,
    session_ids: OneOrMore,
    parse: Callable[[Member], Iterable[T | None]],
    *selections: Field,
    chosen: MeetingFilter = MeetingFilter(),  # noqa: B008 - it is frozen
    minutes: bool = False,
    per_query: int = SESSIONS_PER_QUERY,
    names: Sequence[tuple[str, OneOrMore, Iterable[str]]] = (),
) -> ListingPlan[T]:
    """Return a listing of what `parse` returns for each session, fetched with the `selections` in its meetings."""
    ids = as_list(session_ids)
    if not ids:
        raise InvalidRequest("no session id is given; pass at least one")
    if not all(str(session_id).strip() for session_id in ids):
        raise InvalidRequest("a session id is empty; leave it out")
    if len(set(ids)) < len(ids):
        raise InvalidRequest("a session id is given twice; pass each once")
    parts = [ids[i : i + per_query] for i in range(0, len(ids), per_query)]
    return ListingPlan(
        kind=kind,
        endpoint=SESSION_DATA,
        queries=[
            query_builders.sessions_query(project_id, part, chosen, *selections, minutes=minutes)
            for part in parts
        ],
        outer=_SESSIONS,
        parse=parse,
        table=partial(record_table, kind, without={"meetings"}),
        names=names,
    )


def _parse_session(kind: type[Any], meeting_kind: type[Any], session: Member) -> Iterator[Any]:
    fields, reader, path = session
    session_id = _text(fields.get("sessionId"))
    meetings = [
        record(meeting_kind, meeting, reader, its_path, session_id=session_id)
        for meeting, its_path in members_of(fields, "meetings", reader, path)
    ]
    in_it = tuple(meeting for meeting in meetings if meeting is not None)
    yield record(kind, fields, reader, path, meetings=in_it)


def _parse_participants(kind: type[Any], collection: str, session_id: str, meeting: Member) -> Iterator[Any]:
    fields, reader, path = meeting
    for member, its_path in members_of(fields, collection, reader, path):
        stream = member.get("stream")
        own = {
            name: value
            for name, value in member.items()
            if name != "stream" or not isinstance(value, dict | None)
        }
        row = {**(stream if isinstance(stream, dict) else {}), **own}
        yield record(kind, row, reader, its_path, **_meeting_of(session_id, fields))


def _parse_samples(
    session_id: str, meeting: Member, role: str, senders: Mapping[Any, Any]
) -> Iterator[StreamSample | None]:
    fields, reader, path = meeting
    for stream, its_path in members_of(fields, f"{role}s", reader, path):
        stream_id = _text(value_at(stream, _STREAM_ID), reader, f"{its_path}.stream.streamId")
        known = _meeting_of(session_id, fields) | {
            "role": role,
            "stream_id": stream_id,
            "publisher_connection_id": _text(senders.get(stream_id)),
            "connection_id": _text(stream.get("connectionId"), reader, f"{its_path}.connectionId"),
            "subscriber_id": _text(stream.get("subscriberId"), reader, f"{its_path}.subscriberId"),
        }
        for sample, place in members_of(stream, "streamStatsCollection", reader, its_path):
            yield record(StreamSample, sample, reader, place, **known)


def _meeting_of(session_id: str, meeting: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "meeting_id": _text(meeting.get("meetingId")),
        "meeting_created_at": moment(meeting.get("createdAt")),
    }


def _text(value: Any, reader: LenientReader | None = None, path: str = "") -> str | None:
    """Return an id of an enclosing object; None if it is null, empty, or cannot be read.

    With a reader, an id that cannot be read is named among the skipped. It costs the records inside nothing more.
    """
    try:
        return read_id(value) or None
    except ValueError as error:
        if reader is not None and value not in (None, ""):
            reader.skip(path, str(error))
        return None
