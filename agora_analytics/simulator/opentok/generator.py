"""Generates the sessions of a project from a seed: clients, meetings, connections, publishers and subscribers."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from random import Random
from typing import Any
from uuid import UUID

from attrs import evolve, frozen

from agora_analytics.simulator.opentok.ground_truth import (
    ClientTruth,
    ConnectionTruth,
    MeetingTruth,
    OpenTokSessionTruth,
    PublisherTruth,
    StreamTruth,
    SubscriberTruth,
)

_MINUTE = 60_000
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

CLIENTS = (
    ClientTruth("US", "CA", "Oakland", "JS", "2.27.1", "CHROME", "126.0.0", None),
    ClientTruth("US", "CA", "San Diego", "JS", "2.27.1", "SAFARI", "17.5.0", None),
    ClientTruth("US", "TX", "Austin", "JS", "2.26.4", "EDGE", "125.0.0", None),
    ClientTruth("US", "NY", "Albany", "IOS", "2.27.0", None, None, "iPhone15,2"),
    ClientTruth("US", "NY", "New York", "ANDROID", "2.27.0", None, None, "Pixel 8"),
    ClientTruth("GB", None, "Leeds", "JS", "2.27.1", "CHROME", "126.0.0", None),
    ClientTruth("GB", None, "London", "JS", "2.27.1", "FIREFOX", "127.0.0", None),
    ClientTruth("FR", None, "Lyon", "JS", "2.26.4", "FIREFOX", "127.0.0", None),
    ClientTruth("ES", None, "Sevilla", "ANDROID", "2.26.1", None, None, "SM-S911B"),
    ClientTruth("BR", None, "Recife", "ANDROID", "2.27.0", None, None, "moto g84"),
    ClientTruth("MX", None, "Puebla", "IOS", "2.26.1", None, None, "iPhone14,5"),
    ClientTruth("IN", None, "Pune", "JS", "2.27.1", "CHROME", "126.0.0", None),
    ClientTruth("IN", None, "Pune", "WINDOWS", "2.27.0", None, None, None),
    ClientTruth("SA", None, "Jeddah", "JS", "2.26.4", "OTHER", "4.2.0", None),
)
"""The clients of generated worlds. The values are those of the schema's enums."""


@frozen(kw_only=True)
class OpenTokWorldConfig:
    """What a generated world looks like. Ranges include both ends; shares are from 0 to 1.

    Attributes:
        meetings: the meetings of a session.
        connections: the connections of a meeting.
        minutes: the length of a meeting.
        publish_share: connections that publish; the first one always does.
        screen_share: publishers with a second stream, their screen.
        peers: the most streams of others that a connection subscribes to.
        samples: the exact number of samples of each stream; None: one every 30 seconds.
        dense_share: streams with samples 1 to 14 seconds apart, as in published data.
        reconnect_share: meetings that begin less than 10 minutes after the previous one, with the same id.
        ongoing_share: sessions whose last meeting is active at the end of the world's time range.
        relayed_share: sessions with the media mode `relayed`.
        audio_only_share: publishers without video.
        anonymous_share: connections without a guid.
        null_share: samples without a value.
    """

    meetings: tuple[int, int] = (1, 3)
    connections: tuple[int, int] = (2, 6)
    minutes: tuple[float, float] = (2.0, 40.0)
    publish_share: float = 0.8
    screen_share: float = 0.1
    peers: int = 3
    samples: int | None = None
    dense_share: float = 0.1
    reconnect_share: float = 0.25
    ongoing_share: float = 0.1
    relayed_share: float = 0.3
    audio_only_share: float = 0.15
    anonymous_share: float = 0.2
    null_share: float = 0.02


@frozen(kw_only=True)
class OpenTokSessionGenerator:
    """Generates the sessions of one project, each from its own number: more sessions do not change the first ones."""

    seed: str
    project_id: str
    since_ms: int
    until_ms: int
    config: OpenTokWorldConfig

    def session(self, number: int, session_id: str | None = None) -> OpenTokSessionTruth:
        """Return one session. A missing `session_id` is generated."""
        rng = Random(f"{self.seed}/{number}")
        ongoing = rng.random() < self.config.ongoing_share
        spans = list(self._spans(rng))
        last_start, last_end, _ = spans[-1]
        if ongoing:  # the last meeting is active at the end of the time range
            begin = self.until_ms - last_start - min(int(rng.uniform(6, 20) * _MINUTE), last_end - last_start)
        else:
            begin = self.since_ms + int(rng.random() * max(self.until_ms - self.since_ms - last_end, 0))
        meetings = [
            self._meeting(rng, meeting_id, begin + start, begin + end) for start, end, meeting_id in spans
        ]
        if ongoing:
            meetings[-1] = _still_active(meetings[-1])
        routed = rng.random() >= self.config.relayed_share
        generated_id = _session_id(rng, self.project_id, meetings[0].created_ms, routed=routed)
        return OpenTokSessionTruth(
            session_id=session_id or generated_id,
            media_mode="routed" if routed else "relayed",
            meetings=tuple(meetings),
        )

    def _spans(self, rng: Random) -> Iterator[tuple[int, int, str]]:
        """Yield begin, end and id of each meeting. Times are relative to the first."""
        start, meeting_id = 0, _uuid(rng)
        for _ in range(rng.randint(*self.config.meetings)):
            end = start + int(rng.uniform(*self.config.minutes) * _MINUTE)
            yield start, end, meeting_id
            if rng.random() < self.config.reconnect_share:
                start = end + int(rng.uniform(1, 9) * _MINUTE)
            else:
                start, meeting_id = end + int(rng.uniform(11, 90) * _MINUTE), _uuid(rng)

    def _meeting(self, rng: Random, meeting_id: str, begin: int, end: int) -> MeetingTruth:
        count = rng.randint(*self.config.connections)
        connections = [self._connection(rng, begin, end, whole=number == 0) for number in range(count)]
        publishers = [
            publisher
            for number, connection in enumerate(connections)
            if rng.random() < self.config.publish_share or number == 0
            for publisher in self._publishers(rng, connection)
        ]
        subscribers = [
            subscriber
            for connection in connections
            for subscriber in self._subscribers(rng, connection, publishers)
        ]
        return MeetingTruth(
            meeting_id=meeting_id,
            created_ms=begin,
            destroyed_ms=end,
            connections=tuple(sorted(connections, key=lambda stay: stay.created_ms)),
            publishers=tuple(sorted(publishers, key=lambda stay: stay.created_ms)),
            subscribers=tuple(sorted(subscribers, key=lambda stay: stay.created_ms)),
        )

    def _connection(self, rng: Random, begin: int, end: int, *, whole: bool) -> ConnectionTruth:
        late, early = (0.0, 0.0) if whole else (0.3 * rng.random(), 0.3 * rng.random())
        return ConnectionTruth(
            connection_id=_uuid(rng),
            guid=None if rng.random() < self.config.anonymous_share else _uuid(rng),
            created_ms=begin + int(late * (end - begin)),
            destroyed_ms=end - int(early * (end - begin)),
            client=rng.choice(CLIENTS),
        )

    def _publishers(self, rng: Random, connection: ConnectionTruth) -> Iterator[PublisherTruth]:
        screen = rng.random() < self.config.screen_share
        for video_type in ("camera", "screen") if screen else ("camera",):
            video = video_type == "screen" or rng.random() >= self.config.audio_only_share
            yield PublisherTruth(
                connection_id=connection.connection_id,
                created_ms=connection.created_ms + rng.randint(500, 4000),
                destroyed_ms=connection.destroyed_ms,
                stream=StreamTruth(
                    stream_id=_uuid(rng), video_type=video_type, audio=video_type == "camera", video=video
                ),
                key=rng.getrandbits(64),
            )

    def _subscribers(
        self, rng: Random, connection: ConnectionTruth, publishers: list[PublisherTruth]
    ) -> Iterator[SubscriberTruth]:
        others = [other for other in publishers if other.connection_id != connection.connection_id]
        for publisher in rng.sample(others, min(self.config.peers, len(others))):
            ends = [end for end in (connection.destroyed_ms, publisher.destroyed_ms) if end is not None]
            created = max(connection.created_ms, publisher.created_ms) + rng.randint(300, 2000)
            if created >= min(ends):
                continue
            yield SubscriberTruth(
                subscriber_id=_uuid(rng),
                connection_id=connection.connection_id,
                created_ms=created,
                destroyed_ms=min(ends),
                stream=publisher.stream,
                audio=publisher.stream.audio,
                video=publisher.stream.video and rng.random() < 0.9,
                key=rng.getrandbits(64),
            )


def _still_active(meeting: MeetingTruth) -> MeetingTruth:
    """Return the meeting without the end times of itself and of all that stayed to its end."""
    still_active: dict[str, Any] = {
        name: tuple(
            evolve(stay, destroyed_ms=None) if stay.destroyed_ms == meeting.destroyed_ms else stay
            for stay in getattr(meeting, name)
        )
        for name in ("connections", "publishers", "subscribers")
    }
    return evolve(meeting, destroyed_ms=None, **still_active)


def _session_id(rng: Random, project_id: str, created_ms: int, *, routed: bool) -> str:
    """Return an id in the format of OpenTok: the guide's `1_MX4xMDB-fjE1Mzg4...` is base64 of `1~100~~1538870421147~...`."""
    noise = "".join(rng.choices(_LETTERS, k=24))
    inner = urlsafe_b64encode(f"1~{project_id}~~{created_ms}~{noise}~".encode()).decode().rstrip("=")
    return f"{2 if routed else 1}_{inner}"


def _uuid(rng: Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))
