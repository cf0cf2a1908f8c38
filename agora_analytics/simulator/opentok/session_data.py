"""Session data as they are answered: the truth up to five minutes ago, in the shape of the schema.

A row is a mapping from the schema's names to values, or to functions that graphql-core calls when they are asked for.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
from attrs import frozen

from agora_analytics.simulator.opentok.date_scalar import epoch_ms
from agora_analytics.simulator.opentok.fast_rows import LeafRow
from agora_analytics.simulator.opentok.ground_truth import (
    ConnectionTruth,
    MeetingTruth,
    OpenTokSessionTruth,
    PublisherTruth,
    StreamTruth,
    SubscriberTruth,
)
from agora_analytics.simulator.opentok.minutes import Stay, most_at_once, participant_minutes, total_minutes
from agora_analytics.simulator.opentok.pages import page
from agora_analytics.simulator.opentok.refusals import OpenTokRefused
from agora_analytics.simulator.opentok.rules import Rules
from agora_analytics.simulator.opentok.samples import MEASURES
from agora_analytics.simulator.opentok.world import OpenTokWorld

Row = dict[str, Any]
_Stay = TypeVar("_Stay", bound=Stay)


@frozen(kw_only=True, eq=False)
class SessionDataResolver:
    """What can be seen of a world's sessions at one moment: nothing younger than `edge_ms`, no meeting before `oldest_ms`."""

    world: OpenTokWorld
    rules: Rules
    edge_ms: int
    oldest_ms: int

    def sessions(self, _info: Any, **asked: Any) -> Row:
        """Answer `sessions(sessionIds)`."""
        ids = [one for one in asked["sessionIds"] if one]
        if not ids:
            raise OpenTokRefused(1018)
        found = [self._found(session_id) for session_id in dict.fromkeys(ids)]
        missing = next((one for one in found if isinstance(one, OpenTokRefused)), None)
        if missing and self.rules.missing == "refuse":
            raise missing
        return self._page("sessions", found, self._session, asked)

    def summaries(self, _info: Any, **asked: Any) -> Row:
        """Answer `sessionSummaries(start, end)`."""
        start, end = self._range(asked)
        found = [
            session
            for session in self.world.sessions
            if any(start <= meeting.created_ms < end for meeting in self._meetings_of(session))
        ]
        return self._page("sessionSummaries", found, self._summary, asked)

    def _range(self, asked: Mapping[str, Any]) -> tuple[int, int]:
        start = epoch_ms(asked["start"]) if asked.get("start") is not None else self.oldest_ms
        end = epoch_ms(asked["end"]) if asked.get("end") is not None else max(self.edge_ms + 1, start + 1)
        if start >= end:
            raise OpenTokRefused(1002, "start is not before end.")
        if start < self.oldest_ms:
            raise OpenTokRefused(1002, "start is more than 21 days ago.")
        return start, end

    def _found(self, session_id: str) -> OpenTokSessionTruth | OpenTokRefused:
        session = self.world.session(session_id)
        if session is None or not self._meetings_of(session):
            return OpenTokRefused(1017, session_id)
        return session

    def _meetings_of(self, session: OpenTokSessionTruth) -> list[MeetingTruth]:
        return [one for one in session.meetings if self.oldest_ms <= one.created_ms <= self.edge_ms]

    def _seen(self, stays: Iterable[_Stay]) -> list[_Stay]:
        return [one for one in stays if one.created_ms <= self.edge_ms]

    def _page(
        self, collection: str, rows: Sequence[Any], made: Callable[[Any], Any], asked: Mapping[str, Any]
    ) -> Row:
        def cut(begin: int, end: int) -> list[Any]:
            return [one if isinstance(one, OpenTokRefused) else made(one) for one in rows[begin:end]]

        return page(collection, len(rows), cut, asked, self.rules)

    def _stays(
        self, collection: str, stays: Sequence[Any], made: Callable[[Any], Any], _info: Any, **asked: Any
    ) -> Row:
        """Answer a list of those who were there, with the most at once."""
        seen = self._seen(stays)
        return self._page(collection, seen, made, asked) | {"maxConcurrent": lambda _info: self._most(seen)}

    def _most(self, stays: Sequence[Stay]) -> int:
        return most_at_once(stays, self.edge_ms)

    def _times(self, one: Stay) -> Row:
        ended = one.destroyed_ms is not None and one.destroyed_ms <= self.edge_ms
        return {"createdAt": one.created_ms, "destroyedAt": one.destroyed_ms if ended else None}

    def _minutes(self, meetings: Sequence[MeetingTruth]) -> Row:
        def total(side: Literal["publishers", "subscribers"]) -> float:
            stays = (one for meeting in meetings for one in self._seen(getattr(meeting, side)))
            return total_minutes(stays, self.edge_ms)

        return {
            "publisherMinutes": lambda _info: total("publishers"),
            "subscriberMinutes": lambda _info: total("subscribers"),
            "participantMinutes": lambda _info: participant_minutes(meetings, self.edge_ms),
        }

    def _session(self, session: OpenTokSessionTruth) -> Row:
        meetings = self._meetings_of(session)
        return {
            "sessionId": session.session_id,
            "mediaMode": session.media_mode,
            "meetings": partial(self._meetings, meetings),
            **self._minutes(meetings),
        }

    def _meetings(self, meetings: Sequence[MeetingTruth], _info: Any, **asked: Any) -> Row:
        start, end = self._range(asked)
        wanted = asked.get("meetingId")
        kept = [
            one
            for one in meetings
            if start <= one.created_ms < end and (wanted is None or one.meeting_id == wanted)
        ]
        return self._page("meetings", kept, self._meeting, asked)

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

    def _connection(self, meeting: MeetingTruth, one: ConnectionTruth) -> Row:
        def own(stays: Iterable[Any]) -> list[Any]:
            return [stay for stay in stays if stay.connection_id == one.connection_id]

        client = one.client
        program = f"{client.browser or client.sdk_type}/{client.browser_version or client.sdk_version}"
        return {
            "connectionId": one.connection_id,
            "guid": one.guid,
            "country": client.country,
            "region": client.region,
            "city": client.city,
            "browser": client.browser,
            "browserVersion": client.browser_version,
            "deviceModel": client.device_model,
            "userAgent": f"Mozilla/5.0 ({client.device_model or 'desktop'}) {program}",
            "sdkType": client.sdk_type,
            "sdkVersion": client.sdk_version,
            "publishers": lambda info, **asked: self._stays(
                "publishers", own(meeting.publishers), partial(self._publisher, meeting), info, **asked
            ),
            "subscribers": lambda info, **asked: self._stays(
                "subscribers", own(meeting.subscribers), self._subscriber, info, **asked
            ),
            **self._times(one),
        }

    def _publisher(self, meeting: MeetingTruth, one: PublisherTruth) -> Row:
        def received() -> list[SubscriberTruth]:
            return [other for other in meeting.subscribers if other.stream is one.stream]

        return {
            "connectionId": one.connection_id,
            "stream": _stream(one.stream),
            "subscribers": lambda info, **asked: self._stays(
                "subscribers", received(), self._subscriber, info, **asked
            ),
            "streamStatsCollection": partial(
                self._statistics, one, {"hasAudio": one.stream.audio, "hasVideo": one.stream.video}
            ),
            **self._times(one),
        }

    def _subscriber(self, one: SubscriberTruth) -> Row:
        return {
            "subscriberId": one.subscriber_id,
            "connectionId": one.connection_id,
            "stream": _stream(one.stream),
            "streamStatsCollection": partial(
                self._statistics, one, {"subscribeToAudio": one.audio, "subscribeToVideo": one.video}
            ),
            **self._times(one),
        }

    def _statistics(
        self, one: PublisherTruth | SubscriberTruth, flags: Mapping[str, bool], _info: Any, **asked: Any
    ) -> Row:
        samples = self.world.samples(one, self.edge_ms)
        codecs = {
            "audioCodec": "opus" if one.stream.audio else None,
            "videoCodec": "VP8" if one.stream.video else None,
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

        return page("streamStatsCollection", len(samples), cut, asked, self.rules)

    def _summary(self, session: OpenTokSessionTruth) -> Row:
        meetings = self._meetings_of(session)
        return {
            "sessionId": session.session_id,
            "mediaMode": session.media_mode,
            "meetings": lambda _info, **asked: self._page("meetings", meetings, self._meeting_summary, asked),
            **self._minutes(meetings),
        }

    def _meeting_summary(self, meeting: MeetingTruth) -> Row:
        row: Row = {"meetingId": meeting.meeting_id, **self._times(meeting), **self._minutes([meeting])}
        for name, stays in (
            ("Connections", meeting.connections),
            ("Streams", meeting.publishers),
            ("Subscribers", meeting.subscribers),
        ):
            seen: Sequence[Any] = self._seen(stays)
            row[f"total{name}"] = len(seen)
            row[f"maxConcurrent{name}"] = lambda _info, seen=seen: self._most(seen)
        return row


def _stream(stream: StreamTruth) -> Row:
    return {
        "streamId": stream.stream_id,
        "videoType": stream.video_type,
        "hasAudioTrack": stream.audio,
        "hasVideoTrack": stream.video,
    }
