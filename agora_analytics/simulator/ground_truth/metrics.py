"""The metrics that sessions report, and how each behaves. Ids are the vendor's; the behaviour is this world's."""

from attrs import frozen

UNKNOWN_MID = 20099


@frozen
class MetricBehaviour:
    """How one metric behaves.

    Attributes:
        mid: the vendor's metric id.
        base, spread: values lie around `base`, at most `spread` away, in the metric's unit.
        burst: what a bad spell of the network adds at most; negative where bad means less (fps).
        step: values are multiples of it; 1 for whole numbers, 0.25 for fractions.
        top: the highest possible value.
        every: reported at each n-th report only.
        strained: whether the network's strain multiplies base and spread.
        video: whether it exists for video only.
    """

    mid: int
    base: float
    spread: float
    burst: float = 0
    step: float = 1
    top: float = 100_000
    every: int = 1
    strained: bool = False
    video: bool = False


DEVICE = (
    MetricBehaviour(20001, 18, 9, step=0.25, top=100, every=3),
    MetricBehaviour(20002, 35, 20, step=0.25, top=100, every=3),
    MetricBehaviour(20022, 12, 10, burst=300, strained=True),
    MetricBehaviour(20021, 3, 3, burst=20, every=4),
    MetricBehaviour(20039, 9, 2, step=0.25, top=100, every=5),
    MetricBehaviour(20040, 55, 10, step=0.25, top=100, every=5),
    MetricBehaviour(UNKNOWN_MID, 40, 40, every=7),
)
"""What every session reports of itself."""

UPLINK = (
    MetricBehaviour(20003, 48, 14, burst=-30),
    MetricBehaviour(20015, 0.4, 0.4, burst=25, step=0.25, top=100, strained=True),
    MetricBehaviour(20025, 60, 40, top=255, every=2),
    MetricBehaviour(20024, 800, 250, burst=-500, video=True),
    MetricBehaviour(20007, 15, 1, every=2, video=True),
    MetricBehaviour(20008, 15, 2, burst=-10, video=True),
    MetricBehaviour(20017, 0.5, 0.5, burst=30, step=0.25, top=100, strained=True, video=True),
    MetricBehaviour(20013, 27, 6, burst=12, top=51, every=3, video=True),
    MetricBehaviour(20027, 640, 0, every=8, video=True),
    MetricBehaviour(20028, 360, 0, every=8, video=True),
)
"""What a session that sends reports of its own stream."""

DOWNLINK = (
    MetricBehaviour(20004, 48, 14, burst=-30),
    MetricBehaviour(20005, 0, 0, burst=900, every=2),
    MetricBehaviour(20016, 0.5, 0.5, burst=30, step=0.25, top=100, strained=True),
    MetricBehaviour(20026, 60, 40, top=255, every=2),
    MetricBehaviour(20009, 800, 250, burst=-500, video=True),
    MetricBehaviour(20010, 15, 2, burst=-12, video=True),
    MetricBehaviour(20011, 0, 0, burst=2400, video=True),
    MetricBehaviour(20018, 0.6, 0.6, burst=35, step=0.25, top=100, strained=True, video=True),
    MetricBehaviour(20019, 640, 0, every=8, video=True),
    MetricBehaviour(20020, 360, 0, every=8, video=True),
)
"""What a session reports of each peer that it receives."""

NETWORKS = {
    # name: (share of users, strain on loss and delay, share of bad spells at the busiest hour)
    "Wi-Fi": (0.52, 2.0, 0.03),
    "4G": (0.22, 5.0, 0.09),
    "Ethernet": (0.20, 1.0, 0.008),
    "Mobile 3G": (0.06, 14.0, 0.22),
}
"""The networks and their story: cables are good, 3G is where calls freeze."""
