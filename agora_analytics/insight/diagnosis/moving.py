"""Moving means and medians over values by second, and conditions that must last."""

import warnings

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from agora_analytics.insight.diagnosis.call_timeline import Seconds, Values

_BLOCK = 50_000  # seconds; a median needs a window's memory for each of them


def moving_mean(values: Values, window: int) -> Values:
    """Return the mean of the values in a window around each second; NaN where it has none.

    Example:
        >>> moving_mean(np.array([1.0, np.nan, 3.0]), 3).tolist()
        [1.0, 2.0, 3.0]
    """
    known = ~np.isnan(values)
    sums = _moving_sum(np.where(known, values, 0.0), window)
    counts = _moving_sum(known.astype(np.float64), window)
    mean: Values = np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0.5)
    return mean


def moving_median(values: Values, window: int) -> Values:
    """Return the median of the values in a window around each second; NaN where it has none.

    A disturbance that is shorter than half of the window does not change it.

    Example:
        >>> moving_median(np.array([1.0, 9.0, 1.0, 1.0]), 3).tolist()
        [5.0, 1.0, 1.0, 1.0]
    """
    half = window // 2
    padded = np.concatenate([np.full(half, np.nan), values, np.full(window - 1 - half, np.nan)])
    windows = sliding_window_view(padded, window)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a window without any value has no median
        parts = [
            np.nanmedian(windows[at : at + _BLOCK], axis=1) for at in range(0, max(len(values), 1), _BLOCK)
        ]
    return np.concatenate(parts) if len(values) else values


def above(values: Values, limit: float | Values) -> Seconds:
    """Return where a value is above a limit; False where there is none."""
    result: Seconds = values > limit
    return result


def below(values: Values, limit: float | Values) -> Seconds:
    """Return where a value is below a limit; False where there is none."""
    result: Seconds = values < limit
    return result


def lasting(seconds: Seconds, least: int) -> Seconds:
    """Return a condition where it holds for at least so many seconds in a row.

    Example:
        >>> lasting(np.array([True, False, True, True]), 2).tolist()
        [False, False, True, True]
    """
    result = np.zeros_like(seconds)
    for first, last in runs(seconds):
        if last - first >= least:
            result[first:last] = True
    return result


def around(seconds: Seconds, margin: int) -> Seconds:
    """Return a condition, extended by so many seconds before and after."""
    wide: Seconds = _moving_sum(seconds.astype(np.float64), 2 * margin + 1) > 0.5
    return wide


def runs(seconds: Seconds) -> list[tuple[int, int]]:
    """Return the first second of each run of a condition, and the one after its last.

    Example:
        >>> runs(np.array([True, True, False, True]))
        [(0, 2), (3, 4)]
    """
    padded = np.concatenate([[0], seconds.astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(padded))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def _moving_sum(values: Values, window: int) -> Values:
    half = window // 2
    sums = np.concatenate([np.zeros(1), np.cumsum(values)])
    at = np.arange(len(values))
    result: Values = sums[np.minimum(at - half + window, len(values))] - sums[np.maximum(at - half, 0)]
    return result
