"""What is usual for each objective, as ranges of derived quantities: found on normal commands of the generator.

A range holds all but a small share of normals; it becomes a limit of the package. Doses and lengths are ranges of the ratio
to the expected one, so that one pair of numbers serves every patient. Numbers are rounded, so that last bits do not matter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gantryguard.clinic import objectives as tables_of
from gantryguard.clinic import patients, schema
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate
from gantryguard.clinic.objectives import Protocol, Tables
from gantryguard.clinic.scanner import Scanner, reference_scanner

Real = NDArray[np.float64]
OCTAVES_PER_E = 1 / math.log(2)
LEAST_SLOPE = 0.0001  # octaves per cm: a head's dose does not follow the trunk
REGION_SIZE = {"abdomen": 1.0, "chest": patients.CHEST_TO_ABDOMEN, "limb": patients.LIMB_TO_ABDOMEN}
PAED_HEAD = "paed_head"
MEAN_ADULT_CM = 168.75
ROWS, SEED = 60_000, 7_000
DOSE_SHARE = 0.00012  # of normals outside, at each end
HIGHEST_OF_P99 = 1.23  # the aim is 1.25: the rest is for rounding, and for the sample
LENGTH_SHARE = 0.00002
SLACK = 1.004  # fixed point and rounding
DOSE_SLACK = 1.04  # sites differ more than one sample shows
SETTINGS = ("rotation_s", "pitch", "collimation_mm", "slice_mm", "kvp")
SMALL_KG = 50.0  # where protocols go up in voltage
ASSUMED_AGE_Y = 30.0
SIZE_OF_AGE_CM = ((0, 1, 5, 10, 15, 20), (11.2, 15.4, 17.8, 20.8, 24.9, 29.3))  # as the guard assumes (quantities.toml)
HEIGHT_OF_AGE_CM = ((0, 1, 5, 10, 15, 18), (49, 75, 108.5, 138, 165, 169))
NO_PITCH = 1.0  # where a mode has none


@dataclass(frozen=True)
class Range:
    """Lowest and highest usual value, and the median."""

    low: float
    high: float
    usual: float

    @property
    def middle(self) -> float:
        """The geometric mean of the ends."""
        return math.sqrt(self.low * self.high)

    @property
    def factor(self) -> float:
        """From the middle to either end."""
        return math.sqrt(self.high / self.low)


@dataclass(frozen=True)
class Ranges:
    """Per objective: dose and length as ratios to what is expected; settings as they are; modes; voltages of small patients.

    `known`: objectives whose dose is that of one site. `asked`: pitches and rotation times that a site's own protocols ask for.
    `exact`: objectives whose pitches are exactly those of the protocols. `rarest`: the dose, as a ratio, that hardly a normal
    of any site exceeds, however far above the 99th percentile of all sites it is.
    """

    dose: Mapping[str, Range]
    length: Mapping[str, Range]
    settings: Mapping[str, Mapping[str, Range]]
    modes: Mapping[str, frozenset[int]]
    small_kvp: Mapping[str, Range]
    head_scale: tuple[float, ...]  # of the expected dose of children's heads, by age: their ranges then end at one ratio
    known: frozenset[str] = frozenset()
    asked: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)
    exact: frozenset[str] = frozenset()
    rarest: Mapping[str, float] = field(default_factory=dict)


def usual_protocols(tables: Tables) -> dict[str, Protocol]:
    """The most frequent protocol of each objective."""
    usual: dict[str, Protocol] = {}
    for row in tables.protocols.values():
        if row.objective not in usual or row.share > usual[row.objective].share:
            usual[row.objective] = row
    return usual


def is_trunk(row: Protocol) -> bool:
    """Whether lengths of this protocol go with the patient's height."""
    return row.region in ("abdomen", "chest")


def base_dose(row: Protocol) -> float:
    """Dose in mGy at diameter 0, or of a head at the middle of the protocol's ages."""
    if row.region == "head":
        age = sum(row.age) / 2
        return row.c0_mgy * math.exp(row.b_per_cm * (17.5 - 7 * math.exp(-age / 2) - row.d0_cm))
    return row.c0_mgy * math.exp(-row.b_per_cm * row.d0_cm)


def dose_slope(row: Protocol) -> float:
    """Octaves of dose per cm of the abdomen's diameter."""
    return max(row.b_per_cm * OCTAVES_PER_E * REGION_SIZE.get(row.region, 0.0), LEAST_SLOPE)


def base_length(row: Protocol) -> float:
    """Length in mm, for trunks per cm of height."""
    return row.length_per_height * 10 if row.length_per_height else row.length_mm / (MEAN_ADULT_CM if is_trunk(row) else 1)


def paed_heads(tables: Tables) -> list[Protocol]:
    """The protocols of children's heads by age."""
    return sorted((row for row in tables.protocols.values() if row.objective == PAED_HEAD), key=lambda row: row.age[0])


def dose_ratio(
    commands: Commands, name: str, tables: Tables, scanner: Scanner, head_scale: tuple[float, ...] | None = None
) -> Real:
    """Computed CTDIvol over the expected one, for commands of one objective, shape (n,)."""
    row = usual_protocols(tables)[name]
    size = patients.diameter_cm("abdomen", commands["weight_kg"], commands["height_cm"], commands["age_years"])
    expected = base_dose(row) * 2.0 ** (dose_slope(row) * size)
    if name == PAED_HEAD:
        scales = np.array(head_scale if head_scale is not None else generated().head_scale)
        expected = (scales * [base_dose(head) for head in paed_heads(tables)])[_head_of(commands, tables)]
    return np.asarray(scanner.ctdivol_mgy(commands) / expected, dtype=np.float64)


def sized(commands: Commands) -> Commands:
    """The commands with the size that the guard assumes where weight or height is unknown: that of the age."""
    age = np.where(np.isnan(commands["age_years"]), ASSUMED_AGE_Y, commands["age_years"])
    unknown = np.isnan(commands["weight_kg"]) | np.isnan(commands["height_cm"])
    tall = np.where(np.isnan(commands["height_cm"]), np.interp(age, *HEIGHT_OF_AGE_CM), commands["height_cm"])
    heavy = (np.interp(age, *SIZE_OF_AGE_CM) / patients.DIAMETER_FACTOR) ** 2 * tall / 100
    return commands.replace(age_years=age, height_cm=tall, weight_kg=np.where(unknown, heavy, commands["weight_kg"]))


def _head_of(commands: Commands, tables: Tables) -> NDArray[np.int64]:
    """Place of each child's head among the protocols by age."""
    starts = [head.age[0] for head in paed_heads(tables)]
    return np.asarray(np.searchsorted(starts, commands["age_years"], side="right") - 1, dtype=np.int64)


def length_ratio(commands: Commands, name: str, tables: Tables) -> Real:
    """Scan length over the expected one, for commands of one objective, shape (n,)."""
    row = usual_protocols(tables)[name]
    expected = base_length(row) * (commands["height_cm"] if is_trunk(row) else 1.0)
    return np.asarray(commands["scan_length_mm"] / expected, dtype=np.float64)


@cache
def generated() -> Ranges:
    """The ranges of the reference scanner's generated normals, all sites together."""
    scanner, tables = reference_scanner(), tables_of.tables()
    parts = {
        name: generate(ROWS, scanner=scanner, seed=SEED + code, objectives=(name,), localiser_share=0)
        for name, code in schema.OBJECTIVES.items()
    }
    return found(parts, tables, scanner)


def found(parts: Mapping[str, Commands], tables: Tables, scanner: Scanner) -> Ranges:
    """Ranges of normal scans by objective."""
    scale = _head_scale(parts[PAED_HEAD], tables, scanner)
    ratios = {name: dose_ratio(c, name, tables, scanner, scale) for name, c in parts.items()}
    held = {name: _dose_range(values) for name, values in ratios.items()}
    dose = {name: _capped(held[name], values) for name, values in ratios.items()}
    rarest = {name: span.high for name, span in held.items()}
    length = {name: _range(length_ratio(c, name, tables), LENGTH_SHARE) for name, c in parts.items()}
    settings = {name: {column: _range(_used(c, column), 0.0) for column in SETTINGS} for name, c in parts.items()}
    small = {name: _range(_of_small(c)["kvp"], 0.0) for name, c in parts.items()}
    modes = {name: frozenset(int(mode) for mode in np.unique(c["scan_mode"])) for name, c in parts.items()}
    return Ranges(dose, length, settings, modes, small, scale, rarest=rarest)


def _head_scale(heads: Commands, tables: Tables, scanner: Scanner) -> tuple[float, ...]:
    """By age, the upper end of the doses of children's heads over that of the oldest."""
    count = len(paed_heads(tables))
    ratio, at = dose_ratio(heads, PAED_HEAD, tables, scanner, (1.0,) * count), _head_of(heads, tables)
    parts = [ratio[at == place] for place in range(count)]
    ends = [_capped(_dose_range(part), part).high for part in parts]
    return tuple(_short(end / ends[-1]) for end in ends)


def _used(commands: Commands, column: str) -> Real:
    """The values of a setting; pitches are those of helical scans."""
    if column != "pitch":
        return commands[column]
    helical = commands[column][commands["scan_mode"] == schema.HELICAL]
    return helical if len(helical) else np.array([NO_PITCH])


def _of_small(commands: Commands) -> Commands:
    """The scans of patients below `SMALL_KG`; all where there are none."""
    chosen = commands["weight_kg"] < SMALL_KG
    return commands.take(chosen) if chosen.any() else commands


def _range(values: Real, share: float, slack: float = SLACK) -> Range:
    """All but `share` of the values at each end, a little widened."""
    ranked = np.sort(values)
    out = int(len(ranked) * share)
    return Range(_short(ranked[out] / slack), _short(ranked[-1 - out] * slack), _short(ranked[len(ranked) // 2]))


def _dose_range(ratios: Real) -> Range:
    return _range(ratios, DOSE_SHARE, DOSE_SLACK)


def _capped(usual: Range, ratios: Real) -> Range:
    """No dose passes that is far above the 99th percentile, however rarely normals reach it."""
    return replace(usual, high=min(usual.high, _short(HIGHEST_OF_P99 * float(np.percentile(ratios, 99)))))


def _short(value: float) -> float:
    return float(f"{value:.4g}")
