"""Test sets that neither training nor calibration has seen, and the guard's verdicts on them.

Scans come from sites of their own (`SITES` per seed), every objective in equal number; anomalies are made from other scans of
the same sites. Patients, sites and random streams are disjoint from those of training and calibration.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gantryguard.clinic.anomalies import Anomalies, make_anomalies
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate, generate_at_sites
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.clinic.schema import OBJECTIVES
from gantryguard.learning.pipeline import Pipeline
from gantryguard.learning.stats import Flags

Whole = NDArray[np.int64]
CHUNK = 25_000
SITES = 60
LOCALISER_SHARE = 0.05
FIRST_SITE = 1_000_000  # far from the seeds of sites that anything else uses
CHILD_GROUPS = (("under_1_y", 0, 1), ("1_to_4_y", 1, 5), ("5_to_9_y", 5, 10), ("10_to_14_y", 10, 15), ("15_to_17_y", 15, 18))
ADULT_GROUPS = (("adult_below_60_kg", 0, 60), ("adult_60_to_109_kg", 60, 110), ("adult_110_kg_or_more", 110, 1000))
PATIENT_GROUPS = tuple(name for name, _, _ in (*CHILD_GROUPS, *ADULT_GROUPS))


@dataclass(frozen=True)
class Sample:
    """Size and seed of one test set."""

    normals: int = 210_000
    per_kind: int = 1_850
    seed: int = 500_000


@dataclass(frozen=True)
class Trial:
    """A test set; `place` and `anomaly_place` are the seeds of the sites, -1 for localisers."""

    normals: Commands
    place: Whole
    anomalies: Anomalies
    anomaly_place: Whole
    sources: Commands  # what the anomalies were made from: `anomalies.origin` are rows of it


@dataclass(frozen=True)
class Verdicts:
    """What the guard said to some commands, (n,): alarms, reasons, names of blamed fields."""

    alarm: Flags
    reason: Whole
    blamed: NDArray[np.str_]


def sites_of(seed: int) -> range:
    """Seeds of the sites of a test set."""
    return range(FIRST_SITE + seed, FIRST_SITE + seed + SITES)


def at_sites(count: int, seed: int) -> tuple[Commands, Whole]:
    """Scans of all objectives in equal number, and the seeds of their sites."""
    parts, places = [], []
    sites = np.array(sites_of(seed - seed % 1000))
    for name, code in OBJECTIVES.items():
        part, place = generate_at_sites(
            count // len(OBJECTIVES), scanner=reference_scanner(), seed=seed + code, sites=sites.tolist(), objectives=(name,)
        )
        parts.append(part)
        places.append(sites[place])
    return Commands.concat(parts), np.concatenate(places)


def trial(sample: Sample) -> Trial:
    """The test set of a sample; its seed should be a multiple of 1000."""
    normals, place = at_sites(sample.normals, sample.seed)
    count = int(sample.normals * LOCALISER_SHARE)
    plans = generate(count, scanner=reference_scanner(), seed=sample.seed + 99, localiser_share=1.0)
    sources, source_place = at_sites(sample.normals, sample.seed + 200)
    before = Commands.concat([sources, plans])
    made = make_anomalies(before, sample.seed + 400, per_kind=sample.per_kind)
    elsewhere = np.full(count, -1)
    origin = np.concatenate([source_place, elsewhere])[made.origin]
    return Trial(Commands.concat([normals, plans]), np.concatenate([place, elsewhere]), made, origin, before)


def judged(pipeline: Pipeline, commands: Commands) -> Verdicts:
    """The guard's verdicts, piece by piece to bound the memory."""
    pieces = [pipeline.judge(commands.take(rows)) for rows in spans(len(commands))]
    names = np.array([*pipeline.profile.slot_names, ""])
    blamed = np.concatenate([piece.blamed for piece in pieces])
    alarms = np.concatenate([piece.is_alarm() for piece in pieces])
    return Verdicts(alarms, np.concatenate([piece.reason for piece in pieces]), names[blamed])


def spans(count: int) -> Iterator[Whole]:
    """Row numbers in pieces."""
    for start in range(0, count, CHUNK):
        yield np.arange(start, min(start + CHUNK, count))


def patient_groups(commands: Commands) -> NDArray[np.str_]:
    """The patient group of each command, (n,)."""
    age, weight = commands["age_years"], commands["weight_kg"]
    conditions = [(age >= low) & (age < high) for _, low, high in CHILD_GROUPS]
    conditions += [(age >= CHILD_GROUPS[-1][2]) & (weight >= low) & (weight < high) for _, low, high in ADULT_GROUPS]
    return np.select(conditions, list(PATIENT_GROUPS), "unknown")
