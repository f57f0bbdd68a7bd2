"""A profile commissioned for a site: the same networks, the site's own ranges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gantryguard.clinic.anomalies import make_anomalies
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate_at_sites
from gantryguard.clinic.scanner import Scanner, reference_scanner
from gantryguard.clinic.schema import LOCALISER, OBJECTIVES
from gantryguard.errors import UserError
from gantryguard.learning import sources
from gantryguard.learning import trial as trials
from gantryguard.learning.commission import EXAMS, Commissioned, commission
from gantryguard.learning.pipeline import Pipeline
from gantryguard.learning.ranges import Ranges
from gantryguard.learning.site_thresholds import raised
from gantryguard.learning.stats import interval
from gantryguard.learning.trial import Trial
from gantryguard.profiles.nets import TrainedNet
from gantryguard.profiles.package import build
from gantryguard.profiles.profile import Profile

FIRST_SITE = 4_000_000
TESTED, PER_KIND = 2_500, 250  # per objective; anomalies per kind
FOR_COMMISSIONING, AS_NORMALS, TO_TAMPER_WITH = 0, 1, 2  # what scans are for


def commissioned(folder: Path, nets: Sequence[TrainedNet], site: Commissioned) -> bytes:
    """The package of a profile folder for a site: its ranges, its scanner and its thresholds."""
    package = package_for(folder, nets, site.ranges, site.scanner)
    own = raised(Profile(package), nets, site.exams)
    return package_for(folder, own, site.ranges, site.scanner)


def package_for(folder: Path, nets: Sequence[TrainedNet], ranges: Ranges, scanner: Scanner | None = None) -> bytes:
    """The package of a profile folder with these ranges, and this scanner, instead of its own."""
    with sources.rendered(folder, ranges, scanner) as work:
        return build(work, nets)


def alarms_per_day(profile: Profile, exams: Commands, per_day: float) -> tuple[float, float, float]:
    """False alarms expected in that many scans a day, and the ends of the 95 % interval, by these normal exams."""
    scans = exams.take(exams["scan_mode"] != LOCALISER)
    alarm = trials.judged(Pipeline(profile), scans).alarm
    low, high = interval(int(alarm.sum()), len(alarm))
    return float(alarm.mean()) * per_day, low * per_day, high * per_day


def scans_of(site: int, count: int, purpose: int) -> Commands:
    """Normal scans of one site, `count` of every objective; those of another purpose are of other patients."""
    return Commands.concat(
        generate_at_sites(count, scanner=reference_scanner(), seed=seed, sites=[site], objectives=(name,))[0]
        for name, seed in zip(OBJECTIVES, seeds_of(site, purpose), strict=True)
    )


def seeds_of(site: int, purpose: int) -> list[int]:
    """A seed per objective, none of which another site or purpose has: sites are numbered in a row."""
    return [int(np.random.SeedSequence([site, purpose, code]).generate_state(1, np.uint64)[0]) for code in OBJECTIVES.values()]


class Own(NamedTuple):
    """A site after commissioning: its seed, its profile, the ranges in it, and a test set of its own."""

    site: int
    profile: Profile
    ranges: Ranges
    test: Trial


def commissioned_trials(folder: Path, nets: Sequence[TrainedNet], count: int) -> tuple[list[Own], int]:
    """`count` sites after commissioning with their own exams.

    Also how many sites were passed over, because commissioning refused their exams as far from what any site does.
    """
    found: list[Own] = []
    refused = 0
    while len(found) < count:
        site = FIRST_SITE + len(found) + refused
        try:
            own = commission(scans_of(site, EXAMS, FOR_COMMISSIONING)).ranges
        except UserError:
            refused += 1
            continue
        normals, before = scans_of(site, TESTED, AS_NORMALS), scans_of(site, TESTED, TO_TAMPER_WITH)
        made = make_anomalies(before, site, per_kind=PER_KIND)
        test = Trial(normals, np.full(len(normals), site), made, np.full(len(made.commands), site), before)
        found.append(Own(site, Profile(package_for(folder, nets, own)), own, test))
    return found, refused
