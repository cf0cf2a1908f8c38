"""Prints the table of coverage of docs/compare.md: `python -m tests.insight.coverage_table`. Takes some minutes."""

import numpy as np

from agora_analytics.insight.comparison import FEWEST_DIFFERENT, difference

from .call_model import MODELS

DRAWS = 2_000
SEED = 1
SIZES = ((20, 20), (50, 50), (100, 100), (200, 200), (500, 500), (50, 500), (500, 50))


def row(skew: str, before: int, after: int, factor: float) -> str:
    model, changed = MODELS[skew], MODELS[skew].worse(factor)
    truth = changed.truth - model.truth
    rng = np.random.default_rng((SEED, before, after, round(10 * factor), list(MODELS).index(skew)))
    found = [
        difference(model.draw(rng, before), changed.draw(rng, after), seed=draw) for draw in range(DRAWS)
    ]
    intervals = [each for each in found if each.low is not None]
    truths = " / ".join(percent(each.truth, 1) for each in (model, changed))
    cells = [skew, f"{before} / {after}", truths, percent(1 - len(intervals) / DRAWS, 0)]
    if len(intervals) < DRAWS / 20:
        return f"| {' | '.join([*cells, '-', '-', '-'])} |"
    covered = np.mean([each.low <= truth <= each.high for each in intervals])
    excluding = np.mean([each.excludes_zero for each in intervals])
    width = np.median([each.high - each.low for each in intervals])
    cells += [percent(covered, 1), percent(excluding, 0), f"{100 * width:.1f} pp"]
    return f"| {' | '.join(cells)} |"


def percent(share: float, decimals: int) -> str:
    return f"{100 * share:.{decimals}f} %"


if __name__ == "__main__":
    print(f"fewer than {FEWEST_DIFFERENT} calls with a freeze: no interval")
    print(
        "| skew | calls before / after | truth before / after | no interval | covers the truth | excludes zero | median width |"
    )
    print("|---|---|---|---|---|---|---|")
    for skew in MODELS:
        for before, after in SIZES:
            for factor in (1.0, 1.5):
                print(row(skew, before, after, factor), flush=True)
