"""The rates of groups and their differences from the rest: by hand, and over random draws."""

import numpy as np
import pytest

from agora_analytics.insight.comparison import CallSums, difference
from agora_analytics.insight.quality_report.group_differences import (
    MOST_UNITS,
    CallBootstrap,
    GroupSums,
    WilsonEstimate,
)
from tests.conftest import slow
from tests.insight.call_model import MODELS
from tests.insight.report.random_groups import compared, false_alarms, random_panels, sums


def random_sums(calls=60, *, seed=1, worse=0.0):
    """Return two users in each call, one of each group, whose rates depend on the call. Group 1 is `worse`."""
    rng = np.random.default_rng(seed)
    call, group = np.repeat(np.arange(calls), 2), np.tile([0, 1], calls)
    seconds = rng.uniform(100, 900, 2 * calls)
    share = np.clip(
        np.repeat(rng.beta(1, 9, calls), 2) + rng.uniform(0, 0.05, 2 * calls) + worse * group, 0, 1
    )
    return GroupSums(call, group, share * seconds, seconds)


def test_rates_are_ratios_of_sums():
    data = random_sums()
    first, second = CallBootstrap(60, 1).differences([(data, 2)])[0]
    expected = [
        data.numerator[data.group == each].sum() / data.denominator[data.group == each].sum()
        for each in (0, 1)
    ]
    assert [first.rate, second.rate] == pytest.approx(expected)
    assert first.difference == pytest.approx(expected[0] - expected[1])
    assert second.difference == pytest.approx(-first.difference)
    assert second.difference_low == pytest.approx(-first.difference_high)
    assert first.low < first.rate < first.high
    assert first.calls == 60


def test_users_of_the_same_calls_give_a_narrower_interval_than_users_of_different_calls():
    data = random_sums()
    paired = CallBootstrap(60, 1).differences([(data, 2)])[0][1]
    of_group = [data.group == each for each in (0, 1)]
    independent = difference(
        *(CallSums(data.numerator[kept], data.denominator[kept]) for kept in of_group), seed=1
    )
    width = paired.difference_high - paired.difference_low
    assert width < 0.7 * (independent.high - independent.low)


def test_group_that_is_worse_has_an_interval_above_zero():
    found = CallBootstrap(60, 1).differences([(random_sums(worse=0.05), 2)])[0][1]
    assert 0 < found.difference_low < 0.05 < found.difference_high
    assert found.p_value < 0.001


def test_group_is_found_if_all_others_are_without_trouble():
    data = random_sums(200)
    silent = GroupSums(data.call, data.group, data.numerator * data.group, data.denominator)
    good, bad = CallBootstrap(200, 1).differences([(silent, 2)])[0]
    assert good.rate == good.low == 0.0
    assert good.high < 0.03
    assert bad.difference_low > 0


def test_groups_that_are_not_compared_belong_to_the_rest():
    data = random_sums()
    (only,) = CallBootstrap(60, 1).differences([(data, 1)])[0]
    assert only == CallBootstrap(60, 1).differences([(data, 2)])[0][0]


def test_result_does_not_depend_on_other_measures():
    one, other = random_sums(), random_sums(seed=2)
    together = CallBootstrap(60, 1).differences([(one, 2), (other, 2)])
    assert together[1] == CallBootstrap(60, 1).differences([(other, 2)])[0]


def test_too_few_calls_have_a_rate_without_an_interval():
    (found, _) = CallBootstrap(19, 1).differences([(random_sums(19), 2)])[0]
    assert found.rate is not None
    assert (found.low, found.difference_low, found.p_value) == (None, None, None)
    assert found.difference is not None


def test_group_without_calls_has_no_rate():
    found = CallBootstrap(60, 1).differences([(random_sums(), 3)])[0][2]
    assert (found.rate, found.calls, found.difference) == (None, 0, None)


def test_wilson_interval_is_that_of_the_textbook():
    assert WilsonEstimate(0.5, 100).limits(0.05) == pytest.approx((0.404, 0.596), abs=0.001)
    assert WilsonEstimate(0.0, 30).limits(0.05) == pytest.approx((0.0, 0.1135), abs=0.001)


def test_many_calls_are_merged_and_keep_their_rates_and_errors():
    calls = 4 * MOST_UNITS
    data = random_sums(calls)
    merged = CallBootstrap(calls, 1).differences([(data, 2)])[0][0]
    plain = difference(CallSums([0.0] * 30, [1.0] * 30), CallSums([0.0] * 30, [1.0] * 30), seed=1)
    assert plain.low is None
    rate = data.numerator[data.group == 0].sum() / data.denominator[data.group == 0].sum()
    x, y = data.numerator[data.group == 0], data.denominator[data.group == 0]
    error = np.sqrt(((x - rate * y) ** 2).sum()) / y.sum()
    assert merged.rate == pytest.approx(rate)
    assert merged.high - merged.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_sums_have_one_entry_for_each_call_and_group():
    found = sums(np.array([0, 0, 1]), np.array([1, 1, 0]), np.array([1.0, 2, 3]), np.array([4.0, 5, 6]), 2)
    assert found.call.tolist() == [0, 1]
    assert found.numerator.tolist() == [3.0, 3.0]
    assert found.of_calls(2)[1].tolist() == [9.0, 6.0]


def test_same_seed_gives_the_same_intervals():
    assert compared("mild", 60, 1) == compared("mild", 60, 1)
    rng = np.random.default_rng(1)
    assert len(random_panels(MODELS["mild"], rng, 60)) == 4


@pytest.mark.parametrize(
    ("model", "calls", "draws"),
    [("mild", 60, 60), slow("typical", 200, 200), slow("heavy", 1000, 60)],
)
def test_groups_without_a_difference_are_rarely_named(model, calls, draws):
    """With 200 draws and a rate of 5 %, more than 10 % have a probability below 0.2 %. docs/report.md has the table."""
    alarms, worse, single, _ = false_alarms(model, calls, draws)
    assert alarms <= 0.1
    assert worse <= alarms
    assert single <= 0.1
