"""The E-model of ITU-T Recommendation G.107: the transmission rating R of a telephone connection, and its MOS.

Version: G.107 (06/2015), narrowband. Every formula is in the order and the symbols of its clause 7; the defaults are those
of its Table 2. The delay terms are those of the default delay sensitivity class (sT = 1, mT = 100 ms), and the loss term
is that of random or bursty loss with BurstR.
"""

from math import exp, log2, log10, sqrt
from math import pow as power

from attrs import frozen

MOST_MOS = 4.5
"""The MOS of R = 100 and above. The scale of the E-model ends there, because some listeners never rate 5."""


@frozen(kw_only=True)
class Transmission:
    """The parameters of a telephone connection, with the symbols of G.107 in brackets. The defaults are those of Table 2.

    Attributes:
        send_loudness: send loudness rating in dB [SLR].
        receive_loudness: receive loudness rating in dB [RLR].
        sidetone: sidetone masking rating in dB [STMR].
        send_side_factor: D-value of the telephone, send side [Ds].
        receive_side_factor: D-value of the telephone, receive side [Dr].
        talker_echo_loudness: talker echo loudness rating in dB [TELR].
        echo_path_loss: weighted echo path loss in dB [WEPL].
        delay: absolute delay from mouth to ear, one way, in ms [Ta].
        echo_delay: mean one-way delay of the echo path in ms [T].
        round_trip_delay: delay of a 4-wire loop in ms [Tr].
        quantization_units: quantization distortion units [qdu].
        equipment_impairment: equipment impairment factor of the codec without loss [Ie].
        loss_robustness: packet-loss robustness factor of the codec [Bpl].
        loss_percent: lost packets in per cent, 0 to 100 [Ppl].
        burst_ratio: 1 for random loss; above 1 for bursts [BurstR].
        circuit_noise: circuit noise at the 0 dBr point in dBm0p [Nc].
        noise_floor: noise floor at the receive side in dBmp [Nfor].
        send_room_noise: room noise at the send side in dB(A) [Ps].
        receive_room_noise: room noise at the receive side in dB(A) [Pr].
        advantage: advantage factor, 0 to 20 [A].
    """

    send_loudness: float = 8.0
    receive_loudness: float = 2.0
    sidetone: float = 15.0
    send_side_factor: float = 3.0
    receive_side_factor: float = 3.0
    talker_echo_loudness: float = 65.0
    echo_path_loss: float = 110.0
    delay: float = 0.0
    echo_delay: float = 0.0
    round_trip_delay: float = 0.0
    quantization_units: float = 1.0
    equipment_impairment: float = 0.0
    loss_robustness: float = 4.3
    loss_percent: float = 0.0
    burst_ratio: float = 1.0
    circuit_noise: float = -70.0
    noise_floor: float = -64.0
    send_room_noise: float = 35.0
    receive_room_noise: float = 35.0
    advantage: float = 0.0


DEFAULT = Transmission()
"""The connection of Table 2: R = 93.2, MOS = 4.41."""


def rating(transmission: Transmission = DEFAULT) -> float:
    """Return the transmission rating R (clause 7.1). It is not clamped: it may be negative, or above 100.

    Example:
        >>> round(rating(), 2)
        93.21
        >>> round(rating(Transmission(loss_percent=5, loss_robustness=25.1)), 2)
        77.43
    """
    return (
        basic_rating(transmission)
        - simultaneous_impairment(transmission)
        - delay_impairment(transmission)
        - equipment_impairment(transmission)
        + transmission.advantage
    )


def mos(rating: float) -> float:
    """Return the estimated mean opinion score of a rating (Annex B), 1 to 4.5.

    The cubic of Annex B is below 1 for ratings from 0 to 6.5. It is clamped to 1 there, so that MOS never decreases
    when R increases. Annex B itself has 1 for negative ratings and 4.5 above 100.

    Example:
        >>> [round(mos(r), 2) for r in (-20, 0, 3, 6, 50, 93.2, 100, 130)]
        [1.0, 1.0, 1.0, 1.0, 2.58, 4.41, 4.5, 4.5]
    """
    r = min(max(rating, 0.0), 100.0)
    return min(max(1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r), 1.0), MOST_MOS)


def basic_rating(c: Transmission) -> float:
    """Return the signal-to-noise ratio Ro (clause 7.2)."""
    return 15 - 1.5 * (c.send_loudness + noise(c))


def noise(c: Transmission) -> float:
    """Return the power sum No of all noise sources in dBm0p (clause 7.2)."""
    overall_loudness = c.send_loudness + c.receive_loudness
    sent = c.send_room_noise - c.send_loudness - c.send_side_factor - 100
    sent += 0.004 * (c.send_room_noise - overall_loudness - c.send_side_factor - 14) ** 2
    listener_sidetone = c.sidetone + c.receive_side_factor
    through_sidetone = 10 * log10(1 + 10 ** ((10 - listener_sidetone) / 10))
    received_room = c.receive_room_noise + through_sidetone
    received = c.receive_loudness - 121 + received_room + 0.008 * (received_room - 35) ** 2
    floor = c.noise_floor + c.receive_loudness
    return 10 * log10(sum(10 ** (each / 10) for each in (c.circuit_noise, sent, received, floor)))


def simultaneous_impairment(c: Transmission) -> float:
    """Return Is: impairments at the same time as the voice (clause 7.3)."""
    return _loudness_impairment(c) + sidetone_impairment(c) + _quantization_impairment(c)


def _loudness_impairment(c: Transmission) -> float:
    overall_loudness = c.send_loudness + c.receive_loudness
    x = (overall_loudness + 0.2 * (64 + noise(c) - c.receive_loudness)) / 8
    return 20 * (power(1 + power(x, 8), 1 / 8) - x)


def sidetone_impairment(c: Transmission) -> float:
    """Return Ist (clause 7.3). It hardly depends on the delay of the echo."""
    echo = exp(-c.echo_delay / 4) * 10 ** (-c.talker_echo_loudness / 10)
    masking = -10 * log10(10 ** (-c.sidetone / 10) + echo)
    return (
        12 * power(1 + power((masking - 13) / 6, 8), 1 / 8)
        - 28 * power(1 + power((masking + 1) / 19.4, 35), 1 / 35)
        - 13 * power(1 + power((masking - 3) / 33, 13), 1 / 13)
        + 29
    )


def _quantization_impairment(c: Transmission) -> float:
    q = 37 - 15 * log10(c.quantization_units)
    g = 1.07 + 0.258 * q + 0.0602 * q**2
    y = (basic_rating(c) - 100) / 15 + 46 / 8.4 - g / 9
    z = 46 / 30 - g / 40
    return 15 * log10(1 + 10**y + 10**z)


def delay_impairment(c: Transmission) -> float:
    """Return Id = Idte + Idle + Idd: talker echo, listener echo and absolute delay (clause 7.4)."""
    return talker_echo_impairment(c) + listener_echo_impairment(c) + absolute_delay_impairment(c)


def talker_echo_impairment(c: Transmission) -> float:
    """Return Idte (clause 7.4), with the corrections for a sidetone below 9 dB and above 20 dB."""
    t = c.echo_delay
    echo = c.talker_echo_loudness - 40 * log10((1 + t / 10) / (1 + t / 150)) + 6 * exp(-0.3 * t**2)
    if c.sidetone < 9:
        echo += sidetone_impairment(c) / 2
    difference = -1.5 * (noise(c) - c.receive_loudness) - (80 + 2.5 * (echo - 14))
    impairment = (difference / 2 + sqrt(difference**2 / 4 + 100) - 1) * (1 - exp(-t))
    return sqrt(impairment**2 + sidetone_impairment(c) ** 2) if c.sidetone > 20 else impairment


def listener_echo_impairment(c: Transmission) -> float:
    """Return Idle (clause 7.4)."""
    difference = basic_rating(c) - 10.5 * (c.echo_path_loss + 7) * power(c.round_trip_delay + 1, -0.25)
    return difference / 2 + sqrt(difference**2 / 4 + 169)


def absolute_delay_impairment(c: Transmission) -> float:
    """Return Idd (clause 7.4): 0 up to 100 ms."""
    if c.delay <= 100:
        return 0.0
    x = log2(c.delay / 100)
    return 25 * (power(1 + power(x, 6), 1 / 6) - 3 * power(1 + power(x / 3, 6), 1 / 6) + 2)


def equipment_impairment(c: Transmission) -> float:
    """Return Ie-eff (clause 7.5): the codec, and lost packets.

    Example:
        >>> equipment_impairment(Transmission(loss_percent=4.3))
        47.5
    """
    loss = c.loss_percent
    share = loss / (loss / c.burst_ratio + c.loss_robustness)
    return c.equipment_impairment + (95 - c.equipment_impairment) * share
