"""The E-model against values that do not come from this implementation, and its bounds."""

import random

import pytest
from attrs import evolve

from agora_analytics.scoring import e_model
from agora_analytics.scoring.e_model import DEFAULT, Transmission, mos, rating


def delayed(delay, **more):
    """A connection whose echo path is as long as the voice path, as in the planning examples of G.107."""
    return Transmission(delay=delay, echo_delay=delay, round_trip_delay=2 * delay, **more)


def test_defaults_give_the_rating_of_the_recommendation():
    """G.107 (06/2015), clause 7.7: the default values result in R = 93.2."""
    assert rating() == pytest.approx(93.21, abs=0.005)
    assert mos(rating()) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(("r", "expected"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_mos_is_that_of_table_b1(r, expected):
    """G.107 (06/2015), Table B.1: the lower limits of R and MOS of each category. It has 4.03 for 4.024."""
    assert mos(r) == pytest.approx(expected, abs=0.0065)


@pytest.mark.parametrize(
    ("ie", "bpl", "loss", "expected"),
    [
        (0, 4.3, 4.3, 47.5),  # half of 95 where the loss equals Bpl
        (0, 25.1, 5, 15.78),  # 95 x 5 / 30.1
        (11, 19, 2, 19.0),  # G.729A with VAD: 11 + 84 x 2 / 21
        (15, 16.1, 3, 27.57),  # G.723.1 at 6.3 kbit/s: 15 + 80 x 3 / 19.1
        (0, 25.1, 100, 75.94),
    ],
)
def test_equipment_impairment_of_codecs(ie, bpl, loss, expected):
    """By hand from clause 7.5 with the Ie and Bpl of G.113 Appendix I."""
    given = Transmission(equipment_impairment=ie, loss_robustness=bpl, loss_percent=loss)
    assert e_model.equipment_impairment(given) == pytest.approx(expected, abs=0.005)


def test_bursts_double_the_weight_of_the_loss():
    """By hand: 95 x 5 / (5 / 2 + 4.3)."""
    given = Transmission(loss_percent=5, burst_ratio=2)
    assert e_model.equipment_impairment(given) == pytest.approx(69.85, abs=0.005)


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        (0, 0),
        (100, 0),
        (200, 3.044),  # X = 1: 25 x (2^(1/6) - 3 x (1 + 3^-6)^(1/6) + 2) = 25 x (1.12246 - 3.00069 + 2)
        (400, 24.070),  # X = 2: 25 x (65^(1/6) - 3 x (1 + (2/3)^6)^(1/6) + 2) = 25 x (2.00517 - 3.04237 + 2)
    ],
)
def test_absolute_delay_impairment(delay, expected):
    """By hand from clause 7.4."""
    assert e_model.absolute_delay_impairment(Transmission(delay=delay)) == pytest.approx(expected, abs=0.002)


@pytest.mark.parametrize("delay", range(20, 301, 20))
def test_delay_agrees_with_the_published_approximation(delay):
    """Cole and Rosenbluth (2001) fitted the delay impairment of G.107: 0.024 d + 0.11 (d - 177.3) above 177.3 ms."""
    approximation = 0.024 * delay + 0.11 * max(delay - 177.3, 0)
    assert 93.2 - rating(delayed(delay)) == pytest.approx(approximation, abs=1.5)


def test_scores_of_other_tools_inputs():
    """The same inputs that were given to other implementations: loss of 5 % with G.711 and PLC, and a delay of 300 ms."""
    lossy = Transmission(delay=25, loss_percent=5, loss_robustness=25.1)
    assert mos(rating(lossy)) == pytest.approx(3.92, abs=0.005)
    assert mos(rating(delayed(300))) == pytest.approx(3.71, abs=0.01)


@pytest.mark.parametrize("sidetone", [5, 8.9, 25])
def test_sidetone_outside_of_its_usual_range_is_corrected(sidetone):
    """The corrections of Idte for STMR below 9 dB and above 20 dB: both add an impairment."""
    plain = e_model.talker_echo_impairment(delayed(150))
    assert e_model.talker_echo_impairment(evolve(delayed(150), sidetone=sidetone)) != plain


def test_rating_is_not_clamped():
    assert rating(delayed(2000, loss_percent=100, loss_robustness=1)) < 0
    assert rating(evolve(DEFAULT, advantage=20)) > 100


def test_mos_is_monotone_and_bounded_where_the_cubic_is_not():
    """The cubic is below 1 for R under 6.5, falls until R = 3.2, and exceeds 4.5 again for negative R."""
    values = [mos(step / 100) for step in range(-20_000, 20_001)]
    assert values == sorted(values)
    assert (values[0], values[-1]) == (1.0, 4.5)
    assert {mos(step / 100) for step in range(652)} == {1.0}
    assert mos(6.52) > 1.0


def test_rating_is_monotone_in_each_impairment():
    """The delay starts at 1 ms: G.107's talker echo is not monotone below that."""
    draws = random.Random(107)
    for _ in range(3_000):
        loss, delay, bpl = draws.uniform(0, 100), draws.uniform(1, 2000), draws.uniform(1, 40)
        better = rating(delayed(delay, loss_percent=loss, loss_robustness=bpl))
        step = draws.choice([1e-6, 0.1, 10, 100])
        longer = rating(delayed(delay + step, loss_percent=loss, loss_robustness=bpl))
        lossier = rating(delayed(delay, loss_percent=min(loss + step, 100), loss_robustness=bpl))
        assert longer <= better
        assert lossier <= better
