"""Measures the guard's judgement of single scan commands: false alarms on normals, recall by class and grade of anomalies.

Everything runs through the tables of the package (`pipeline`), limits included, on commands that neither training nor
calibration has seen. Normals and anomalies are generated, so the figures hold for that world.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gantryguard.clinic.anomalies import Anomalies, make_anomalies
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.clinic.schema import OBJECTIVES
from gantryguard.learning.pipeline import Pipeline
from gantryguard.profiles.profile import Profile
from interposer.core.reasons import ABNORMAL, ABNORMAL_FOR_CONTEXT, ALERT, NOTIFICATION

Flags = NDArray[np.bool_]
CHUNK = 25_000
GROSS = 3  # grades up to this one count in F1
CONFIDENCE = 0.95
DIGITS = 6
NETWORK_REASONS = (ABNORMAL, ABNORMAL_FOR_CONTEXT)
DOSE_CHECK_REASONS = (NOTIFICATION, ALERT)  # what a dose check on the console would ask about as well


@dataclass(frozen=True)
class Sample:
    """Size and seeds of an evaluation; the seeds are far from those of training."""

    normals: int = 400_000
    per_kind: int = 200
    sources: int = 60_000  # normals that anomalies are made from
    seed: int = 500_000


@dataclass(frozen=True)
class Verdicts:
    """What the guard said to some commands: alarms and reasons, (n,)."""

    alarm: Flags
    reason: NDArray[np.int64]
    objective: NDArray[np.int64]


def interval(hits: int, trials: int) -> tuple[float, float]:
    """Clopper-Pearson interval of a share at 95 %: the exact one, by bisection of the binomial tail."""
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if hits == 0 else _bisect(lambda p: 1 - _at_most(hits - 1, trials, p) < tail)
    high = 1.0 if hits == trials else _bisect(lambda p: _at_most(hits, trials, p) > tail)
    return low, high


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


def judged(pipeline: Pipeline, commands: Commands) -> Verdicts:
    """The guard's verdicts, piece by piece to bound the memory."""
    pieces = [pipeline.judge(commands.take(rows)) for rows in _spans(len(commands))]
    alarms = np.concatenate([piece.is_alarm() for piece in pieces])
    reasons = np.concatenate([piece.reason for piece in pieces])
    return Verdicts(alarms, reasons, commands["objective"].astype(np.int64))


def _spans(count: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, count, CHUNK):
        yield np.arange(start, min(start + CHUNK, count))


def evaluate(profile: Profile, sample: Sample | None = None) -> dict[str, object]:
    """Metrics by objective and overall; `profile` is compiled with its networks. Shares are rounded to six digits."""
    sample = sample or Sample()
    pipeline = Pipeline(profile)
    scanner = reference_scanner()
    normals = judged(pipeline, generate(sample.normals, scanner=scanner, seed=sample.seed))
    sources = generate(sample.sources, scanner=scanner, seed=sample.seed + 1)
    anomalies = make_anomalies(sources, sample.seed + 2, scanner=scanner, per_kind=sample.per_kind)
    found = judged(pipeline, anomalies.commands)
    contexts = []
    for name, code in OBJECTIVES.items():
        figures = _figures(normals, found, anomalies, normals.objective == code, found.objective == code)
        contexts.append({"objective": name, "group": "all", **figures})
    everything = _figures(normals, found, anomalies, np.ones_like(normals.alarm), np.ones_like(found.alarm))
    by_kind = _shares(found.alarm, anomalies.names, np.ones_like(found.alarm))
    return {"contexts": contexts, "overall": {"objective": "all", "group": "all", **everything}, "recall_by_kind": by_kind}


def _figures(normals: Verdicts, found: Verdicts, anomalies: Anomalies, ours: Flags, theirs: Flags) -> dict[str, object]:
    alarms, count = int(normals.alarm[ours].sum()), int(ours.sum())
    by_network = int(np.isin(normals.reason[ours], NETWORK_REASONS).sum())
    by_dose_check = int(np.isin(normals.reason[ours], DOSE_CHECK_REASONS).sum())
    gross = theirs & (anomalies.grades <= GROSS)
    return {
        "normals": count,
        "anomalies": int(theirs.sum()),
        "f1_grades_1_3": _f1(int(found.alarm[gross].sum()), alarms, int((~found.alarm[gross]).sum())),
        "recall_by_grade": _shares(found.alarm, [str(grade) for grade in anomalies.grades], theirs),
        "recall_by_class": _shares(found.alarm, anomalies.classes, theirs),
        "false_alarm_rate": _share(alarms, count),
        "false_alarm_ci95": [round(end, DIGITS) for end in interval(alarms, count)],
        "false_alarms": {"networks": by_network, "dose_check": by_dose_check, "other": alarms - by_network - by_dose_check},
        "false_alarm_rate_networks": _share(by_network, count),
        "false_alarm_ci95_networks": [round(end, DIGITS) for end in interval(by_network, count)],
    }


def _share(hits: int, count: int) -> float:
    return round(hits / count, DIGITS) if count else 0.0


def _f1(hits: int, false: int, missed: int) -> float:
    return round(2 * hits / (2 * hits + false + missed), DIGITS) if hits else 0.0


def _shares(alarm: Flags, labels: Sequence[str], chosen: Flags) -> dict[str, float]:
    """Share of alarms by label, in the order of the labels' names."""
    names = np.array(labels)
    return {str(name): round(float(alarm[chosen & (names == name)].mean()), DIGITS) for name in np.unique(names[chosen])}
