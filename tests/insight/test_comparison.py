"""The statistics of a comparison: coverage of the intervals, false alarms, and what has no interval."""

import numpy as np
import pytest

from agora_analytics.insight.comparison import CallSums, difference, holm

from .call_model import MODELS

SEED = 16_04_2026
"""Fixed before the first run; never change it to pass."""
DRAWS = 2_000


def drawn_differences(draws, seed):
    """Yield (interval, truth) of periods of 20 to 500 calls of all skews, half of them with a true difference."""
    rng = np.random.default_rng(seed)
    models = list(MODELS.values())
    while draws:
        model = models[rng.integers(len(models))]
        changed = model.worse(rng.choice([1.0, 1.5]))
        before, after = np.exp(rng.uniform(np.log(20), np.log(500), 2)).round().astype(int)
        pair = model.draw(rng, before), changed.draw(rng, after)
        found = difference(*pair, seed=int(rng.integers(2**31)))
        if found.low is not None:
            draws -= 1
            yield found, changed.truth - model.truth


@pytest.mark.slow
def test_interval_covers_the_truth_in_95_percent_of_2000_draws():
    covered = [found.low <= truth <= found.high for found, truth in drawn_differences(DRAWS, SEED)]
    assert len(covered) == DRAWS
    share = np.mean(covered)
    print(f"{share:.2%} of {DRAWS:,} intervals cover the truth")
    assert 0.935 <= share <= 0.965


def test_interval_covers_the_truth_of_a_few_draws():
    covered = [found.low <= truth <= found.high for found, truth in drawn_differences(100, 1)]
    assert np.mean(covered) >= 0.88


def test_model_has_the_true_value_that_it_states():
    for model in MODELS.values():
        calls = model.draw(np.random.default_rng(1), 400_000)
        assert calls.value == pytest.approx(model.truth, rel=0.03)


def test_p_value_agrees_with_the_interval():
    rng = np.random.default_rng(3)
    for factor in (1.0, 1.5, 3.0):
        for _ in range(15):
            pair = MODELS["mild"].draw(rng, 80), MODELS["mild"].worse(factor).draw(rng, 80)
            found = difference(*pair, seed=1)
            assert found.low <= found.difference <= found.high
            # The p-value is exact to 1 %.
            assert found.excludes_zero == (found.p_value <= 0.05) or abs(found.p_value - 0.05) < 0.001


def test_same_seed_gives_the_same_interval():
    pair = (
        MODELS["mild"].draw(np.random.default_rng(1), 50),
        MODELS["mild"].draw(np.random.default_rng(2), 50),
    )
    assert difference(*pair, seed=5) == difference(*pair, seed=5)
    assert difference(*pair, seed=5).low != difference(*pair, seed=6).low


def test_difference_does_not_depend_on_the_unit():
    pair = (
        MODELS["mild"].draw(np.random.default_rng(1), 50),
        MODELS["mild"].draw(np.random.default_rng(2), 50),
    )
    found = difference(*pair, seed=5)
    scaled = difference(*(CallSums(1e6 * each.numerator, 1e9 * each.denominator) for each in pair), seed=5)
    assert scaled.difference == pytest.approx(found.difference / 1000)
    # A freeze rate cannot be below zero or above one, which holds in both units.
    assert (scaled.low, scaled.high) == pytest.approx((found.low / 1000, found.high / 1000))


def test_means_of_negative_values_have_an_interval():
    """Volumes in dB are negative."""
    rng = np.random.default_rng(1)
    seconds = rng.uniform(100, 1000, 60)
    quiet = CallSums(rng.normal(-50, 5, 60) * seconds, seconds)
    loud = CallSums(rng.normal(-30, 5, 60) * seconds, seconds)
    found = difference(quiet, loud, seed=1)
    assert 15 < found.low < 20 < found.high < 25


def test_very_many_calls_are_compared_within_bounded_work():
    rng = np.random.default_rng(4)
    before, after = MODELS["mild"].draw(rng, 200_000), MODELS["mild"].worse(1.2).draw(rng, 200_000)
    found = difference(before, after, seed=1)
    truth = MODELS["mild"].worse(1.2).truth - MODELS["mild"].truth
    assert found.low < truth < found.high
    direct = 1.96 * np.sqrt(sum(linear_variance(each) for each in (before, after)))
    assert (found.high - found.low) / 2 == pytest.approx(direct, rel=0.1)


def linear_variance(calls):
    residuals = calls.numerator - calls.value * calls.denominator
    return (residuals**2).sum() / calls.denominator.sum() ** 2


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (CallSums([], []), CallSums([1.0], [2.0]), "no data before"),
        (CallSums([1.0], [2.0]), CallSums([0.0], [0.0]), "no data after"),
        (CallSums([], []), CallSums([], []), "no data"),
        (CallSums(range(19), [50] * 19), CallSums(range(30), [50] * 30), "fewer than 20 calls before"),
        (CallSums(range(30), [50] * 30), CallSums(range(19), [50] * 19), "fewer than 20 calls after"),
        (
            CallSums([0] * 90 + [1] * 9, [50] * 99),
            CallSums(range(30), [50] * 30),
            "fewer than 10 calls before differ from the others",
        ),
        (
            CallSums(range(30), [50] * 30),
            CallSums([50] * 90 + [1] * 9, [50] * 99),
            "fewer than 10 calls after differ from the others",
        ),
    ],
)
def test_too_few_calls_have_no_interval(before, after, reason):
    found = difference(before, after, seed=1)
    assert (found.low, found.high, found.p_value, found.reason) == (None, None, None, reason)
    assert (found.difference is None) == reason.startswith("no data")
    assert not found.excludes_zero


def test_calls_without_measured_time_are_left_out():
    calls = MODELS["mild"].draw(np.random.default_rng(1), 50)
    more = CallSums(np.append(calls.numerator, 0.0), np.append(calls.denominator, 0.0))
    assert difference(calls, more, seed=1).difference == 0


def test_holm_corrects_for_the_number_of_groups():
    assert holm([]) == []
    assert holm([0.04]) == [0.04]
    assert holm([0.5, 0.02, None, 0.01]) == pytest.approx([0.5, 0.04, None, 0.03])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_groups_without_a_difference_are_rarely_called_different():
    """Of 100 comparisons of eight equal groups, about 5 % may name a difference."""
    rng = np.random.default_rng(8)
    model = MODELS["mild"]
    wrong = 0
    for _ in range(100):
        found = [difference(model.draw(rng, 60), model.draw(rng, 60), seed=1) for _ in range(8)]
        wrong += any(
            p_value is not None and p_value < 0.05 for p_value in holm(each.p_value for each in found)
        )
    assert wrong <= 12
