"""Measures the guard's judgement of single scan commands: false alarms on normals, recall by class and grade of anomalies.

Everything runs through the tables of the package (`pipeline`), limits included, on commands that neither training nor
calibration has seen (`trial`). Normals and anomalies are generated, so the figures hold for that world.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gantryguard.clinic.schema import OBJECTIVES
from gantryguard.learning import trial as trials
from gantryguard.learning.pipeline import Pipeline
from gantryguard.learning.stats import DIGITS, Flags, f1, interval, share, shares
from gantryguard.learning.trial import Sample, Trial, Verdicts
from gantryguard.profiles.profile import Profile
from interposer.core.reasons import ABNORMAL, ABNORMAL_FOR_CONTEXT, ALERT, NOTIFICATION

GROSS = 3  # grades up to this one count in F1
NETWORK_REASONS = (ABNORMAL, ABNORMAL_FOR_CONTEXT)
DOSE_CHECK_REASONS = (NOTIFICATION, ALERT)  # what a dose check on the console would ask about as well


@dataclass(frozen=True)
class Outcome:
    """Verdicts on the test sets of all seeds, one after the other, and what the anomalies were."""

    normals: Verdicts
    normal_objective: NDArray[np.int64]
    normal_group: NDArray[np.str_]
    found: Verdicts
    objective: NDArray[np.int64]
    group: NDArray[np.str_]
    names: NDArray[np.str_]
    classes: NDArray[np.str_]
    grades: NDArray[np.int64]
    truth: NDArray[np.str_]  # the one field that was changed, or ""
    ceiling: Flags | None = None  # what the unconstrained classifiers find at the same rate of false alarms
    undivided: Flags | None = None  # what one unconstrained classifier for all classes finds at that rate


def run(pipeline: Pipeline, tests: Iterable[Trial]) -> Outcome:
    """Judge every test set."""
    parts = [_outcome(pipeline, test) for test in tests]
    return joined(parts)


def _outcome(pipeline: Pipeline, test: Trial) -> Outcome:
    made = test.anomalies
    return Outcome(
        trials.judged(pipeline, test.normals),
        test.normals["objective"].astype(np.int64),
        trials.patient_groups(test.normals),
        trials.judged(pipeline, made.commands),
        made.commands["objective"].astype(np.int64),
        trials.patient_groups(made.commands),
        np.array(made.names),
        np.array(made.classes),
        made.grades,
        np.array(made.single),
    )


def joined(parts: list[Outcome]) -> Outcome:
    """Outcomes one after the other."""

    def both(get: str, of: str | None = None) -> NDArray[np.generic]:
        return np.concatenate([getattr(getattr(p, of) if of else p, get) for p in parts])

    def verdicts(of: str) -> Verdicts:
        return Verdicts(*(both(name, of) for name in ("alarm", "reason", "blamed")))  # type: ignore[arg-type]  # as the parts

    names = ("normal_objective", "normal_group", "objective", "group", "names", "classes", "grades", "truth")
    rest = {name: both(name) for name in names}
    return Outcome(normals=verdicts("normals"), found=verdicts("found"), **rest)  # type: ignore[arg-type]  # as the parts


def evaluate(profile: Profile, sample: Sample | None = None) -> dict[str, object]:
    """Metrics by context and overall for one test set; `profile` is compiled with its networks."""
    return metrics(run(Pipeline(profile), [trials.trial(sample or Sample())]))


def metrics(outcome: Outcome) -> dict[str, object]:
    """Metrics by objective, by patient group and overall. Shares are rounded to six digits."""
    contexts = [
        {"objective": name, "group": "all", **figures(outcome, outcome.normal_objective == code, outcome.objective == code)}
        for name, code in OBJECTIVES.items()
    ]
    contexts += [
        {"objective": "all", "group": name, **figures(outcome, outcome.normal_group == name, outcome.group == name)}
        for name in trials.PATIENT_GROUPS
    ]
    everything = figures(outcome, np.ones_like(outcome.normals.alarm), np.ones_like(outcome.found.alarm))
    return {
        "contexts": contexts,
        "overall": {"objective": "all", "group": "all", **everything},
        "recall_by_kind": shares(outcome.found.alarm, outcome.names),
        "grade_by_kind": {str(name): int(outcome.grades[outcome.names == name][0]) for name in np.unique(outcome.names)},
        "blame": blame(outcome),
    }


def figures(outcome: Outcome, ours: Flags, theirs: Flags) -> dict[str, object]:
    """The figures of one context: normals `ours`, anomalies `theirs`."""
    alarm, reason = outcome.normals.alarm[ours], outcome.normals.reason[ours]
    found, classes, grades = outcome.found.alarm[theirs], outcome.classes[theirs], outcome.grades[theirs]
    rate = float(alarm.mean()) if len(alarm) else 0.0
    subtle = grades > GROSS

    def ceiling(known: Flags | None) -> dict[str, float]:
        return {} if known is None else shares(known[theirs][subtle], classes[subtle])

    by_network, by_dose_check = (int(np.isin(reason, set_).sum()) for set_ in (NETWORK_REASONS, DOSE_CHECK_REASONS))
    return {
        "normals": len(alarm),
        "anomalies": len(found),
        "f1_grades_1_3": f1(share(found[~subtle]), rate),
        "recall_by_grade": shares(found, grades.astype(np.str_)),
        "recall_by_class": shares(found, classes),
        "recall_by_class_grades_4_5": shares(found[subtle], classes[subtle]),
        "ceiling_by_class": ceiling(outcome.ceiling),
        "undivided_ceiling_by_class": ceiling(outcome.undivided),
        "false_alarm_rate": round(rate, DIGITS),
        "false_alarm_ci95": [round(end, DIGITS) for end in interval(int(alarm.sum()), len(alarm))],
        "false_alarms": {
            "usual_ranges_and_networks": by_network,
            "dose_check": by_dose_check,
            "other": int(alarm.sum()) - by_network - by_dose_check,
        },
    }


def blame(outcome: Outcome) -> dict[str, float]:
    """Share of the alarms on single-field anomalies that name that field, grades 1 to 3 and grade 4."""
    single = outcome.found.alarm & (outcome.truth != "")
    right = outcome.found.blamed == outcome.truth
    gross, subtle = single & (outcome.grades <= GROSS), single & (outcome.grades == GROSS + 1)
    return {"grades_1_3": share(right[gross]), "grade_4": share(right[subtle])}


def with_ceiling(outcome: Outcome, ceiling: Flags, undivided: Flags) -> Outcome:
    """The outcome with what the unconstrained classifiers find, and what one of them for all classes finds."""
    return replace(outcome, ceiling=ceiling, undivided=undivided)
