"""Records of the ground truth of OpenTok sessions. Times are UTC epoch milliseconds."""

from attrs import frozen


@frozen
class ClientTruth:
    """The device and place of a client. `region` is a US state; only clients of the JavaScript SDK have a browser."""

    country: str
    region: str | None
    city: str
    sdk_type: str
    sdk_version: str
    browser: str | None
    browser_version: str | None
    device_model: str | None


@frozen(kw_only=True, eq=False)
class Stay:
    """The begin and the end of a connection, stream or meeting. `destroyed_ms` is None while it is active."""

    created_ms: int
    destroyed_ms: int | None


@frozen(kw_only=True, eq=False)
class ConnectionTruth(Stay):
    """One client in a meeting."""

    connection_id: str
    guid: str | None
    client: ClientTruth


@frozen(kw_only=True, eq=False)
class StreamTruth:
    """A published stream. `video_type` is `camera` or `screen`."""

    stream_id: str
    video_type: str
    audio: bool
    video: bool


@frozen(kw_only=True, eq=False)
class PublisherTruth(Stay):
    """A stream as its connection publishes it. `key` is the seed of its samples."""

    connection_id: str
    stream: StreamTruth
    key: int


@frozen(kw_only=True, eq=False)
class SubscriberTruth(Stay):
    """A stream as another connection receives it. `audio` and `video` are what it subscribes to."""

    subscriber_id: str
    connection_id: str
    stream: StreamTruth
    audio: bool
    video: bool
    key: int


SampledStream = PublisherTruth | SubscriberTruth


@frozen(kw_only=True, eq=False)
class MeetingTruth(Stay):
    """A meeting. Two entries of a session have the same `meeting_id` if they are less than 10 minutes apart."""

    meeting_id: str
    connections: tuple[ConnectionTruth, ...]
    publishers: tuple[PublisherTruth, ...]
    subscribers: tuple[SubscriberTruth, ...]


@frozen(kw_only=True, eq=False)
class OpenTokSessionTruth:
    """A session and its meetings, oldest first. `media_mode` is `routed` or `relayed`."""

    session_id: str
    media_mode: str
    meetings: tuple[MeetingTruth, ...]

    @property
    def created_ms(self) -> int:
        """The begin of its first meeting."""
        return self.meetings[0].created_ms


@frozen(kw_only=True)
class SampleTotals:
    """The totals that a harvest of stream statistics must have.

    Attributes:
        samples: the number of samples.
        ms_sum: the sum of their times.
        value_sum: the sum of all bitrates, latencies and losses, without nulls.
        nulls: the number of null values among them.
    """

    samples: int
    ms_sum: int
    value_sum: float
    nulls: int
