"""What DICOM headers say of the patient, without what de-identification has put there.

- Age: days, weeks, months or years; 100 years and more are a filler, and so is '000Y' beside a weight of 0 or the sex O
  (infants are written in days, weeks or months). Without an age it follows from the dates of birth and study.
- Sex: F or M; anything else (O, empty) is unknown.
- Size: metres; a number above 3 is taken as centimetres. Sizes and weights that no patient has are unknown.
- Pregnancy: possible and definite are yes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

FILLER_AGE_YEARS = 100.0
TALLEST_M = 3.0
HEIGHT_CM, WEIGHT_KG = (20.0, 260.0), (0.3, 400.0)
PER_YEAR = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}
PREGNANT = {1: False, 2: True, 3: True}  # (0010,21C0): not, possibly, definitely


@dataclass(frozen=True)
class Patient:
    """What a file says of the patient; None is unknown."""

    age_years: float | None = None
    sex: str | None = None  # "female" or "male"
    weight_kg: float | None = None
    height_cm: float | None = None
    pregnant: bool | None = None


def patient_of(header: Dataset) -> tuple[Patient, tuple[str, ...]]:
    """The patient, and notes about what was taken for a filler or mended."""
    age, notes = _age(header)
    sex = {"F": "female", "M": "male"}.get(text(header, "PatientSex"))
    height, why = _height(decimal(text(header, "PatientSize")))
    weight, whither = _within(decimal(text(header, "PatientWeight")), WEIGHT_KG, "weight", "kg")
    pregnant = PREGNANT.get(int(decimal(text(header, "PregnancyStatus")) or 0))
    return Patient(age, sex, weight, height, pregnant), (*notes, *why, *whither)


def text(header: Dataset, keyword: str) -> str:
    """The text of an element; "" where it is missing or cannot be read."""
    try:
        value = header.get(keyword, "")
    except (ValueError, TypeError, NotImplementedError, AttributeError):  # whatever a broken element makes pydicom raise
        return ""
    return "" if value is None else str(value).strip()


def decimal(value: object) -> float | None:
    """The number that a text is, or None."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if abs(number) < 1e9 else None


def _age(header: Dataset) -> tuple[float | None, tuple[str, ...]]:
    match = re.fullmatch(r"(\d{1,3})([DWMY])", text(header, "PatientAge"))
    if match:
        age = int(match[1]) / PER_YEAR[match[2]]
        if age >= FILLER_AGE_YEARS or (match[0] == "000Y" and _is_anonymous(header)):
            return None, (f"age {match[0]} is a filler",)
        return age, ()
    born, studied = text(header, "PatientBirthDate"), text(header, "StudyDate")
    if re.fullmatch(r"\d{8}", born) and re.fullmatch(r"\d{8}", studied) and born <= studied:
        years = int(studied[:4]) - int(born[:4]) - (studied[4:] < born[4:])
        if years < FILLER_AGE_YEARS:
            return float(years), ("age from the date of birth",)
    return None, ()


def _is_anonymous(header: Dataset) -> bool:
    return text(header, "PatientSex") == "O" or decimal(text(header, "PatientWeight")) == 0


def _height(size: float | None) -> tuple[float | None, tuple[str, ...]]:
    if size is not None and size > TALLEST_M:
        height, notes = _within(size, HEIGHT_CM, "size", "cm")
        return height, (*notes, *([f"size {size:g} taken as centimetres"] if height else []))
    return _within(size * 100 if size else None, HEIGHT_CM, "size", "cm")


def _within(value: float | None, bounds: tuple[float, float], what: str, unit: str) -> tuple[float | None, tuple[str, ...]]:
    if not value:
        return None, ()
    if bounds[0] <= value <= bounds[1]:
        return value, ()
    return None, (f"{what} {value:g} {unit} is no patient's",)
