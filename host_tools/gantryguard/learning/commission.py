"""Commissioning: a site's own normal exams set what is usual there.

Doses of an objective are then measured from the site's own level instead of from all sites together, so that their range is
as narrow as patients differ, not as sites do, and the context-sensitive network is told that the level is known. An
objective with too few exams keeps the range of all sites. Exams that do not look like that objective at all are refused: a
guard must not learn a wrong default as the usual one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from gantryguard.clinic import objectives as tables_of
from gantryguard.clinic import schema
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate_at_sites
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.errors import UserError
from gantryguard.learning import ranges
from gantryguard.learning.ranges import Range, Ranges, Real

FEWEST_EXAMS, FEWEST_OF_OBJECTIVE = 100, 30
MOST_IMPLAUSIBLE = 0.1  # share of exams outside the range of all sites
SITES, SITE_SEED, ROWS = 200, 3_000_000, 40_000
LOW_SHARE, HIGH_SHARE = 0.0001, 0.00025  # of a site's normals below and above the range
DOUBT = 2.0  # standard errors of the site's level that the range is widened by
MEDIAN_ERROR = 1.2533  # standard error of a median, in standard deviations over sqrt(n)
WIDEST = 1.3  # a site whose patients spread this much more than expected gets a range that much wider, no more


@dataclass(frozen=True)
class Level:
    """A site's doses for one objective: exams, their median as a ratio to the population's, and the range from there."""

    exams: int
    ratio: float
    dose: Range


@dataclass(frozen=True)
class Commissioned:
    """Ranges of a site, and the levels they come from."""

    ranges: Ranges
    levels: Mapping[str, Level]
    kept: tuple[str, ...]  # objectives with too few exams: ranges of all sites


def commission(exams: Commands) -> Commissioned:
    """Ranges for the site of these normal exams (scans and localisers; the latter are ignored).

    Raises UserError (exit 7) for too few or implausible exams.
    """
    scans = exams.take(exams["scan_mode"] != schema.LOCALISER)
    if len(scans) < FEWEST_EXAMS:
        raise UserError(
            f"{len(scans)} scans are too few to commission with.",
            remedy=f"Give at least {FEWEST_EXAMS} normal scans of the site.",
            exit_code=7,
        )
    general = ranges.generated()
    levels: dict[str, Level] = {}
    for name, code in schema.OBJECTIVES.items():
        part = scans.take(scans["objective"] == code)
        if len(part) >= FEWEST_OF_OBJECTIVE:
            levels[name] = _level(part, name, general)
    kept = tuple(name for name in schema.OBJECTIVES if name not in levels)
    dose = dict(general.dose) | {name: level.dose for name, level in levels.items()}
    return Commissioned(replace(general, dose=dose, known=frozenset(levels)), levels, kept)


def _ratios(commands: Commands, name: str) -> Real:
    return ranges.dose_ratio(commands, name, tables_of.tables(), reference_scanner())


def _level(part: Commands, name: str, general: Ranges) -> Level:
    """The site's level of an objective and its range, from the exams of that objective."""
    ratio = _ratios(part, name)
    usual = general.dose[name]
    implausible = float(np.mean((ratio < usual.low) | (ratio > usual.high) | ~np.isfinite(ratio)))
    if implausible > MOST_IMPLAUSIBLE:
        raise UserError(
            f"{implausible:.0%} of {len(part)} {name} scans lie outside what any site does.",
            remedy="Check units, phantom and objective of these exams; commission with normal ones only.",
            exit_code=7,
        )
    logs = np.log(ratio)
    median = float(np.median(logs))
    expected = residuals(name)
    spread = float(np.subtract(*np.percentile(logs, [75, 25])))
    wider = min(max(spread / (expected.quartiles), 1.0), WIDEST)
    doubt = DOUBT * MEDIAN_ERROR * expected.deviation / math.sqrt(len(part))
    low = max(median + expected.low * wider - doubt, math.log(usual.low))
    high = min(median + expected.high * wider + doubt, math.log(usual.high))
    level = math.exp(median)
    return Level(len(part), round(level, 4), Range(round(math.exp(low), 4), round(math.exp(high), 4), round(level, 4)))


@dataclass(frozen=True)
class Residuals:
    """How doses of one site spread around its median, as logarithms: ends of the range, quartile distance, deviation."""

    low: float
    high: float
    quartiles: float
    deviation: float


@cache
def residuals(name: str) -> Residuals:
    """The spread within a site, from generated sites."""
    sites = range(SITE_SEED, SITE_SEED + SITES)
    seed = SITE_SEED + schema.OBJECTIVES[name]
    commands, place = generate_at_sites(ROWS, scanner=reference_scanner(), seed=seed, sites=sites, objectives=(name,))
    logs = np.log(_ratios(commands, name))
    for site in range(SITES):
        here = place == site
        logs[here] -= np.median(logs[here])
    ranked = np.sort(logs)
    low, high = int(len(ranked) * LOW_SHARE), int(len(ranked) * HIGH_SHARE)
    quartiles = float(np.subtract(*np.percentile(logs, [75, 25])))
    return Residuals(float(ranked[low]), float(ranked[-1 - high]), quartiles, float(np.std(logs)))
