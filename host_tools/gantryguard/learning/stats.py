"""Shares with exact confidence intervals, and F1 at equal numbers of normal and anomalous commands."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

Flags = NDArray[np.bool_]
CONFIDENCE = 0.95
DIGITS = 6


def interval(hits: int, trials: int) -> tuple[float, float]:
    """Clopper-Pearson interval of a share at 95 %: the exact one, by bisection of the binomial tail."""
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if hits == 0 else _bisect(lambda p: 1 - _at_most(hits - 1, trials, p) < tail)
    high = 1.0 if hits == trials else _bisect(lambda p: _at_most(hits, trials, p) > tail)
    return low, high


def interval_of_mean(values: Sequence[float]) -> tuple[float, float]:
    """Interval of a mean at 95 % by bias-corrected bootstrap (Efron 1987), the values being independent but perhaps skewed."""
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    told = bootstrap((values,), np.mean, confidence_level=CONFIDENCE, method="BCa", rng=np.random.default_rng(1))
    return float(told.confidence_interval.low), float(told.confidence_interval.high)


def _bisect(is_below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2


def _at_most(hits: int, trials: int, share: float) -> float:
    """Probability of at most `hits` in `trials`; summed from the smaller side."""
    if hits > trials // 2:
        return 1 - _at_most(trials - hits - 1, trials, 1 - share)
    if share in (0.0, 1.0):
        return 1.0 - share
    total = 0.0
    for k in range(hits + 1):
        log = math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        total += math.exp(log + k * math.log(share) + (trials - k) * math.log1p(-share))
    return min(total, 1.0)


def f1(recall: float, false_alarm_rate: float) -> float:
    """F1 of a detector where normals and anomalies are equally many."""
    return round(2 * recall / (recall + false_alarm_rate + 1), DIGITS)


def share(hits: Flags) -> float:
    """Share of true values; 0 for none at all."""
    return round(float(hits.mean()), DIGITS) if len(hits) else 0.0


def shares(hits: Flags, labels: Sequence[str] | NDArray[np.str_]) -> dict[str, float]:
    """Share of true values by label, in the order of the labels' names."""
    names = np.asarray(labels)
    return {str(name): share(hits[names == name]) for name in np.unique(names)}
