"""What the context-sensitive network learns from: normal commands that stay as they are, and spoilt ones with what they were.

Most of the spoilt ones are generated anomalies of every kind, the others are normal commands with fields exchanged or scaled
blindly (`spoil`), so that the network does not only know the catalogue. All scans come from sites whose own dose level is
known here, because a commissioned guard knows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gantryguard.clinic import patients
from gantryguard.clinic.anomalies import make_anomalies
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate, generate_at_sites
from gantryguard.clinic.scanner import Scanner
from gantryguard.clinic.schema import LOCALISER, OBJECTIVES
from gantryguard.learning.commission import EXAMS, levels, residuals
from gantryguard.learning.features import GROWN_Y, LARGE_CM, SLIM_CM
from gantryguard.learning.ranges import OCTAVES_PER_E
from gantryguard.learning.spoil import spoil

Real = NDArray[np.float64]
Flags = NDArray[np.bool_]
SITES = 300
SEARCH = 3  # times as many normals are looked through for unusual patients
GROSS = 3  # grades up to this one must be found
OF_A_SITE = 200  # scans of an objective that tell a site's true level
LOCALISER_SHARE = 0.1
# Fields that no output accuses, and the one that then stands for them.
INSTEAD = {"rotations": "ma", "pregnant": "scan_length_mm"}
# What little sets apart from practice counts more (at most 32: `mlp.fit`); what practice is full of counts less.
EMPHASIS = {
    "obese_technique_on_slim": 24.0,
    "pelvis_in_embolism_scan": 4.0,
    "obese_clipped": 2.5,
    "off_centre": 3.0,
    "dose_crept": 1.75,
    "just_beyond_practice": 1.25,
    "length_plus_25": 0.5,
    "current_plus_20": 0.25,
}


@dataclass(frozen=True)
class Amounts:
    """How many normals, anomalies of every kind, and blindly spoilt scans."""

    normals: int = 300_000
    per_kind: int = 10_000
    blind: int = 6_000


@dataclass(frozen=True)
class Placed:
    """Commands (n) and the dose level of each one's site, in octaves from that of all sites, as an estimate, (n,)."""

    commands: Commands
    level: Real

    def take(self, rows: NDArray[np.int64] | Flags) -> Placed:
        """Some of them."""
        return Placed(self.commands.take(rows), self.level[rows])


@dataclass(frozen=True)
class Lesson:
    """Commands (n), what they should be (n), and which fields, of those asked for, are wrong, (n, fields)."""

    seen: Placed
    meant: Commands
    accused: Flags
    is_gross: Flags  # of grades 1 to 3
    emphasis: Real  # weight of each, (n,)

    def is_normal(self) -> Flags:
        """Where nothing is wrong, (n,)."""
        return ~np.asarray(self.accused.any(axis=1), dtype=np.bool_)


def joined(parts: Sequence[Placed]) -> Placed:
    """One after the other."""
    return Placed(Commands.concat(part.commands for part in parts), np.concatenate([part.level for part in parts]))


def at_sites(count: int, name: str, scanner: Scanner, seed: int, first_site: int) -> Placed:
    """`count` normal scans of one objective at `SITES` sites."""
    sites = tuple(range(first_site, first_site + SITES))
    commands, place = generate_at_sites(count, scanner=scanner, seed=seed, sites=sites, objectives=(name,))
    level = levels(name, sites, OF_A_SITE)[place] * OCTAVES_PER_E
    return Placed(commands, level + level_error(name) * np.random.default_rng([seed, 1]).standard_normal(count))


def level_error(name: str) -> float:
    """Standard error of a site's level after commissioning with `EXAMS` exams of an objective, in octaves.

    Less the error that the level has here already: both together are that of so many exams.
    """
    more = 1 / (1 / EXAMS - 1 / OF_A_SITE)
    return residuals(name).error_of_median(more) * OCTAVES_PER_E


def unusual_patients(count: int, name: str, scanner: Scanner, seed: int, first_site: int) -> Placed:
    """Normal scans of slim adults and of large patients among `SEARCH` times `count`; perhaps none."""
    placed = at_sites(SEARCH * count, name, scanner, seed, first_site)
    told = placed.commands
    size = patients.diameter_cm("abdomen", told["weight_kg"], told["height_cm"], told["age_years"])
    return placed.take(np.asarray((size >= LARGE_CM) | ((size < SLIM_CM) & (told["age_years"] >= GROWN_Y)), dtype=np.bool_))


def every_objective(count: int, scanner: Scanner, seed: int) -> Placed:
    """About `count` normal scans, every objective in equal number, more of unusual patients, and some localisers."""
    share = count // len(OBJECTIVES)
    parts = [at_sites(share, name, scanner, seed + code, seed + 50_000) for name, code in OBJECTIVES.items()]
    parts += [unusual_patients(share, name, scanner, seed + 50 + code, seed + 50_000) for name, code in OBJECTIVES.items()]
    plans = generate(int(count * LOCALISER_SHARE), scanner=scanner, seed=seed, localiser_share=1.0)
    return joined([*parts, Placed(plans, np.zeros(len(plans)))])


def lesson(amounts: Amounts, scanner: Scanner, seed: int, fields: Sequence[str]) -> Lesson:
    """Normals, anomalies and spoilt scans; determined by the seed. Anomalies of none of the fields are left out."""
    good = every_objective(amounts.normals, scanner, seed)
    sources = every_objective(amounts.normals, scanner, seed + 100)
    made = make_anomalies(sources.commands, seed + 200, scanner=scanner, per_kind=amounts.per_kind)
    told = np.array([INSTEAD.get(name, name) for name in made.blamed])
    wrong = Placed(made.commands, sources.level[made.origin])
    clean = every_objective(amounts.blind, scanner, seed + 300)
    spoilt = scanner.restated(spoil(clean.commands, np.random.Generator(np.random.PCG64(seed))))
    accused = [
        np.zeros((len(good.commands), len(fields)), dtype=np.bool_),
        np.column_stack([told == field for field in fields]),
        np.column_stack([spoilt[field] != clean.commands[field] for field in fields]),
    ]
    seen = joined([good, wrong, Placed(spoilt, clean.level)])
    meant = Commands.concat([good.commands, sources.commands.take(made.origin), clean.commands])
    labels = np.concatenate(accused)
    gross = np.zeros(len(labels), dtype=np.bool_)
    emphasis = np.ones(len(labels))
    anomalies = slice(len(good.commands), len(good.commands) + len(made.grades))
    gross[anomalies] = made.grades <= GROSS
    emphasis[anomalies] = [EMPHASIS.get(name, 1.0) for name in made.names]
    is_scan = seen.commands["scan_mode"] != LOCALISER
    keep = np.where(np.arange(len(labels)) < len(good.commands), True, labels.any(axis=1) & is_scan)
    seen = seen.take(keep)
    return Lesson(seen, meant.take(keep), labels[keep], gross[keep], emphasis[keep])
