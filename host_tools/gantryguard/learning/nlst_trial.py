"""Real data: the guard commissioned on 500 series of each scanner model of the National Lung Screening Trial, tested on others.

The series say voltage, mAs, pitch and slice (`clinic/importers/nlst.py`), nothing of the patient. Rows whose mAs are a
documented unit error are reported apart; like all others they may be among the 500. So that one sees what a guard with such
ranges still finds, the tested series are asked again with three times their current.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gantryguard.clinic import schema
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.importers import nlst
from gantryguard.clinic.importers.found import Cell, Found
from gantryguard.clinic.scanner import Scanner, nlst_scanners
from gantryguard.learning.commission import Commissioned, commission
from gantryguard.learning.pipeline import Pipeline, nets_of
from gantryguard.learning.site_exams import ready
from gantryguard.learning.sites import commissioned
from gantryguard.learning.stats import Flags, interval
from gantryguard.profiles.profile import Profile
from gantryguard.reasons import reason_name

COMMISSIONED_ON = 500
FEWEST_TESTED = 100
SLICE_ROUNDING_MM = 0.1  # 1.25 mm are written as 1.2
TOO_MUCH = 3.0
SEEDS = (1, 2, 3)  # of the draws of the 500: the first one is reported, the others beside it

Say = Callable[[float, str], None]


@dataclass(frozen=True)
class Series:
    """The acquisitions of one scanner model as commands, and which of them have a documented unit error, (n,)."""

    maker: str
    model: str
    commands: Commands
    is_unit_error: Flags


@dataclass(frozen=True)
class Count:
    """How many of some series the guard held or blocked."""

    flagged: int
    series: int

    @property
    def share(self) -> float:
        """Flagged of all; 0 where there are none."""
        return self.flagged / self.series if self.series else 0.0

    def __str__(self) -> str:
        low, high = interval(self.flagged, self.series) if self.series else (0.0, 0.0)
        return f"{self.share:.2%} ({low:.2%} to {high:.2%})" if self.series else "-"

    def __add__(self, other: Count) -> Count:
        return Count(self.flagged + other.flagged, self.series + other.series)


@dataclass(frozen=True)
class Result:
    """One scanner model after commissioning: what was flagged, why, and what of it with the current tripled."""

    maker: str
    model: str
    scanner: str
    series: int
    usual: Count
    unit_errors: Count
    tripled: Count
    causes: dict[str, int]


def read(path: Path) -> list[Series]:
    """The acquisitions of an index by scanner model, most frequent first; models without a scanner file are left out."""
    rows: dict[tuple[str, str], dict[str, dict[str, Cell]]] = {}
    for found in nlst.read(path):
        if isinstance(found, Found):
            rows.setdefault((str(found.cells["maker"]), str(found.cells["model"])), {}).setdefault(found.key, found.cells)
    known = nlst_scanners()
    read = [_series(*key, list(cells.values()), known[key[1]]) for key, cells in rows.items() if key[1] in known]
    return sorted(read, key=lambda series: -len(series.commands))


def _series(maker: str, model: str, rows: list[dict[str, Cell]], scanner: Scanner) -> Series:
    """The mAs stay; the rotation, which nobody recorded, is the scanner's nearest; slices are unrounded."""
    columns = {name: np.array([_number(row.get(name)) for row in rows]) for name in schema.NAMES}
    mas = columns["ma"] * columns["rotation_s"]
    seconds = min(scanner.rotation_times_s, key=lambda time: abs(time - nlst.ROTATION_S))
    has = np.array(scanner.slices_mm)
    nearest = has[np.argmin(np.abs(has[:, None] - np.nan_to_num(columns["slice_mm"])), axis=0)]
    rounded = np.abs(nearest - columns["slice_mm"]) <= SLICE_ROUNDING_MM
    columns["slice_mm"] = np.where(rounded, nearest, columns["slice_mm"])
    columns["rotation_s"], columns["ma"] = np.full(len(rows), seconds), np.round(mas / seconds)
    return Series(maker, model, ready(Commands(columns), scanner), mas > nlst.UNIT_ERROR_MAS)


def _number(cell: Cell) -> float:
    return float(cell) if isinstance(cell, int | float) else np.nan


def run(folder: Path, shipped: Profile, read: list[Series], say: Say, seeds: tuple[int, ...] = SEEDS) -> list[list[Result]]:
    """Commission and test, model by model, for every draw; models with too few series to test are left out."""
    enough = [series for series in read if len(series.commands) >= COMMISSIONED_ON + FEWEST_TESTED]
    draws = []
    for number, seed in enumerate(seeds):
        say(number / len(seeds), f"draw {number + 1}")
        draws.append(list(_draw(folder, shipped, enough, seed)))
    return draws


def _draw(folder: Path, shipped: Profile, read: list[Series], seed: int) -> Iterator[Result]:
    nets = nets_of(shipped)
    for series in read:
        order = np.random.default_rng(seed).permutation(len(series.commands))
        own = commission(series.commands.take(order[:COMMISSIONED_ON]), nlst_scanners()[series.model])
        yield _tested(Profile(commissioned(folder, nets, own)), own, series, order[COMMISSIONED_ON:])


def _tested(profile: Profile, own: Commissioned, series: Series, rows: np.ndarray) -> Result:
    pipeline = Pipeline(profile)
    commands, wrong = series.commands.take(rows), series.is_unit_error[rows]
    found = pipeline.judge(commands)
    alarm = found.is_alarm()
    more = own.scanner.restated(commands.replace(ma=np.floor(commands["ma"] * TOO_MUCH)))
    tripled = pipeline.judge(more.take(~wrong)).is_alarm()
    names = np.array([*profile.slot_names, "-"])
    causes = [f"{reason_name(r)} {names[b]}" for r, b in zip(found.reason, found.blamed, strict=True)]
    seen, count = np.unique(np.array(causes)[alarm & ~wrong], return_counts=True)
    return Result(
        series.maker,
        series.model,
        own.scanner.name,
        len(series.commands),
        Count(int(alarm[~wrong].sum()), int((~wrong).sum())),
        Count(int(alarm[wrong].sum()), int(wrong.sum())),
        Count(int(tripled.sum()), len(tripled)),
        dict(zip(seen.tolist(), count.tolist(), strict=True)),
    )


HEAD = """\
# Real data: the National Lung Screening Trial

GENERATED by `gantryguard model nlst`; tables {tables}, {data}, {date}.

For every scanner model a guard was commissioned on {count} series drawn at random (documented unit errors among them) and
tested on the rest. Share held or blocked, with the 95 % Clopper-Pearson interval; unit errors (mAs above 200) apart. The last
column: the same series with three times the current. The trial recorded no patient's size, so the ranges are wide.

| scanner model | class | tested | flagged | unit errors | of these flagged | tripled, flagged |
|---|---|---|---|---|---|---|
"""


def rendered(draws: list[list[Result]], *, tables: str, data: str, date: str) -> str:
    """The report as text: the first draw, and what the others come to."""
    results = draws[0]
    lines = [_line(f"{one.maker} {one.model}", one.scanner, one.usual, one.unit_errors, one.tripled) for one in results]
    lines.append(_line("all", "", *(total(results, name) for name in ("usual", "unit_errors", "tripled"))))
    causes: dict[str, int] = {}
    for one in results:
        for cause, count in one.causes.items():
            causes[cause] = causes.get(cause, 0) + count
    told = ", ".join(f"{cause} {count}" for cause, count in sorted(causes.items(), key=lambda pair: -pair[1]))
    head = HEAD.format(tables=tables[:16], data=data, date=date, count=COMMISSIONED_ON)
    return (
        head + "\n".join([*lines, "", f"Why series without a unit error were flagged: {told}.", *map(_other, draws[1:])]) + "\n"
    )


def total(results: list[Result], name: str) -> Count:
    """A count of all models together."""
    return sum((getattr(one, name) for one in results), Count(0, 0))


def _other(results: list[Result]) -> str:
    worst = max(results, key=lambda one: one.usual.share)
    return (
        f"Another draw of the {COMMISSIONED_ON}: {total(results, 'usual').share:.2%} of all flagged, at most "
        f"{worst.usual.share:.2%} ({worst.model}); {total(results, 'unit_errors').share:.2%} of the unit errors."
    )


def _line(name: str, scanner: str, usual: Count, wrong: Count, tripled: Count) -> str:
    return f"| {name} | {scanner} | {usual.series:,} | {usual} | {wrong.series:,} | {wrong} | {tripled.share:.1%} |"
