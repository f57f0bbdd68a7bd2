"""What could be found at all: gradient boosting, one per class of anomalies, with every field and the site known.

It need not fit the device and learns one class at a time, so that the whole budget of false alarms is that class's own. Its
threshold is set on the test normals themselves to the rate that the guard has on them. Beside it stands one classifier for all
classes with one threshold: what is left where the false alarms have to be shared, as one guard has to.
"""

from __future__ import annotations

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

COMMANDS = 1_000_000  # that a classifier learns from, normals and anomalies of its class together
SEED = 200_000
LOTS = 6  # the normals come from LOTS times `trial.SITES` sites
# Boosting at a tail of one in a thousand runs away without balanced weights and some regularisation.
BOOSTING = {"max_iter": 200, "max_leaf_nodes": 31, "learning_rate": 0.1, "l2_regularization": 5.0, "min_samples_leaf": 40}
UNDIVIDED = {**BOOSTING, "max_iter": 300, "max_leaf_nodes": 63}
GROSS = 3


@dataclass(frozen=True)
class Learnt:
    """One classifier per class of anomalies, for its kinds of grades 4 and 5, and one for all classes."""

    by_class: dict[str, HistGradientBoostingClassifier]
    undivided: HistGradientBoostingClassifier


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
        say(number / len(names), f"ceiling of {name}")
        wrong = made[classes == name]
        inputs = np.concatenate([normals[: commands - len(wrong)], wrong])
        labels = np.arange(len(inputs)) >= len(inputs) - len(wrong)
        model = HistGradientBoostingClassifier(**BOOSTING, class_weight="balanced", random_state=1)
        by_class[str(name)] = model.fit(inputs, labels)
    say(1.0, "ceiling of all classes together")
    return Learnt(by_class, _undivided(normals, made, classes))


def _undivided(
    normals: NDArray[np.float32], made: NDArray[np.float32], classes: NDArray[np.str_]
) -> HistGradientBoostingClassifier:
    """One classifier for all classes, which weigh alike and together as much as the normals."""
    names, number, counts = np.unique(classes, return_inverse=True, return_counts=True)
    weights = np.concatenate([np.ones(len(normals)), (len(normals) / len(names) / counts)[number]])
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


def found(learnt: Learnt, test: Trial, rate: float, *, undivided: bool = False) -> Flags:
    """Which anomalies are found at a rate of false alarms, those of grades 1 to 3 counting as found.

    By the classifier of their class, or `undivided` by the one for all.
    """
    scans = test.place >= 0  # no classifier has learnt what a localiser is
    normals = views.everything(test.normals.take(scans), test.place[scans]).astype(np.float32)
    wrong = views.everything(test.anomalies.commands, test.anomaly_place).astype(np.float32)
    classes, hits = np.array(test.anomalies.classes), np.ones(len(wrong), dtype=np.bool_)
    apart = [(model, [name]) for name, model in learnt.by_class.items()]
    for model, names in [(learnt.undivided, list(learnt.by_class))] if undivided else apart:
        rows = np.flatnonzero(np.isin(classes, names) & (test.anomalies.grades > GROSS))
        bound = np.quantile(model.decision_function(normals), 1 - rate)
        hits[rows] = model.decision_function(wrong[rows]) > bound
    return hits
