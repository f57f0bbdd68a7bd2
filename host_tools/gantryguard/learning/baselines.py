"""The published design on our data: unsupervised detectors over the command, then supervised ones per objective.

As described by Mahler et al. (AIME 2020): a context-free layer of unsupervised detectors, then a context-sensitive layer of
classifiers, in series. Raw fields are standardised; the first layer is trained on normals and set to one false alarm in a
hundred, the second on normals and anomalies of every kind, and decides at one half. Sizes are what these methods can bear.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, SGDOneClassSVM
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from gantryguard.clinic.schema import OBJECTIVES
from gantryguard.learning import trial as trials
from gantryguard.learning import views
from gantryguard.learning.mlp import Say
from gantryguard.learning.stats import Flags, f1, share
from gantryguard.learning.trial import Sample, Trial

Real = NDArray[np.float64]
LEARNT = Sample(normals=36_000, per_kind=400, seed=250_000)
NEIGHBOURS_ROWS = 6_000
TESTED = 30_000  # normals and anomalies of the test set, each
FREE_RATE = 0.01
GROSS = 3


class _Reconstruction:
    """PCA as a detector: the residual that a few components leave."""

    def __init__(self) -> None:
        self.model = PCA(n_components=0.9, random_state=1)

    def fit(self, rows: Real) -> _Reconstruction:
        self.model.fit(rows)
        return self

    def score_samples(self, rows: Real) -> Real:
        rebuilt = self.model.inverse_transform(self.model.transform(rows))
        return np.asarray(-np.sum((rows - rebuilt) ** 2, axis=1))


CONTEXT_FREE: dict[str, Callable[[], Any]] = {
    "isolation forest": lambda: IsolationForest(n_estimators=200, random_state=1),
    "local outlier factor": lambda: LocalOutlierFactor(n_neighbors=20, novelty=True),
    "one-class SVM": lambda: make_pipeline(Nystroem(gamma=0.1, n_components=150, random_state=1), SGDOneClassSVM(nu=0.01)),
    "elliptic envelope": lambda: EllipticEnvelope(support_fraction=1.0, random_state=1),
    "Gaussian mixture": lambda: GaussianMixture(n_components=20, reg_covar=1e-3, random_state=1),
    "principal components": _Reconstruction,
}
CONTEXT_SENSITIVE: dict[str, Callable[[], Any]] = {
    "decision tree": lambda: DecisionTreeClassifier(random_state=1),
    "random forest": lambda: RandomForestClassifier(n_estimators=100, random_state=1),
    "gradient boosting": lambda: HistGradientBoostingClassifier(random_state=1),
    "logistic regression": lambda: LogisticRegression(max_iter=500),
    "naive Bayes": GaussianNB,
}


def compare(test: Trial, limits: tuple[Flags, Flags], say: Say) -> list[dict[str, object]]:
    """F1 of grades 1 to 3 and false alarms, overall and by objective, of every layer alone and of both in series.

    `limits` are the alarms of the guard's hard limits alone on the test set's normals and anomalies.
    """
    gross = np.flatnonzero(test.anomalies.grades <= GROSS)
    dice = np.random.default_rng(1)
    good = dice.permutation(len(test.normals))[:TESTED]
    bad = dice.permutation(gross)[:TESTED]
    normals, wrong = test.normals.take(good), test.anomalies.commands.take(bad)
    objective = normals["objective"].astype(int), wrong["objective"].astype(int)
    rows = [_figures("hard limits alone", limits[0][good], limits[1][bad], *objective)]
    inputs = views.fields(normals), views.fields(wrong)
    first = _context_free(*inputs, say)
    second = _context_sensitive(*inputs, *objective, say)
    rows += [_figures(name, *hits, *objective) for name, hits in (first | second).items()]
    for one, early in first.items():
        for other, late in second.items():
            both = (early[0] | late[0], early[1] | late[1])
            rows.append(_figures(f"{one} + {other}", *both, *objective))
    return rows


def _context_free(normals: Real, wrong: Real, say: Say) -> dict[str, tuple[Flags, Flags]]:
    learnt = views.fields(trials.at_sites(LEARNT.normals, LEARNT.seed)[0])
    scale = StandardScaler().fit(learnt)
    held = scale.transform(views.fields(trials.at_sites(LEARNT.normals, LEARNT.seed + 500)[0]))
    found = {}
    for name, make in CONTEXT_FREE.items():
        say(0.7, f"baseline: {name}")
        few = np.random.default_rng(2).permutation(len(learnt))[: NEIGHBOURS_ROWS if "factor" in name else len(learnt)]
        model = make().fit(scale.transform(learnt[few]))
        bound = np.quantile(model.score_samples(held), FREE_RATE)
        found[name] = tuple(model.score_samples(scale.transform(part)) < bound for part in (normals, wrong))
    return found


def _context_sensitive(
    normals: Real, wrong: Real, good: NDArray[np.int64], bad: NDArray[np.int64], say: Say
) -> dict[str, tuple[Flags, Flags]]:
    lesson = trials.trial(LEARNT)
    clean, spoilt = lesson.normals, lesson.anomalies.commands
    found = {}
    for name, make in CONTEXT_SENSITIVE.items():
        say(0.8, f"baseline: {name}")
        hits = np.zeros(len(normals), dtype=np.bool_), np.zeros(len(wrong), dtype=np.bool_)
        for code in OBJECTIVES.values():
            ours = [views.fields(part.take(part["objective"] == code)) for part in (clean, spoilt)]
            labels = np.repeat([False, True], [len(part) for part in ours])
            model = make_pipeline(StandardScaler(), make()).fit(np.concatenate(ours), labels)
            for part, at, hit in ((normals, good, hits[0]), (wrong, bad, hits[1])):
                hit[at == code] = model.predict(part[at == code])
        found[name] = hits
    return found


def _figures(name: str, normal: Flags, found: Flags, good: NDArray[np.int64], bad: NDArray[np.int64]) -> dict[str, object]:
    def one(ours: Flags, theirs: Flags) -> dict[str, float]:
        rate, recall = share(normal[ours]), share(found[theirs])
        return {"f1_grades_1_3": f1(recall, rate), "recall_grades_1_3": recall, "false_alarm_rate": rate}

    contexts = {key: one(good == code, bad == code) for key, code in OBJECTIVES.items()}
    return {"name": name, **one(np.ones_like(normal), np.ones_like(found)), "contexts": contexts}
