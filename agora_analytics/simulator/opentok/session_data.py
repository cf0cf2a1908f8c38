"""Resolves `sessionData`: sessions, meetings, connections, streams and statistics, up to five minutes ago.

A row maps the schema's names to values, or to functions that graphql-core calls for the requested fields.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
from attrs import frozen

from agora_analytics.simulator.opentok.dates import epoch_ms
from agora_analytics.simulator.opentok.execution import LeafRow
from agora_analytics.simulator.opentok.ground_truth import (
    ConnectionTruth,
    MeetingTruth,
    OpenTokSessionTruth,
    PublisherTruth,
    SampledStream,
    Stay,
    StreamTruth,
    SubscriberTruth,
)
from agora_analytics.simulator.opentok.pages import page
from agora_analytics.simulator.opentok.rules import OpenTokRefused, Rules
from agora_analytics.simulator.opentok.samples import MEASURES
from agora_analytics.simulator.opentok.usage import most_at_once, participant_minutes, total_minutes
from agora_analytics.simulator.opentok.world import OpenTokWorld

Row = dict[str, Any]
_Stay = TypeVar("_Stay", bound=Stay)


@frozen(kw_only=True, eq=False)
class SessionDataResolver:
    """Resolves the sessions of a world: nothing newer than `edge_ms`, no meeting before `oldest_ms`."""

    world: OpenTokWorld
    rules: Rules
    edge_ms: int
    oldest_ms: int

    def sessions(self, _info: Any, **args: Any) -> Row:
        """Resolve `sessions(sessionIds)`."""
        ids = [session_id for session_id in args["sessionIds"] if session_id]
        if not ids:
            raise OpenTokRefused(1018)
        sessions = [self._visible_session(session_id) for session_id in dict.fromkeys(ids)]
        missing = next((session for session in sessions if isinstance(session, OpenTokRefused)), None)
        if missing and self.rules.missing == "refuse":
            raise missing
        return self._page("sessions", sessions, partial(self._session, as_row=self._meeting), args)

    def summaries(self, _info: Any, **args: Any) -> Row:
        """Resolve `sessionSummaries(start, end)`."""
        start, end = self._range(args)
        sessions = [
            session
            for session in self.world.sessions
            if any(start <= meeting.created_ms < end for meeting in self._meetings_of(session))
        ]
        return self._page(
            "sessionSummaries", sessions, partial(self._session, as_row=self._meeting_summary), args
        )

    def _range(self, args: Mapping[str, Any]) -> tuple[int, int]:
        start = epoch_ms(args["start"]) if args.get("start") is not None else self.oldest_ms
        end = epoch_ms(args["end"]) if args.get("end") is not None else max(self.edge_ms + 1, start + 1)
        if start >= end:
            raise OpenTokRefused(1002, "start is not before end.")
        if start < self.oldest_ms:
            raise OpenTokRefused(1002, "start is more than 21 days ago.")
        return start, end

    def _visible_session(self, session_id: str) -> OpenTokSessionTruth | OpenTokRefused:
        session = self.world.session(session_id)
        if session is None or not self._meetings_of(session):
            return OpenTokRefused(1017, session_id)
        return session

    def _meetings_of(self, session: OpenTokSessionTruth) -> list[MeetingTruth]:
        return [
            meeting for meeting in session.meetings if self.oldest_ms <= meeting.created_ms <= self.edge_ms
        ]

    def _visible(self, stays: Iterable[_Stay]) -> list[_Stay]:
        return [stay for stay in stays if stay.created_ms <= self.edge_ms]

    def _page(
        self, collection: str, rows: Sequence[Any], as_row: Callable[[Any], Any], args: Mapping[str, Any]
    ) -> Row:
        def cut(begin: int, end: int) -> list[Any]:
            return [row if isinstance(row, OpenTokRefused) else as_row(row) for row in rows[begin:end]]

        return page(collection, len(rows), cut, args, self.rules)

    def _stays(
        self, collection: str, stays: Sequence[Any], as_row: Callable[[Any], Any], _info: Any, **args: Any
    ) -> Row:
        """Resolve a list of connections or streams, with the most at the same time."""
        visible = self._visible(stays)
        return self._page(collection, visible, as_row, args) | {
            "maxConcurrent": lambda _info: most_at_once(visible, self.edge_ms)
        }

    def _times(self, stay: Stay) -> Row:
        ended = stay.destroyed_ms is not None and stay.destroyed_ms <= self.edge_ms
        return {"createdAt": stay.created_ms, "destroyedAt": stay.destroyed_ms if ended else None}

    def _minutes(self, meetings: Sequence[MeetingTruth]) -> Row:
        def total(side: Literal["publishers", "subscribers"]) -> float:
            stays = (stay for meeting in meetings for stay in self._visible(getattr(meeting, side)))
            return total_minutes(stays, self.edge_ms)

        return {
            "publisherMinutes": lambda _info: total("publishers"),
            "subscriberMinutes": lambda _info: total("subscribers"),
            "participantMinutes": lambda _info: participant_minutes(meetings, self.edge_ms),
        }

    def _session(self, session: OpenTokSessionTruth, as_row: Callable[[MeetingTruth], Row]) -> Row:
        meetings = self._meetings_of(session)
        return {
            "sessionId": session.session_id,
            "mediaMode": session.media_mode,
            "meetings": partial(self._meetings, meetings, as_row),
            **self._minutes(meetings),
        }

    def _meetings(
        self, meetings: Sequence[MeetingTruth], as_row: Callable[[MeetingTruth], Row], _info: Any, **args: Any
    ) -> Row:
        start, end = self._range(args)
        meeting_id = args.get("meetingId")
        selected = [
            meeting
            for meeting in meetings
            if start <= meeting.created_ms < end and meeting_id in (None, meeting.meeting_id)
        ]
        return self._page("meetings", selected, as_row, args)

    def _meeting(self, meeting: MeetingTruth) -> Row:
        connection, publisher = partial(self._connection, meeting), partial(self._publisher, meeting)
        return {
            "meetingId": meeting.meeting_id,
            "connections": partial(self._stays, "connections", meeting.connections, connection),
            "publishers": partial(self._stays, "publishers", meeting.publishers, publisher),
            "subscribers": partial(self._stays, "subscribers", meeting.subscribers, self._subscriber),
            **self._times(meeting),
            **self._minutes([meeting]),
        }

    def _connection(self, meeting: MeetingTruth, connection: ConnectionTruth) -> Row:
        def own(stays: Iterable[Any]) -> list[Any]:
            return [stay for stay in stays if stay.connection_id == connection.connection_id]

        client = connection.client
        program = f"{client.browser or client.sdk_type}/{client.browser_version or client.sdk_version}"
        return {
            "connectionId": connection.connection_id,
            "guid": connection.guid,
            "country": client.country,
            "region": client.region,
            "city": client.city,
            "browser": client.browser,
            "browserVersion": client.browser_version,
            "deviceModel": client.device_model,
            "userAgent": f"Mozilla/5.0 ({client.device_model or 'desktop'}) {program}",
            "sdkType": client.sdk_type,
            "sdkVersion": client.sdk_version,
            "publishers": lambda info, **args: self._stays(
                "publishers", own(meeting.publishers), partial(self._publisher, meeting), info, **args
            ),
            "subscribers": lambda info, **args: self._stays(
                "subscribers", own(meeting.subscribers), self._subscriber, info, **args
            ),
            **self._times(connection),
        }

    def _publisher(self, meeting: MeetingTruth, publisher: PublisherTruth) -> Row:
        def received() -> list[SubscriberTruth]:
            return [other for other in meeting.subscribers if other.stream is publisher.stream]

        return {
            "connectionId": publisher.connection_id,
            "stream": _stream(publisher.stream),
            "subscribers": lambda info, **args: self._stays(
                "subscribers", received(), self._subscriber, info, **args
            ),
            "streamStatsCollection": partial(
                self._statistics,
                publisher,
                {"hasAudio": publisher.stream.audio, "hasVideo": publisher.stream.video},
            ),
            **self._times(publisher),
        }

    def _subscriber(self, subscriber: SubscriberTruth) -> Row:
        return {
            "subscriberId": subscriber.subscriber_id,
            "connectionId": subscriber.connection_id,
            "stream": _stream(subscriber.stream),
            "streamStatsCollection": partial(
                self._statistics,
                subscriber,
                {"subscribeToAudio": subscriber.audio, "subscribeToVideo": subscriber.video},
            ),
            **self._times(subscriber),
        }

    def _statistics(self, source: SampledStream, flags: Mapping[str, bool], _info: Any, **args: Any) -> Row:
        samples = self.world.samples(source, self.edge_ms)
        codecs = {
            "audioCodec": "opus" if source.stream.audio else None,
            "videoCodec": "VP8" if source.stream.video else None,
        }

        def cut(begin: int, end: int) -> list[Row]:
            numbers = samples.values[:, begin:end].T
            values = numbers.astype(object)
            values[np.isnan(numbers)] = None
            columns = zip(
                samples.ms[begin:end].tolist(),
                samples.resolution[begin:end].tolist(),
                values.tolist(),
                strict=True,
            )
            return [
                LeafRow(
                    zip(MEASURES, row, strict=True), createdAt=ms, videoResolution=size, **codecs, **flags
                )
                for ms, size, row in columns
            ]

        return page("streamStatsCollection", len(samples), cut, args, self.rules)

    def _meeting_summary(self, meeting: MeetingTruth) -> Row:
        row: Row = {"meetingId": meeting.meeting_id, **self._times(meeting), **self._minutes([meeting])}
        for name, stays in (
            ("Connections", meeting.connections),
            ("Streams", meeting.publishers),
            ("Subscribers", meeting.subscribers),
        ):
            visible: Sequence[Any] = self._visible(stays)
            row[f"total{name}"] = len(visible)
            row[f"maxConcurrent{name}"] = lambda _info, visible=visible: most_at_once(visible, self.edge_ms)
        return row


def _stream(stream: StreamTruth) -> Row:
    return {
        "streamId": stream.stream_id,
        "videoType": stream.video_type,
        "hasAudioTrack": stream.audio,
        "hasVideoTrack": stream.video,
    }
