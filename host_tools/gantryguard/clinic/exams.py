"""An exam: the context of one patient's procedure and its series, each one scan command at a table position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from gantryguard.clinic import objectives as tables_of
from gantryguard.clinic import schema
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate_with_protocols, localisers
from gantryguard.clinic.objectives import Protocol, Tables
from gantryguard.clinic.scanner import Scanner

LOCALISER_LEAD_MM = 40.0  # a localiser starts that much before the scan it plans
PHASES_MAX = 3  # times that one exam may irradiate the same range
PHASE_SHARES = (0.6, 0.3, 0.1)  # assumed: one, two or three phases where a protocol allows them


@dataclass(frozen=True)
class Series:
    """One scan command (every column of the schema) and the table position of its first slice in mm."""

    start_mm: float
    command: Mapping[str, float]

    @property
    def is_localiser(self) -> bool:
        """Whether this is the planning view rather than a scan."""
        return self.command["scan_mode"] == schema.LOCALISER


@dataclass(frozen=True)
class Exam:
    """One patient's procedure; `context` has the context columns of the schema, `notes` say how it came about."""

    name: str
    context: Mapping[str, float]
    series: tuple[Series, ...]
    notes: tuple[str, ...] = ()

    @property
    def commands(self) -> Commands:
        """The commands in order, shape (number of series,)."""
        return Commands.from_rows(series.command for series in self.series)


def context_of(command: Mapping[str, float]) -> dict[str, float]:
    """The context columns of a command."""
    return {name: command[name] for name in schema.CONTEXT}


def exam_of(
    name: str,
    scan: Mapping[str, float],
    localiser: Mapping[str, float] | None,
    *,
    start_mm: float,
    phases: int = 1,
    notes: tuple[str, ...] = (),
) -> Exam:
    """An exam of a localiser and `phases` scans of one range. Raises ValueError for more than three phases."""
    if not 1 <= phases <= PHASES_MAX:
        raise ValueError(f"{phases} phases; 1 to {PHASES_MAX} are possible")
    scans = (Series(start_mm, dict(scan)),) * phases
    before = () if localiser is None else (Series(start_mm - LOCALISER_LEAD_MM, dict(localiser)),)
    return Exam(name, context_of(scan), before + scans, notes)


def generate_exams(
    n: int,
    *,
    scanner: Scanner,
    seed: int,
    objectives: Iterable[str] | None = None,
    site_seed: int | None = None,
) -> list[Exam]:
    """`n` normal exams, determined by the seed; multiphase only with contrast. Arguments as for `generate`."""
    tables = tables_of.tables()
    scans, protocols = generate_with_protocols(
        n, scanner=scanner, seed=seed, objectives=objectives, site_seed=site_seed, localiser_share=0
    )
    rng = np.random.default_rng([seed, 1])  # another stream than the commands'
    plans = localisers(rng, scanner, tables, scans)
    phases = rng.choice(len(PHASE_SHARES), size=n, p=PHASE_SHARES) + 1
    exams = []
    for index, protocol in enumerate(protocols):
        row, scan = tables.protocols[protocol], scans.row(index)
        allowed = row.phases if scan["contrast"] == 1 else 1
        exams.append(
            exam_of(
                f"{protocol}-{index + 1:04d}",
                scan,
                plans.row(index),
                start_mm=start_of(row, scan, scanner),
                phases=min(int(phases[index]), allowed),
            )
        )
    return exams


def start_of(row: Protocol, scan: Mapping[str, float], scanner: Scanner) -> float:
    """Usual table position of the first slice of a protocol, moved so that the scan stays on the table's travel."""
    last = scanner.table_travel_mm - scan["scan_length_mm"] - LOCALISER_LEAD_MM
    return max(LOCALISER_LEAD_MM, min(row.start_mm, last))


def usual_protocol(objective: str, tables: Tables | None = None) -> Protocol:
    """The first protocol of an objective: where missing values of imported exams come from."""
    rows = (tables or tables_of.tables()).protocols.values()
    return next(row for row in rows if row.objective == objective)
