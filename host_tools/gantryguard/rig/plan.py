"""What a console says in an exam: the fields of its commands, in physical units, ready for the link."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gantryguard.clinic import schema
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.exams import Exam
from gantryguard.clinic.scanner import reference_scanner

MOVE_MM_S = 100.0  # how fast consoles of the simulation move the table: a design parameter
UNKNOWN = math.nan


@dataclass(frozen=True)
class SeriesPlan:
    """One series: its technique as `scan_parameters` fields, and where table and tilt must stand before it."""

    number: int
    parameters: Mapping[str, float]
    position_mm: float

    @property
    def tilt_deg(self) -> float:
        """The tilt that the technique assumes."""
        return self.parameters["tilt_deg"]


@dataclass(frozen=True)
class ExamPlan:
    """One exam: its name for the record, its `exam_context` fields, its series in order."""

    name: str
    context: Mapping[str, float]
    series: tuple[SeriesPlan, ...]


def plan_of(exam: Exam, number: int) -> ExamPlan:
    """The plan of a clinical exam; `number` must be newer than that of the exam before (1 to 32767 ahead, modulo 65536)."""
    context = {"exam_number": float(number), **{name: exam.context[name] for name in schema.CONTEXT}}
    series = tuple(
        SeriesPlan(index, {name: one.command[name] for name in schema.TECHNIQUE}, one.start_mm)
        for index, one in enumerate(exam.series, start=1)
    )
    return ExamPlan(exam.name, context, series)


def context_fields(
    number: int,
    objective: str,
    *,
    age_years: float = UNKNOWN,
    sex: str = "unknown",
    weight_kg: float = UNKNOWN,
    height_cm: float = UNKNOWN,
    contrast: bool = False,
    pregnant: bool = False,
) -> dict[str, float]:
    """Fields of `exam_context`. Raises KeyError for names that the schema does not have."""
    return {
        "exam_number": number,
        "objective": schema.OBJECTIVES[objective],
        "age_years": age_years,
        "sex": schema.SEXES[sex],
        "weight_kg": weight_kg,
        "height_cm": height_cm,
        "contrast": contrast,
        "pregnant": pregnant,
    }


def series_plan(number: int, scan_mode: str, position_mm: float, technique: Mapping[str, float]) -> SeriesPlan:
    """A series from its technique, with the table speed, CTDIvol and DLP that an honest console would state for it."""
    row = dict.fromkeys(schema.NAMES, UNKNOWN)
    row |= {"tilt_deg": 0.0, "rotations": 1.0, "table_speed_mm_s": 0.0} | dict(technique)
    row["scan_mode"] = schema.SCAN_MODES[scan_mode]
    stated = reference_scanner().restated(Commands.from_rows([row])).row(0)
    return SeriesPlan(number, {name: stated[name] for name in schema.TECHNIQUE}, position_mm)
