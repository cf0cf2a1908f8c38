"""The knobs of a generated world: what kinds of calls it has, and how many of each."""

from attrs import frozen


@frozen(kw_only=True)
class WorldConfig:
    """What a generated world looks like. Shares are fractions of all calls.

    Attributes:
        minutes, sigma: median length of an ordinary call in minutes, and the sigma of its log-normal distribution.
        max_minutes: no ordinary call is longer.
        session_range, session_skew: sessions of an ordinary call, drawn as low + (high - low) * u ** skew.
        long_share: calls of 6 to 40 hours; a third of them is longer than 24 hours.
        big_share, big_range: calls with hundreds of sessions (all of them of ordinary length).
        ongoing_share: calls that are still going on at the end of the world's time range, `until`.
        server_share: calls with a hidden server user.
        full_stay: every session stays for the whole call.
        rhythm: calls follow the hours of the day; False spreads them evenly.
        quirks: text uids, unknown fields, missing optional fields, odd types.
        peers: each session receives at most this many others.
        interval, gap_share, null_share, max_series: see `SampleTiming`.
    """

    minutes: float = 6.0
    sigma: float = 0.9
    max_minutes: float = 300.0
    session_range: tuple[int, int] = (1, 20)
    session_skew: float = 2.0
    long_share: float = 0.01
    big_share: float = 0.004
    big_range: tuple[int, int] = (120, 600)
    ongoing_share: float = 0.02
    server_share: float = 0.05
    full_stay: bool = False
    rhythm: bool = True
    quirks: bool = True
    peers: int = 2
    interval: int = 4
    gap_share: float = 0.02
    null_share: float = 0.01
    max_series: int = 40


SIMPLE = WorldConfig(
    minutes=5,
    sigma=0.6,
    max_minutes=50,
    session_skew=1,
    long_share=0,
    big_share=0,
    ongoing_share=0,
    server_share=0,
    quirks=False,
)
"""Short finished calls with 1 to 20 sessions each and nothing special: what costs are counted with."""
