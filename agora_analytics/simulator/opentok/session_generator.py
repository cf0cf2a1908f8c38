"""Generated sessions: meetings one after another, who was in them, and what they published and received."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from random import Random
from uuid import UUID

from attrs import evolve, frozen

from agora_analytics.simulator.opentok.client_mix import CLIENTS, OpenTokWorldConfig
from agora_analytics.simulator.opentok.ground_truth import (
    ConnectionTruth,
    MeetingTruth,
    OpenTokSessionTruth,
    PublisherTruth,
    StreamTruth,
    SubscriberTruth,
)

_MINUTE = 60_000
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@frozen(kw_only=True)
class OpenTokSessionGenerator:
    """Makes the sessions of one project; each from its own number, so that more sessions leave the first ones alone."""

    seed: str
    project_id: str
    since_ms: int
    until_ms: int
    config: OpenTokWorldConfig

    def session(self, number: int, session_id: str | None = None) -> OpenTokSessionTruth:
        """Return one session; `session_id` is made where none is given."""
        rng = Random(f"{self.seed}/{number}")
        ongoing = rng.random() < self.config.ongoing_share
        spans = list(self._spans(rng))
        last_start, last_end, _ = spans[-1]
        if ongoing:  # the last meeting goes on at the end of the world
            begin = self.until_ms - last_start - min(int(rng.uniform(6, 20) * _MINUTE), last_end - last_start)
        else:
            begin = self.since_ms + int(rng.random() * max(self.until_ms - self.since_ms - last_end, 0))
        meetings = [
            self._meeting(rng, meeting_id, begin + start, begin + end) for start, end, meeting_id in spans
        ]
        if ongoing:
            meetings[-1] = _endless(meetings[-1])
        routed = rng.random() >= self.config.relayed_share
        made = _session_id(rng, self.project_id, meetings[0].created_ms, routed=routed)
        return OpenTokSessionTruth(
            session_id=session_id or made,
            media_mode="routed" if routed else "relayed",
            meetings=tuple(meetings),
        )

    def _spans(self, rng: Random) -> Iterator[tuple[int, int, str]]:
        """Yield begin, end and id of each meeting; times are counted from the first."""
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
            connections=tuple(sorted(connections, key=lambda one: one.created_ms)),
            publishers=tuple(sorted(publishers, key=lambda one: one.created_ms)),
            subscribers=tuple(sorted(subscribers, key=lambda one: one.created_ms)),
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
        others = [one for one in publishers if one.connection_id != connection.connection_id]
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


def _endless(meeting: MeetingTruth) -> MeetingTruth:
    """Return the meeting as one that nobody who was there to the end has left."""
    end = meeting.destroyed_ms
    return evolve(
        meeting,
        destroyed_ms=None,
        connections=tuple(
            evolve(one, destroyed_ms=None) if one.destroyed_ms == end else one for one in meeting.connections
        ),
        publishers=tuple(
            evolve(one, destroyed_ms=None) if one.destroyed_ms == end else one for one in meeting.publishers
        ),
        subscribers=tuple(
            evolve(one, destroyed_ms=None) if one.destroyed_ms == end else one for one in meeting.subscribers
        ),
    )


def _session_id(rng: Random, project_id: str, created_ms: int, *, routed: bool) -> str:
    """Return an id as OpenTok's own: the guide's `1_MX4xMDB-fjE1Mzg4...` is base64 of `1~100~~1538870421147~...`."""
    noise = "".join(rng.choices(_LETTERS, k=24))
    inner = urlsafe_b64encode(f"1~{project_id}~~{created_ms}~{noise}~".encode()).decode().rstrip("=")
    return f"{2 if routed else 1}_{inner}"


def _uuid(rng: Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))
