"""Patients of generated exams: age, sex, weight, height and the diameters that dose control follows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gantryguard.clinic.commands import FloatArray
from gantryguard.clinic.objectives import IntArray, Protocol, Tables
from gantryguard.clinic.schema import FEMALE, MALE, SEXES

ADULT_YEARS = 18.0
CHILD_YEARS_IN_ADULT_PROTOCOLS = (5.0, 18.0)
FERTILE_YEARS = (15.0, 50.0)
# Effective diameter of the abdomen in cm per sqrt(kg/m): 11.2 newborn to 29.3 at 78 kg and 1.71 m; a mean of 29.0 cm
# was measured over 3,860 adult trunk scans (Klosterkemper 2018).
DIAMETER_FACTOR = 4.34
CHEST_TO_ABDOMEN = 0.97
LIMB_TO_ABDOMEN = 0.42  # assumed: 12 cm where the abdomen is 29 cm


class Patients(NamedTuple):
    """Columns of shape (n,); `sex` is the true one, `told_sex` what the command says."""

    age_years: FloatArray
    sex: FloatArray
    told_sex: FloatArray
    weight_kg: FloatArray
    height_cm: FloatArray
    pregnant: FloatArray


def diameter_cm(region: str, weight_kg: FloatArray, height_cm: FloatArray, age_years: FloatArray) -> FloatArray:
    """Effective diameter in cm of head, chest, abdomen or limb, from the formulas of the generator."""
    if region == "head":
        return 17.5 - 7.0 * np.exp(-age_years / 2)
    abdomen = DIAMETER_FACTOR * np.sqrt(weight_kg / (height_cm / 100))
    factor = {"abdomen": 1.0, "chest": CHEST_TO_ABDOMEN, "limb": LIMB_TO_ABDOMEN}[region]
    return np.asarray(factor * abdomen, dtype=np.float64)


def draw(rng: np.random.Generator, rows: list[Protocol], which: IntArray, tables: Tables) -> Patients:
    """Patients for the protocols `rows[which]`, `which` of shape (n,)."""
    n, told = len(which), tables.patients
    age = _ages(rng, rows, which, told)
    sex = np.where(rng.random(n) < tables.general["female_share"], float(FEMALE), float(MALE))
    weight, height = _adults(rng, sex, told)
    young = np.flatnonzero(age < ADULT_YEARS)
    weight[young], height[young] = _children(rng, age[young], told)
    fertile = (sex == FEMALE) & (age >= FERTILE_YEARS[0]) & (age <= FERTILE_YEARS[1])
    barred = np.array([row.objective in tables.general["never_pregnant"] for row in rows])[which]
    pregnant = (fertile & ~barred & (rng.random(n) < tables.general["pregnant_share"])).astype(np.float64)
    hidden = (rng.random(n) < tables.general["unknown_sex_share"]) & (pregnant == 0)
    told_sex = np.where(hidden, float(SEXES["unknown"]), sex)
    return Patients(age, sex, told_sex, np.round(weight, 1), np.round(height), pregnant)


def _ages(rng: np.random.Generator, rows: list[Protocol], which: IntArray, told: dict[str, Any]) -> FloatArray:
    low, high = (np.array([row.age[end] for row in rows], dtype=np.float64)[which] for end in (0, 1))
    adult = rng.normal(told["adult_age_mean"], told["adult_age_sd"], len(which))
    uniform = low + (high - low) * rng.random(len(which))
    # An age that the normal distribution puts outside the protocol's range is drawn evenly within it.
    fits = (low >= ADULT_YEARS) & (adult >= low) & (adult < high)
    age = np.where(fits, adult, uniform)
    child_share = np.array([row.child_share for row in rows])[which]
    first, last = CHILD_YEARS_IN_ADULT_PROTOCOLS
    child = first + (last - first) * rng.random(len(which))
    age = np.where(rng.random(len(which)) < child_share, child, age)
    # Consoles give months to infants and toddlers, whole years to the rest.
    return np.where(age < 3, np.floor(age * 12) / 12, np.floor(age))


def _adults(rng: np.random.Generator, sex: FloatArray, told: dict[str, Any]) -> tuple[FloatArray, FloatArray]:
    female = sex == FEMALE
    mean, sd = told["adult_height_cm"], told["adult_height_sd_cm"]
    height = np.where(female, mean["female"], mean["male"]) + rng.standard_normal(len(sex)) * np.where(
        female, sd["female"], sd["male"]
    )
    obese = rng.random(len(sex)) < told["obese_share"]
    bmi = np.where(obese, told["obese_bmi_median"], told["bmi_median"]) * np.exp(
        rng.standard_normal(len(sex)) * np.where(obese, told["obese_bmi_log_sd"], told["bmi_log_sd"])
    )
    weight = np.clip(bmi * (height / 100) ** 2, told["weight_min_adult_kg"], told["weight_max_kg"])
    return weight, height


def _children(rng: np.random.Generator, age: FloatArray, told: dict[str, Any]) -> tuple[FloatArray, FloatArray]:
    at_birth, per_year = told["child_weight_log_sd"]
    spread = (at_birth + per_year * age) * rng.standard_normal(len(age))
    weight = np.interp(age, told["child_age_years"], told["child_weight_kg"]) * np.exp(spread)
    tall = told["child_height_log_sd"] * rng.standard_normal(len(age))
    return weight, np.interp(age, told["child_age_years"], told["child_height_cm"]) * np.exp(tall)
