"""The audio score: the E-model of G.107 applied to the packet loss and the delay that the vendors send.

The vendors send no codec, no jitter buffer and no delay of devices. `ASSUMPTIONS` states what is used instead. The scale is
the narrowband scale of G.107: 4.34 is a call without loss on a short path. It is used for Opus as well, because published
thresholds of a MOS are on this scale, and because no recommendation has parameters of Opus for the fullband scale.
"""

from collections.abc import Mapping
from math import isfinite

from attrs import frozen

from agora_analytics.errors import InvalidRequest
from agora_analytics.scoring import e_model
from agora_analytics.scoring.e_model import MOST_MOS, Transmission


@frozen(kw_only=True)
class Codec:
    """The parameters of a codec for the E-model.

    Attributes:
        equipment_impairment: Ie, the impairment without loss.
        loss_robustness: Bpl, the loss in per cent at which half of the rest of the quality is lost.
        source: where the two numbers are from.
    """

    equipment_impairment: float
    loss_robustness: float
    source: str


CODECS: Mapping[str, Codec] = {
    "g711": Codec(equipment_impairment=0, loss_robustness=4.3, source="G.113 Appendix I: G.711 without PLC"),
    "g711-plc": Codec(
        equipment_impairment=0, loss_robustness=25.1, source="G.113 Appendix I: G.711 with PLC"
    ),
    "opus": Codec(
        equipment_impairment=0,
        loss_robustness=25.1,
        source="assumption: G.711 with PLC. G.113 has no entry for Opus. Like it, Opus conceals lost packets.",
    ),
}
"""Codecs by name. Those of G.113 are for 10 ms packets (G.711) and random loss."""


@frozen(kw_only=True)
class AudioAssumptions:
    """What the audio score assumes, because no vendor sends it. Delays in ms, one way.

    Attributes:
        codec: a name in `CODECS`.
        codec_delay: packets of 20 ms and 6.5 ms of look-ahead, the default of Opus (RFC 6716).
        jitter_buffer: mean delay of the receiver's jitter buffer.
        devices: delay of capture and playback together.
        server_transit: delay between the server of the sender and the server of the receiver.
        burst_ratio: BurstR of G.107; 1 is random loss within an interval.
    """

    codec: str = "opus"
    codec_delay: float = 26.5
    jitter_buffer: float = 60.0
    devices: float = 40.0
    server_transit: float = 0.0
    burst_ratio: float = 1.0

    @property
    def fixed_delay(self) -> float:
        """The part of the delay from mouth to ear that is not measured, in ms."""
        return self.codec_delay + self.jitter_buffer + self.devices + self.server_transit

    def __str__(self) -> str:
        return (
            f"codec={self.codec} as g711-plc; codec_delay={self.codec_delay:g} ms; devices={self.devices:g} ms; "
            f"echo=G.107 default; jitter_buffer={self.jitter_buffer:g} ms; loss=random; "
            f"server_transit={self.server_transit:g} ms"
        )


ASSUMPTIONS = AudioAssumptions()
"""The assumptions of every audio score of this library. Their text is in the column `assumptions`."""
UNKNOWN_SENDER = "sender_delay=unknown, 0 ms"
UNKNOWN_RECEIVER = "receiver_delay=unknown, 0 ms"


def transmission(loss: float, network_delay: float) -> Transmission:
    """Return the parameters of the E-model for a loss and a network delay, with `ASSUMPTIONS` for the rest.

    The echo path is as long as the voice path: T = Ta and Tr = 2 Ta.

    Args:
        loss: share of the packets that did not reach the receiver in the interval, 0 to 1. Neither per cent nor a count.
        network_delay: one-way delay of the network in ms: half of the sender's and half of the receiver's round trip.

    Raises:
        InvalidRequest: the loss is not within 0 to 1, or the delay is negative or not finite.
    """
    if not 0 <= loss <= 1:
        raise InvalidRequest(f"loss={loss!r} is not a share of 0 to 1; divide per cent by 100")
    if not (network_delay >= 0 and isfinite(network_delay)):
        raise InvalidRequest(f"network_delay={network_delay!r} is not a delay in ms of 0 or more")
    codec = CODECS[ASSUMPTIONS.codec]
    delay = network_delay + ASSUMPTIONS.fixed_delay
    return Transmission(
        delay=delay,
        echo_delay=delay,
        round_trip_delay=2 * delay,
        equipment_impairment=codec.equipment_impairment,
        loss_robustness=codec.loss_robustness,
        loss_percent=100 * loss,
        burst_ratio=ASSUMPTIONS.burst_ratio,
    )


def audio_rating(loss: float, network_delay: float) -> float:
    """Return the transmission rating R of one interval, not clamped. Arguments and errors are those of `transmission`.

    Example:
        >>> round(audio_rating(0.0, 25.0), 2), round(audio_rating(0.05, 25.0), 2)
        (89.49, 73.71)
    """
    return e_model.rating(transmission(loss, network_delay))


def audio_score(loss: float, network_delay: float) -> float:
    """Return the MOS of one interval, 1 to 4.5. Arguments and errors are those of `transmission`.

    Example:
        >>> round(audio_score(0.0, 0.0), 2), round(audio_score(0.05, 25.0), 2), round(audio_score(0.3, 300.0), 2)
        (4.34, 3.77, 1.02)
    """
    return e_model.mos(audio_rating(loss, network_delay))


def rating_sql(loss: str, network_delay: str) -> str:
    """Return `audio_rating` as SQL (DuckDB) over two columns; null where an input is null or out of its range.

    The fixed delay exceeds 100 ms, so the terms of G.107 for a short echo path are constants in double precision.
    """
    codec, fixed = CODECS[ASSUMPTIONS.codec], transmission(0, 0)
    loudness = -1.5 * (e_model.noise(fixed) - fixed.receive_loudness)
    constant = e_model.basic_rating(fixed) - e_model.simultaneous_impairment(fixed) + fixed.advantage
    delay = f"(greatest({network_delay}, 0) + {ASSUMPTIONS.fixed_delay!r})"
    echo = f"({fixed.talker_echo_loudness!r} - 40 * log10((1 + {delay} / 10) / (1 + {delay} / 150)))"
    talker = f"({loudness!r} - (80 + 2.5 * ({echo} - 14)))"
    listener = f"({e_model.basic_rating(fixed)!r} - {10.5 * (fixed.echo_path_loss + 7)!r} * pow(2 * {delay} + 1, -0.25))"
    octaves = f"(log2({delay} / 100))"
    percent = f"(100 * {loss})"
    ie = codec.equipment_impairment
    return (
        f"CASE WHEN {loss} BETWEEN 0 AND 1 AND {network_delay} >= 0 AND isfinite({network_delay}) THEN {constant!r}"
        f" - ({talker} / 2 + sqrt({talker} * {talker} / 4 + 100) - 1)"
        f" - ({listener} / 2 + sqrt({listener} * {listener} / 4 + 169))"
        f" - 25 * (pow(1 + pow({octaves}, 6), 1.0 / 6) - 3 * pow(1 + pow({octaves} / 3, 6), 1.0 / 6) + 2)"
        f" - ({ie!r} + {95 - ie!r} * {percent} / ({percent} / {ASSUMPTIONS.burst_ratio!r} + {codec.loss_robustness!r}))"
        " END"
    )


def mos_sql(rating: str) -> str:
    """Return `e_model.mos` as SQL (DuckDB) over a column with a rating; null where it is null."""
    r = f"greatest(least({rating}, 100), 0)"
    cubic = f"1 + 0.035 * {r} + 7e-6 * {r} * ({r} - 60) * (100 - {r})"
    return f"CASE WHEN {rating} IS NOT NULL THEN greatest(least({cubic}, {MOST_MOS}), 1) END"
