"""What could be found at all: gradient boosting, one per class of anomalies, with every field and the site known.

It need not fit the device and learns one class at a time, so that the whole budget of false alarms is that class's own. Its
threshold is set on the test normals themselves to the rate that the guard has on them. Beside it stands one classifier for all
classes with one threshold: what is left where the false alarms have to be shared, as one guard has to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from gantryguard.clinic.anomalies import make_anomalies
from gantryguard.learning import trial as trials
from gantryguard.learning import views
from gantryguard.learning.mlp import Say
from gantryguard.learning.stats import Flags
from gantryguard.learning.trial import Trial

Real = NDArray[np.float64]
COMMANDS = 1_000_000  # that a classifier of a class learns from, its anomalies included; the one for all has theirs on top
SEED = 200_000
LOTS = 6  # the normals come from LOTS times `trial.SITES` sites
# Boosting at a tail of one in a thousand runs away without balanced weights and some regularisation.
BOOSTING = {"max_iter": 200, "max_leaf_nodes": 31, "learning_rate": 0.1, "l2_regularization": 5.0, "min_samples_leaf": 40}
# Twelve classes at once take more rounds and leaves than one.
UNDIVIDED = {**BOOSTING, "max_iter": 300, "max_leaf_nodes": 63}
GROSS = 3


@dataclass(frozen=True)
class Learnt:
    """One classifier per class of anomalies, for its kinds of grades 4 and 5, and one for all classes."""

    by_class: dict[str, HistGradientBoostingClassifier]
    undivided: HistGradientBoostingClassifier

    def for_all(self) -> dict[str, HistGradientBoostingClassifier]:
        """The one for all, as that of every class."""
        return dict.fromkeys(self.by_class, self.undivided)


def learn(say: Say, commands: int = COMMANDS) -> Learnt:
    """Train the classifiers on sites, patients and anomalies of their own."""
    lots = [trials.at_sites(commands // LOTS, SEED + 1000 * lot) for lot in range(LOTS)]
    normals = np.concatenate([views.everything(part, site).astype(np.float32) for part, site in lots])
    pools = [_anomalies(lot, commands) for lot in range(LOTS)]
    made = np.concatenate([pool[0] for pool in pools])
    classes = np.concatenate([pool[1] for pool in pools])
    by_class: dict[str, HistGradientBoostingClassifier] = {}
    names = np.unique(classes)
    for number, name in enumerate(names):
        say(number / (len(names) + 1), f"ceiling of {name}")
        wrong = made[classes == name]
        inputs = np.concatenate([normals[: commands - len(wrong)], wrong])
        labels = np.arange(len(inputs)) >= len(inputs) - len(wrong)
        model = HistGradientBoostingClassifier(**BOOSTING, class_weight="balanced", random_state=1)
        by_class[str(name)] = model.fit(inputs, labels)
    say(len(names) / (len(names) + 1), "ceiling of all classes together")
    return Learnt(by_class, _undivided(normals, made, classes))


def weights_of(normals: int, classes: NDArray[np.str_]) -> Real:
    """Weights of the normals, then of anomalies of these classes: every class weighs the same, all together as the normals."""
    names, number, counts = np.unique(classes, return_inverse=True, return_counts=True)
    return np.concatenate([np.ones(normals), (normals / len(names) / counts)[number]])


def _undivided(
    normals: NDArray[np.float32], made: NDArray[np.float32], classes: NDArray[np.str_]
) -> HistGradientBoostingClassifier:
    """One classifier for all classes."""
    weights = weights_of(len(normals), classes)
    labels = np.arange(len(weights)) >= len(normals)
    model = HistGradientBoostingClassifier(**UNDIVIDED, random_state=1)
    return model.fit(np.concatenate([normals, made]), labels, weights)


def _anomalies(lot: int, commands: int) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Anomalies of grades 4 and 5 of one lot of sites: features and classes."""
    sources, site = trials.at_sites(commands // LOTS, SEED + 500 + 1000 * lot)
    made = make_anomalies(sources, SEED + lot, per_kind=max(commands // 200_000, 1) * 700)
    rows = made.grades > GROSS
    features = views.everything(made.commands.take(rows), site[made.origin[rows]]).astype(np.float32)
    return features, np.array(made.classes)[rows]


def found(models: Mapping[str, HistGradientBoostingClassifier], test: Trial, rate: float) -> Flags:
    """Which anomalies the model of their class finds at a rate of false alarms; those of grades 1 to 3 count as found."""
    scans = test.place >= 0  # no classifier has learnt what a localiser is
    normals = views.everything(test.normals.take(scans), test.place[scans]).astype(np.float32)
    wrong = views.everything(test.anomalies.commands, test.anomaly_place).astype(np.float32)
    classes, hits = np.array(test.anomalies.classes), np.ones(len(wrong), dtype=np.bool_)
    bounds: dict[int, float] = {}
    for name, model in models.items():
        if id(model) not in bounds:
            bounds[id(model)] = float(np.quantile(model.decision_function(normals), 1 - rate))
        rows = np.flatnonzero((classes == name) & (test.anomalies.grades > GROSS))
        hits[rows] = model.decision_function(wrong[rows]) > bounds[id(model)]
    return hits
