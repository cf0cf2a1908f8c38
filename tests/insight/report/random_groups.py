"""Random calls with users in groups that make no difference: the rate of false alarms of a report.

`python -m tests.insight.report.random_groups [draws]` prints the table of docs/report.md.
"""

import sys

import numpy as np

from agora_analytics.insight.comparison import holm
from agora_analytics.insight.quality_report.group_differences import CallBootstrap, GroupDifference, GroupSums
from tests.insight.call_model import CHANCES, MODELS, USERS, CallModel

PANELS = ((0.6, 0.25, 0.1, 0.05), (0.4, 0.3, 0.2, 0.1), (0.5, 0.3, 0.15, 0.05))
"""The shares of the groups of three panels, such as networks. A fourth panel has the 24 hours of the day."""


def random_panels(model: CallModel, rng: np.random.Generator, calls: int) -> list[tuple[GroupSums, int]]:
    """Return the sums of four panels of one measure. The users of a call share its freezes, more or less."""
    size = rng.choice(len(USERS), calls, p=CHANCES)
    call = np.repeat(np.arange(calls), USERS[size])
    freezes = rng.random(calls) < model._chances()[size]
    shares = rng.beta(model.alpha, model.beta, calls) * freezes
    seconds = rng.lognormal(np.log(900), 0.9, calls)[call] * rng.beta(5, 1.5, len(call))
    frozen = seconds * np.clip(shares[call] * rng.uniform(0, 2, len(call)), 0, 1)
    groups = [(rng.choice(len(chances), len(call), p=chances), len(chances)) for chances in PANELS]
    groups.append((rng.integers(0, 24, calls)[call], 24))
    return [(sums(call, group, frozen, seconds, count), count) for group, count in groups]


def sums(call, group, numerator, denominator, groups) -> GroupSums:
    """Return the sums of some users by call and group."""
    keys, places = np.unique(call * groups + group, return_inverse=True)
    return GroupSums(
        keys // groups, keys % groups, np.bincount(places, numerator), np.bincount(places, denominator)
    )


def compared(model: str, calls: int, seed: int) -> list[GroupDifference]:
    """Return all groups of one draw."""
    rng = np.random.default_rng((99, seed, calls))
    found = CallBootstrap(calls, 1).differences(random_panels(MODELS[model], rng, calls))
    return [each for panel in found for each in panel]


def false_alarms(model: str, calls: int, draws: int) -> tuple[float, float, float, float]:
    """Return the shares of draws in which any group is named and in which one is called worse, that of single intervals
    without zero, and the mean number of comparisons.
    """
    alarms, worse, single, tested = [], [], [], []
    for seed in range(draws):
        found = [each for each in compared(model, calls, seed) if each.p_value is not None]
        corrected = holm(each.p_value for each in found)
        named = [each for each, p_value in zip(found, corrected, strict=True) if p_value < 0.05]
        alarms.append(bool(named))
        worse.append(any(each.difference > 0 for each in named))
        single += [each.p_value < 0.05 for each in found]
        tested.append(len(found))
    return float(np.mean(alarms)), float(np.mean(worse)), float(np.mean(single)), float(np.mean(tested))


if __name__ == "__main__":
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print("| skew | calls | comparisons | any group named | one called worse | one interval excludes zero |")
    print("|---|---|---|---|---|---|")
    for name in MODELS:
        for number in (60, 200, 1000, 3000):
            alarm, bad, one, count = false_alarms(name, number, draws)
            print(
                f"| {name} | {number:,} | {count:.0f} | {100 * alarm:.1f} % | {100 * bad:.1f} % | {100 * one:.1f} % |",
                flush=True,
            )
