"""Commissioning: a site's own normal exams set what is usual there.

Doses of an objective are then measured from the site's own level instead of from all sites together, so that their range is
as narrow as patients differ, not as sites do, and the context-sensitive network is told that the level is known. An
objective with too few exams keeps the range of all sites. With many exams (`MANY`) the settings that the site uses, the spread
of its doses and the networks' thresholds (`site_thresholds.py`) follow from them as well.

A guard must not learn a wrong default as the usual one. Exams that the scanner cannot execute or that do not look like their
objective at all are left out, and too many of them are refused. Nothing widens a hard limit: those are the scanner's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from gantryguard.clinic import envelope, schema
from gantryguard.clinic import objectives as tables_of
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate_at_sites
from gantryguard.clinic.objectives import IntArray
from gantryguard.clinic.scanner import BoolArray, Scanner, reference_scanner
from gantryguard.errors import UserError
from gantryguard.learning import ranges, site_settings
from gantryguard.learning.ranges import Range, Ranges, Real

FEWEST_EXAMS, FEWEST_OF_OBJECTIVE = 100, 30
EXAMS = 60  # of an objective that a site usually brings: lessons and evaluation are of such sites
MANY = 200  # exams of an objective whose own settings and spread count
MOST_IMPLAUSIBLE = 0.1  # share of exams that hardly any site has, or beyond the scanner
WIDEST_OF_MANY = 2.25  # many exams may widen a range by that: a screening of 10 mGy (grade 2) is beyond it
EXPECTED_OUTSIDE = 0.005  # of one site's exams outside the range that patients explain; more are several sites
TAIL, TAIL_SLACK = 0.002, 1.04
RARE, DOUBT_OF_RARE = 0.01, 0.84  # the 99th percentile, as high as the exams leave it possible (one-sided 80 %)
SITES, SITE_SEED, ROWS = 200, 3_000_000, 40_000
LEVEL_SEED = 3_600_000
LOW_SHARE, HIGH_SHARE = 0.00002, 0.0004  # of a site's normals below and above the range
DOUBT = 2.0  # standard errors of the site's level that the range is widened by
MEDIAN_ERROR = 0.929  # standard error of a median, in distances of the quartiles over sqrt(n): normal, 1.2533 / 1.349
WIDEST = 1.3  # a site whose patients spread this much more than expected gets a range that much wider, no more
NOT_ASKED = ("stated", "whole_steps")  # checks of the envelope that say nothing of what the scanner has


@dataclass(frozen=True)
class Level:
    """A site's doses for one objective: exams, their median as a ratio to the population's, and the range from there.

    `is_known`: they spread as patients of one site do. `outside`: share that lies outside the range of all sites together.
    """

    exams: int
    ratio: float
    dose: Range
    is_known: bool = True
    outside: float = 0.0


@dataclass(frozen=True)
class Commissioned:
    """Ranges of a site, and the levels they come from."""

    ranges: Ranges
    levels: Mapping[str, Level]
    kept: tuple[str, ...]  # objectives with too few exams: ranges of all sites
    scanner: Scanner
    exams: Commands  # scans that the scanner can execute
    left_out: int  # scans that it cannot

    def told(self) -> list[str]:
        """What was found, line by line."""
        lines = [f"scanner {self.scanner.name}: {self.left_out} scans left out, which it cannot execute"]
        for name, level in self.levels.items():
            span = f"{level.dose.low:.2f} to {level.dose.high:.2f}"
            lines.append(f"{name:20s} {level.exams:5d} exams, dose {level.ratio:5.2f} of usual, passes {span}")
            highest = ranges.generated().dose[name].high
            if level.dose.high > highest:
                lines.append(
                    f"{'':20s} that is above the {highest:.2f} of all sites together: make sure that these doses are meant"
                )
            if not level.is_known:
                lines.append(f"{'':20s} they spread as those of several sites: {level.outside:.1%} are rare anywhere else")
            for column, values in self.ranges.asked.get(name, {}).items():
                lines.append(f"{'':20s} {column}: {', '.join(f'{value:g}' for value in values)}")
        return [*lines, *([f"too few exams, ranges of all sites: {', '.join(self.kept)}"] if self.kept else [])]


def commission(exams: Commands, scanner: Scanner | None = None) -> Commissioned:
    """Ranges for the site of these normal exams (scans and localisers; the latter are ignored).

    Raises UserError (exit 7) for too few or implausible exams.
    """
    scanner = scanner or reference_scanner()
    given = exams.take(exams["scan_mode"] != schema.LOCALISER)
    if len(given) < FEWEST_EXAMS:
        raise _refused(f"{len(given)} scans are too few to commission with.", f"Give at least {FEWEST_EXAMS} normal scans.")
    scans = ranges.sized(given.take(~_impossible(given, scanner)))
    general = ranges.generated()
    levels: dict[str, Level] = {}
    changed = general
    for name, code in schema.OBJECTIVES.items():
        part = scans.take(scans["objective"] == code)
        if len(part) >= FEWEST_OF_OBJECTIVE:
            levels[name], usual = _level(part, name, general, scanner)
            changed = site_settings.widened(changed, name, usual) if len(part) >= MANY else changed
    kept = tuple(name for name in schema.OBJECTIVES if name not in levels)
    dose = dict(general.dose) | {name: level.dose for name, level in levels.items()}
    known = frozenset(name for name, level in levels.items() if level.is_known)
    found = replace(changed, dose=dose, known=known)
    own = {name: scans.take(scans["objective"] == schema.OBJECTIVES[name]) for name in known}
    exact = frozenset(name for name, part in own.items() if site_settings.is_exact(part, name, found))
    found = replace(found, exact=exact)
    return Commissioned(found, levels, kept, site_settings.proposing(scanner, found), scans, len(given) - len(scans))


def _refused(message: str, remedy: str) -> UserError:
    return UserError(message, remedy=remedy, exit_code=7)


def _impossible(scans: Commands, scanner: Scanner) -> BoolArray:
    """Scans that the scanner cannot execute. Raises UserError (exit 7) where they are too many.

    Dose reports state a mean current: it need not be one that can be set.
    """
    told = scans.replace(ma=np.round(scans["ma"] / scanner.ma_step_ma) * scanner.ma_step_ma)
    broken = {name: bad for name, bad in envelope.violations(scanner, told).items() if name not in NOT_ASKED}
    outside = np.any(list(broken.values()), axis=0)
    share = float(outside.mean())
    if share > MOST_IMPLAUSIBLE:
        most = max(broken, key=lambda name: int(broken[name].sum()))
        raise _refused(
            f"{share:.0%} of {len(scans)} scans are none that the scanner {scanner.name} can execute, most of them for {most}.",
            "Name the scanner that the exams are of (--scanner), or check the exams.",
        )
    return np.asarray(outside, dtype=np.bool_)


def _ratios(commands: Commands, name: str, scanner: Scanner) -> Real:
    return ranges.dose_ratio(commands, name, tables_of.tables(), scanner)


def _level(part: Commands, name: str, general: Ranges, scanner: Scanner) -> tuple[Level, Commands]:
    """The site's level of an objective and its range, from the exams of that objective; and those that look like it."""
    ratio = _ratios(part, name, scanner)
    usual = general.dose[name]
    is_many = len(part) >= MANY
    farthest = usual.low / WIDEST_OF_MANY, usual.high * WIDEST_OF_MANY
    low, high = farthest if is_many else (usual.low, general.rarest[name])
    any_site = replace(usual, low=low, high=high)
    plausible = (ratio >= any_site.low) & (ratio <= any_site.high)
    strange = _outside(ratio, any_site)
    if strange > MOST_IMPLAUSIBLE or not usual.low <= np.median(ratio) <= usual.high:
        raise _refused(
            f"{max(strange, _outside(ratio, usual)):.0%} of {len(part)} {name} scans lie outside what sites usually do.",
            "Check units, phantom and objective of these exams; commission with normal ones only.",
        )
    used = ratio[plausible] if is_many else ratio
    level = float(np.median(used))
    patients = _of_patients(np.log(used), name, usual, general.rarest[name])
    outside = _outside(used, patients)
    found = patients if not is_many or outside <= EXPECTED_OUTSIDE else _of_tails(used, patients, usual)
    return (
        Level(len(part), round(level, 4), found, found is patients, _outside(ratio, usual)),
        part.take(plausible),
    )


def _outside(ratio: Real, span: Range) -> float:
    return float(np.mean((ratio < span.low) | (ratio > span.high) | ~np.isfinite(ratio)))


def _of_patients(logs: Real, name: str, usual: Range, rarest: float) -> Range:
    """The range that the patients of one site explain, within that of all sites, or up to the site's own 99th percentile.

    That is taken for no higher than `rarest`, which hardly a normal of any site exceeds.
    """
    median = float(np.median(logs))
    expected = residuals(name)
    spread = float(np.subtract(*np.percentile(logs, [75, 25]))) / expected.quartiles
    wider = min(max(spread, 1.0), WIDEST)
    doubt = DOUBT * expected.error_of_median(len(logs))
    low = max(median + expected.low * wider - doubt, math.log(usual.low))
    own = median + expected.often * min(spread, 1.0)  # exams that hardly differ show no such percentile
    most = max(math.log(usual.high), min(own, math.log(rarest)))
    high = min(median + expected.high * wider + doubt, most)
    return _range(math.exp(low), math.exp(high), math.exp(median))


def _of_tails(ratio: Real, patients: Range, usual: Range) -> Range:
    """The range that many exams themselves show: what patients explain, or not far above their own 99th percentile."""
    rare = RARE - DOUBT_OF_RARE * math.sqrt(RARE * (1 - RARE) / len(ratio))
    low, high, often = np.percentile(ratio, [100 * TAIL, 100 * (1 - TAIL), 100 * (1 - rare)])
    highest = min(float(high) * TAIL_SLACK, float(often) * ranges.HIGHEST_OF_P99, usual.high * WIDEST_OF_MANY)
    lowest = max(float(low) / TAIL_SLACK, usual.low / WIDEST_OF_MANY)
    return _range(min(patients.low, lowest), max(patients.high, highest), patients.usual)


def _range(low: float, high: float, usual: float) -> Range:
    return Range(round(low, 4), round(high, 4), round(usual, 4))


@dataclass(frozen=True)
class Residuals:
    """How doses of one site spread around its median, as logarithms: ends of the range, 99th percentile, quartile distance."""

    low: float
    high: float
    often: float
    quartiles: float

    def error_of_median(self, exams: float) -> float:
        """Standard error of a site's level that is the median of so many exams."""
        return MEDIAN_ERROR * self.quartiles / math.sqrt(exams)


@cache
def residuals(name: str) -> Residuals:
    """The spread within a site, from generated sites."""
    sites = range(SITE_SEED, SITE_SEED + SITES)
    seed = SITE_SEED + schema.OBJECTIVES[name]
    commands, place = generate_at_sites(ROWS, scanner=reference_scanner(), seed=seed, sites=sites, objectives=(name,))
    logs = np.log(_ratios(commands, name, reference_scanner()))
    logs -= _medians(logs, place, SITES)[place]
    ranked = np.sort(logs)
    low, high = ranked[int(len(ranked) * LOW_SHARE)], ranked[-1 - int(len(ranked) * HIGH_SHARE)]
    often, upper, lower = np.percentile(logs, [99, 75, 25])
    return Residuals(float(low), float(high), float(often), float(upper - lower))


@cache
def levels(name: str, sites: tuple[int, ...], rows: int) -> Real:
    """How far each generated site's usual dose is from that of all, as logarithms, (sites,): medians of about `rows` scans."""
    count, seed = rows * len(sites), LEVEL_SEED + schema.OBJECTIVES[name]
    commands, place = generate_at_sites(count, scanner=reference_scanner(), seed=seed, sites=sites, objectives=(name,))
    logs = np.log(_ratios(commands, name, reference_scanner()) / ranges.generated().dose[name].usual)
    return _medians(logs, place, len(sites))


def _medians(logs: Real, place: IntArray, sites: int) -> Real:
    """The median of each site's scans, (sites,); `place` (n,) is the number of each scan's site."""
    return np.array([np.median(logs[place == number]) for number in range(sites)])
