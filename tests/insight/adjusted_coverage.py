"""Measures how often the mix-adjusted interval covers the truth: `python -m tests.insight.adjusted_coverage`."""

import numpy as np

from agora_analytics.insight.call_sums import PeriodSums
from agora_analytics.insight.mix import mix_changes

from .call_model import MODELS

NETWORKS = ("4G", "WiFi")
DRAWS = 1_000
MOBILE = (0.3, 0.6)
"""The share of 4G in both periods."""


def draw(
    rng: np.random.Generator, mobile: float, factors: tuple[float, float], calls: int
) -> list[np.ndarray]:
    """Return call, network, frozen and measured seconds. A call has users of both networks with its own shares."""
    rows = []
    shares = rng.beta(4 * mobile, 4 * (1 - mobile), calls)
    parts = [MODELS["mild"].worse(factor).draw(rng, calls) for factor in factors]
    for place, (part, share) in enumerate(zip(parts, (shares, 1 - shares), strict=True)):
        size = parts[0].denominator * share  # the same length for both networks
        rows.append([np.arange(calls), np.full(calls, place), size * part.numerator / part.denominator, size])
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def sums_of(before: list[np.ndarray], after: list[np.ndarray]) -> PeriodSums:
    call, value, frozen, measured = (np.concatenate(pair) for pair in zip(before, after, strict=True))
    period = np.repeat([0, 1], [len(before[0]), len(after[0])])
    zeros = np.zeros(len(call), dtype=np.int64)
    return PeriodSums(
        period=period,
        call=call,
        group=zeros,
        groups=("",),
        value=value,
        values=NETWORKS,
        numerator=frozen,
        denominator=measured,
    )


def rates(mobile: float, factors: tuple[float, float]) -> np.ndarray:
    """Return the true freeze rate of each network, from very many calls."""
    _, network, frozen, measured = draw(np.random.default_rng(0), mobile, factors, 3_000_000)
    return np.bincount(network, frozen) / np.bincount(network, measured)


if __name__ == "__main__":
    for calls in (50, 200):
        for factor in (1.0, 1.3):
            before, after = (MOBILE[0], (1.3, 0.7)), (MOBILE[1], (1.3 * factor, 0.7 * factor))
            truth = float((rates(*after) - rates(*before)) @ [MOBILE[0], 1 - MOBILE[0]])
            rng = np.random.default_rng((1, calls, round(10 * factor)))
            covered = []
            for draw_number in range(DRAWS):
                sums = sums_of(draw(rng, *before, calls), draw(rng, *after, calls))
                covered += [
                    change.low <= truth <= change.high
                    for change in mix_changes("total", {"network": sums}, seed=draw_number)
                    if change.low is not None
                ]
            print(
                f"{calls} calls, effect x{factor}: truth {truth:.4f}, {np.mean(covered):.1%} of {len(covered)} intervals"
            )
