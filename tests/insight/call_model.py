"""A model of calls and their freezes, from which the coverage of intervals is measured.

A call has 2 to 25 users (most have 2 to 4) and a lognormal length with a median of 15 minutes; its users stay for a part of
it. Most calls have no freeze at all. The probability that a call freezes grows with its users. A call that freezes has a
share of frozen time from a beta distribution, and all its users share it, as users of one bad room do. So the sums of a
call are skewed, correlated with its size, and of very different weights. The true value is a finite sum.
"""

import numpy as np
from attrs import evolve, frozen

from agora_analytics.insight.comparison import CallSums

USERS = np.array([2, 3, 4, 5, 6, 8, 10, 15, 25])
CHANCES = np.array([0.38, 0.20, 0.13, 0.09, 0.07, 0.05, 0.04, 0.03, 0.01])


@frozen
class CallModel:
    """The distribution of the calls of one period.

    Attributes:
        freezing: the probability that a call of four users freezes.
        alpha: first parameter of the beta distribution of the frozen share.
        beta: second parameter.
    """

    freezing: float
    alpha: float
    beta: float

    def _chances(self) -> np.ndarray:
        """Return the probability of a freeze for each of `USERS`."""
        return np.minimum(1.0, self.freezing * (0.8 + 0.05 * USERS))

    @property
    def truth(self) -> float:
        """The true freeze rate: expected frozen seconds divided by expected measured seconds of a call."""
        weights = CHANCES * USERS
        return float(
            (weights * self._chances()).sum() / weights.sum() * self.alpha / (self.alpha + self.beta)
        )

    def worse(self, factor: float) -> "CallModel":
        """Return the same with more calls that freeze."""
        return evolve(self, freezing=self.freezing * factor)

    def draw(self, rng: np.random.Generator, calls: int) -> CallSums:
        """Return the sums of some calls: frozen seconds and measured seconds."""
        size = rng.choice(len(USERS), calls, p=CHANCES)
        seconds = USERS[size] * rng.lognormal(np.log(900), 0.9, calls) * rng.beta(5, 1.5, calls)
        freezes = rng.random(calls) < self._chances()[size]
        return CallSums(rng.beta(self.alpha, self.beta, calls) * freezes * seconds, seconds)


MODELS = {
    "mild": CallModel(0.7, 2.0, 38.0),
    "typical": CallModel(0.3, 0.8, 9.2),
    "heavy": CallModel(0.12, 0.4, 3.6),
}
"""By skew: 70 %, 30 % and 12 % of the calls freeze; the frozen shares have a mean of 5 %, 8 % and 10 %."""
