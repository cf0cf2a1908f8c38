"""Who takes part in simulated sessions: the kinds of clients, and what a generated world has of everything."""

from attrs import frozen

from agora_analytics.simulator.opentok.ground_truth import ClientTruth


def _client(
    country: str,
    region: str | None,
    city: str,
    sdk: str,
    version: str,
    browser: str | None,
    model: str | None,
) -> ClientTruth:
    name, _, number = (browser or "").partition(" ")
    return ClientTruth(
        country=country,
        region=region,
        city=city,
        sdk_type=sdk,
        sdk_version=version,
        browser=name or None,
        browser_version=number or None,
        device_model=model,
    )


CLIENTS = (
    _client("US", "CA", "Oakland", "JS", "2.27.1", "CHROME 126.0.0", None),
    _client("US", "CA", "San Diego", "JS", "2.27.1", "SAFARI 17.5.0", None),
    _client("US", "TX", "Austin", "JS", "2.26.4", "EDGE 125.0.0", None),
    _client("US", "NY", "Albany", "IOS", "2.27.0", None, "iPhone15,2"),
    _client("US", "NY", "New York", "ANDROID", "2.27.0", None, "Pixel 8"),
    _client("GB", None, "Leeds", "JS", "2.27.1", "CHROME 126.0.0", None),
    _client("GB", None, "London", "JS", "2.27.1", "FIREFOX 127.0.0", None),
    _client("FR", None, "Lyon", "JS", "2.26.4", "FIREFOX 127.0.0", None),
    _client("ES", None, "Sevilla", "ANDROID", "2.26.1", None, "SM-S911B"),
    _client("BR", None, "Recife", "ANDROID", "2.27.0", None, "moto g84"),
    _client("MX", None, "Puebla", "IOS", "2.26.1", None, "iPhone14,5"),
    _client("IN", None, "Pune", "JS", "2.27.1", "CHROME 126.0.0", None),
    _client("IN", None, "Pune", "WINDOWS", "2.27.0", None, None),
    _client("SA", None, "Jeddah", "JS", "2.26.4", "OTHER 4.2.0", None),
)
"""Values are those that the schema's enums list."""


@frozen(kw_only=True)
class OpenTokWorldConfig:
    """What a generated world looks like. Ranges include both ends, shares are fractions from 0 to 1.

    Attributes:
        meetings: meetings of a session.
        connections: connections of a meeting.
        minutes: how long a meeting lasts.
        publish_share: connections that publish, the first one always does.
        screen_share: publishers with a second stream, their screen.
        peers: each connection subscribes to at most so many streams of others.
        samples: exactly so many samples for each stream; None: one every 30 seconds.
        hasty_share: streams whose samples lie 1 to 14 seconds apart, as published ones do.
        reconnect_share: meetings that begin less than 10 minutes after the one before, under the same id.
        ongoing_share: sessions whose last meeting goes on at the end of the world's time range.
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
    hasty_share: float = 0.1
    reconnect_share: float = 0.25
    ongoing_share: float = 0.1
    relayed_share: float = 0.3
    audio_only_share: float = 0.15
    anonymous_share: float = 0.2
    null_share: float = 0.02
