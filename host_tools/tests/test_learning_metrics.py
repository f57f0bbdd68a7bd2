"""Figures and test sets that the evaluation is made of."""

from __future__ import annotations

import numpy as np
import pytest

from gantryguard.clinic.generator import generate
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.learning import stats, trial


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        (0, 100, 0.0, 0.0362167),
        (100, 100, 0.9637833, 1.0),
        (5, 100, 0.0164319, 0.1128349),
        (1, 10, 0.0025286, 0.4450161),
        (50, 100, 0.3983211, 0.6016789),
    ],
)
def test_clopper_pearson(hits: int, trials: int, low: float, high: float) -> None:
    """Against tabulated values (quantiles of the beta distribution)."""
    assert stats.interval(hits, trials) == pytest.approx((low, high), abs=1e-6)


def test_clopper_pearson_with_many_trials() -> None:
    """Mid-range of 400,000 trials: the Poisson limits for 33 are 22.7 and 46.3."""
    low, high = stats.interval(33, 400_000)
    assert low * 400_000 == pytest.approx(22.716, abs=0.02)
    assert high * 400_000 == pytest.approx(46.344, abs=0.02)


def test_the_interval_of_a_mean_of_sites_is_that_of_their_spread() -> None:
    """49 sites, mean 2, standard deviation 1: about 2 +- 1.96 / 7; a few sites far above the others stretch the upper end."""
    assert stats.interval_of_mean([1.0, 3.0] * 24 + [2.0]) == pytest.approx((1.72, 2.28), abs=0.02)
    low, high = stats.interval_of_mean([1.0] * 45 + [10.0] * 4)
    mean = (45 + 40) / 49
    assert 1.3 * (mean - low) < high - mean
    assert stats.interval_of_mean([0.5, 0.5]) == (0.5, 0.5)


def test_f1_is_that_of_equal_numbers() -> None:
    assert stats.f1(1.0, 0.0) == 1.0
    assert stats.f1(0.5, 0.0) == pytest.approx(2 / 3, abs=1e-6)
    assert stats.f1(0.9, 0.1) == pytest.approx(0.9)
    assert stats.f1(0.0, 0.3) == 0.0


def test_test_sets_are_of_other_sites_and_in_equal_numbers() -> None:
    test = trial.trial(trial.Sample(normals=1800, per_kind=3, seed=5000))
    assert set(np.bincount(test.normals["objective"].astype(int))[1:]) >= {100}
    assert set(test.place.tolist()) - {-1} <= set(trial.sites_of(5000))
    assert not set(trial.sites_of(5000)) & set(trial.sites_of(6000))
    assert len(test.anomaly_place) == len(test.anomalies.commands)


def test_every_command_has_a_patient_group() -> None:
    assert set(trial.patient_groups(generate(20_000, scanner=reference_scanner(), seed=77))) == set(trial.PATIENT_GROUPS)
