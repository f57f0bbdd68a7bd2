"""Patients and ordinary techniques that the demo's scenarios are made of. Doses are those of the reference scanner."""

from __future__ import annotations

from gantryguard.rig.plan import SeriesPlan, context_fields, series_plan

BODY_MM, HEAD_MM = 600.0, 200.0  # table positions

ADULT = context_fields(100, "abdomen_pelvis", age_years=58, sex="female", weight_kg=72, height_cm=168, contrast=True)
ADULT_HEAD = context_fields(101, "head", age_years=66, sex="male", weight_kg=80, height_cm=176)
STROKE = context_fields(102, "perfusion", age_years=66, sex="male", weight_kg=80, height_cm=176, contrast=True)
FOUR_YEARS = context_fields(103, "paed_abdomen_pelvis", age_years=4, sex="male", weight_kg=15, height_cm=102, contrast=True)
TWO_AND_A_HALF = context_fields(104, "paed_head", age_years=2.5, sex="male", weight_kg=13.5, height_cm=92)
VERY_OBESE = context_fields(105, "abdomen_pelvis", age_years=47, sex="male", weight_kg=190, height_cm=175, contrast=True)

SLOW = {
    "kvp": 100,
    "ma": 150,
    "rotation_s": 1.0,
}  # an abdomen with so slow a rotation: every limit holds, a network finds it odd


def abdomen(number: int = 1, **changes: float) -> SeriesPlan:
    """An adult's abdomen and pelvis, about 12 mGy."""
    usual = {"kvp": 120, "ma": 350, "rotation_s": 0.5, "pitch": 1.0, "collimation_mm": 80, "slice_mm": 5}
    usual |= {"scan_length_mm": 440, "phantom_cm": 32}
    return series_plan(number, "helical", BODY_MM, usual | changes)


def head(number: int = 1, **changes: float) -> SeriesPlan:
    """An adult's head, about 50 mGy."""
    usual = {"kvp": 120, "ma": 330, "rotation_s": 1.0, "pitch": 1.0, "collimation_mm": 40, "slice_mm": 5}
    usual |= {"scan_length_mm": 160, "phantom_cm": 16}
    return series_plan(number, "axial", HEAD_MM, usual | changes)


def child_slab(number: int = 1, **changes: float) -> SeriesPlan:
    """One slab of a small child's head in one short rotation, about 24 mGy."""
    usual = {"kvp": 120, "ma": 400, "rotation_s": 0.4, "pitch": 1.0, "collimation_mm": 40, "slice_mm": 5}
    usual |= {"scan_length_mm": 40, "phantom_cm": 16}
    return series_plan(number, "axial", HEAD_MM, usual | changes)


def perfusion(number: int = 1, **changes: float) -> SeriesPlan:
    """Perfusion of one slab of the brain, about 170 mGy."""
    usual = {"kvp": 80, "ma": 150, "rotation_s": 0.5, "pitch": 0.0, "collimation_mm": 40, "slice_mm": 5}
    usual |= {"scan_length_mm": 40, "phantom_cm": 16, "rotations": 40}
    return series_plan(number, "stationary", HEAD_MM, usual | changes)
