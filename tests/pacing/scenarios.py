"""The conditions under which the rate is measured, as data."""

from attrs import evolve, frozen

WAYS = {
    "0 to 20 ms": (0.0, 0.020),
    "10 to 40 ms": (0.010, 0.040),
    "0 to 100 ms": (0.0, 0.100),
    "250 ms": (0.250, 0.250),
}
"""The least and the most seconds of each way, there and back."""


@frozen(kw_only=True)
class Scenario:
    """One condition: see `ServerModel` and `ServerClock`."""

    name: str
    requests: int = 10
    ways: tuple[float, float] = WAYS["10 to 40 ms"]
    sliding: bool = False
    ahead: float = 0.0
    drift: float = 0.0
    steps: tuple[tuple[float, float], ...] = ()
    processing: float = 0.0
    stalls: tuple[tuple[float, float], ...] = ()
    connections: int = 128
    set_up: float = 0.0


def _both(scenario: Scenario) -> list[Scenario]:
    return [
        evolve(scenario, requests=requests, name=f"{requests}/s, {scenario.name}") for requests in (10, 100)
    ]


JITTER = [each for name, ways in WAYS.items() for each in _both(Scenario(name=name, ways=ways))]
"""Each rate with each latency."""

CLOCKS = [
    each
    for name, ahead in {
        "0.3 s": 0.3,
        "2 s": 2.0,
        "1 h": 3600.0,
        "-0.3 s": -0.3,
        "-2 s": -2.0,
        "-1 h": -3600.0,
    }.items()
    for each in _both(Scenario(name=f"server ahead by {name}", ahead=ahead + 0.0371))
]
"""The server's clock differs from the client's."""

STEPS = [
    each
    for by in (1.0, -1.0, 0.4, -0.4)
    for each in _both(Scenario(name=f"server's clock steps by {by:+g} s", steps=((10.217, by),), ahead=0.3))
]
"""The server's clock is set during the run."""

COLD = [
    each
    for name, ways in {"10 to 40 ms": WAYS["10 to 40 ms"], "250 ms": WAYS["250 ms"]}.items()
    for each in _both(
        Scenario(name=f"cold start, {name}", ways=ways, set_up=4 * ways[1], ahead=0.61, connections=64)
    )
]
"""Each connection is new: TCP and TLS take two round trips before the first request on it is sent."""

DISTURBED = [
    *_both(Scenario(name="clock 200 ppm fast", drift=200.0)),
    *_both(Scenario(name="clock 200 ppm slow", drift=-200.0)),
    *_both(Scenario(name="processing takes 300 ms", processing=0.3)),
    *_both(Scenario(name="server stalls for 0.5 s", stalls=((8.3, 8.8), (12.7, 13.2)))),
]
"""What else happens to a server. A stall delays what has arrived, so no client can avoid its refusals."""
