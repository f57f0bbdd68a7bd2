"""Anomalies: each kind does what it says, to commands it makes sense for, and to nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from gantryguard.clinic import schema
from gantryguard.clinic.anomalies import make_anomalies
from gantryguard.clinic.anomaly_kinds import KINDS
from gantryguard.clinic.commands import Commands, FloatArray
from gantryguard.clinic.dose_check import notification_mgy
from gantryguard.clinic.envelope import consistent, executable, violations
from gantryguard.clinic.generator import generate
from gantryguard.clinic.scanner import BoolArray, reference_scanner
from gantryguard.clinic.tamper import Kind
from gantryguard.clinic.tampering import highest_usual_mgy

SCANNER = reference_scanner()
NORMALS = generate(60_000, scanner=SCANNER, seed=21)
MADE = make_anomalies(NORMALS, 5, per_kind=60)
BY_NAME = {kind.name: kind for kind in KINDS}
Check = Callable[[Commands, Commands], BoolArray]


def pairs(name: str) -> tuple[Commands, Commands]:
    """The normals and the anomalies of one kind."""
    rows = np.array([made == name for made in MADE.names])
    return NORMALS.take(MADE.origin[rows]), MADE.commands.take(rows)


def computed(column: str, low: float, high: float) -> Check:
    """The computed dose of the anomaly is within a factor of the normal's."""
    dose = SCANNER.ctdivol_mgy if column == "ctdivol_mgy" else SCANNER.dlp_mgycm
    return lambda before, after: within(dose(after) / dose(before), low, high)


def within(values: FloatArray, low: float, high: float) -> BoolArray:
    """low <= value <= high."""
    return np.asarray((values >= low) & (values <= high), dtype=np.bool_)


def misstated(column: str, low: float, high: float) -> Check:
    """The stated value is off by a factor, either way; the technique is untouched."""

    def check(before: Commands, after: Commands) -> BoolArray:
        off = np.exp(np.abs(np.log(after[column] / before[column])))
        same = [after[name] == before[name] for name in schema.NAMES if name != column]
        return within(off, low, high) & np.all(same, axis=0)

    return check


CHECKS: dict[str, Check] = {
    "kvp_off_station": lambda _, a: ~np.isin(a["kvp"], SCANNER.kvp_stations_kv),
    "ma_zero": lambda _, a: a["ma"] == 0,
    "collimation_off_detector": lambda _, a: ~np.isin(a["collimation_mm"], SCANNER.collimations_mm),
    "slice_below_element": lambda _, a: a["slice_mm"] < SCANNER.element_mm,
    "dose_misstated": misstated("ctdivol_mgy", 1.29, 3.05),
    "dose_misstated_slightly": misstated("ctdivol_mgy", 1.09, 1.31),
    "dlp_misstated": misstated("dlp_mgycm", 1.24, 3.01),
    "speed_misstated": misstated("table_speed_mm_s", 1.29, 3.01),
    "speed_misstated_slightly": misstated("table_speed_mm_s", 1.07, 1.13),
    "power_excess": lambda _, a: within(SCANNER.power_kw(a) / SCANNER.generator_kw, 1.19, 1.82),
    "power_excess_slight": lambda _, a: within(SCANNER.power_kw(a) / SCANNER.generator_kw, 1.02, 1.08),
    "current_excess": lambda _, a: a["ma"] > SCANNER.ma_max_ma,
    "rotation_too_fast": lambda _, a: a["rotation_s"] < min(SCANNER.rotation_times_s),
    "tilt_excess": lambda _, a: np.abs(a["tilt_deg"]) > SCANNER.tilt_max_deg,
    "tilt_in_spiral": lambda _, a: (a["tilt_deg"] != 0) & (a["scan_mode"] == schema.HELICAL),
    "table_too_fast": lambda _, a: a["table_speed_mm_s"] > 1.09 * SCANNER.table_speed_max_mm_s,
    "length_beyond_travel": lambda _, a: a["scan_length_mm"] > SCANNER.table_travel_mm,
    "length_unit_slip": lambda b, a: np.isclose(a["scan_length_mm"], 10 * b["scan_length_mm"]),
    "tube_heat": lambda _, a: a["rotations"] > SCANNER.rotations_max,
    "above_notification": lambda _, a: a["ctdivol_mgy"] > notification_mgy(a.columns),
    "above_alert": lambda _, a: a["ctdivol_mgy"] > 1000,
    "perfusion_eightfold": computed("ctdivol_mgy", 7.5, 8.5),
    "slab_repeated": lambda _, a: (a["scan_mode"] == schema.STATIONARY) & (a["rotations"] >= 10),
    "beyond_practice": lambda _, a: a["ctdivol_mgy"] > 1.4 * highest_usual_mgy(a),
    "just_beyond_practice": lambda _, a: within(a["ctdivol_mgy"] / highest_usual_mgy(a), 0.94, 1.6),
    "dose_tripled": computed("ctdivol_mgy", 3.3, 3.8),
    "table_stalled": lambda _, a: a["pitch"] <= 0.05,
    "localiser_at_500_ma": lambda _, a: (a["scan_mode"] == schema.LOCALISER) & (a["ma"] >= 400),
    "dose_crept": computed("ctdivol_mgy", 1.45, 1.55),
    "adult_abdomen_on_child": lambda b, a: (a["age_years"] < 8) & computed("ctdivol_mgy", 1.29, 99)(b, a),
    "adult_head_on_infant": lambda _, a: (a["age_years"] < 1) & within(SCANNER.ctdivol_mgy(a), 39, 60),
    "adult_chest_on_child": lambda b, a: within(a["age_years"], 8, 12.99) & computed("ctdivol_mgy", 1.29, 99)(b, a),
    "adult_length_on_child": lambda b, a: a["scan_length_mm"] >= 1.25 * b["scan_length_mm"],
    "head_technique_on_abdomen": lambda _, a: (SCANNER.ctdivol_mgy(a) > 42) & (a["phantom_cm"] == 32),
    "spine_technique_on_chest": computed("ctdivol_mgy", 1.29, 99),
    "abdomen_technique_on_head": lambda _, a: (a["scan_mode"] == schema.HELICAL) & (a["phantom_cm"] == 16),
    "obese_technique_on_slim": computed("ctdivol_mgy", 1.5, 4),
    "kvp_140_on_slim": lambda _, a: (a["kvp"] == 140) & (a["weight_kg"] < 55),
    "off_centre": computed("ctdivol_mgy", 1.27, 1.33),
    "screening_at_10_mgy": lambda _, a: within(a["ctdivol_mgy"], 9.4, 10.6),
    "screening_at_5_mgy": lambda _, a: within(a["ctdivol_mgy"], 4.7, 5.3),
    "slow_embolism": lambda b, a: (a["pitch"] == 0.5) & (SCANNER.exposure_s(a) > 2 * SCANNER.exposure_s(b)),
    "trunk_of_1500_mm": lambda _, a: within(a["scan_length_mm"], 1450, 1550),
    "calcium_at_100_kv": lambda _, a: a["kvp"] == 100,
    "pregnant_abdomen": lambda b, a: (a["pregnant"] == 1) & (b["pregnant"] == 0),
    "pelvis_in_embolism_scan": lambda b, a: (a["scan_length_mm"] == b["scan_length_mm"] + 150) & (a["pregnant"] == 1),
    "starved_abdomen": lambda _, a: a["ctdivol_mgy"] < 1.65,
    "starved_head": lambda _, a: a["ctdivol_mgy"] < 16,
    "obese_clipped": computed("ctdivol_mgy", 0.29, 0.41),
    "kvp_120_to_140": computed("ctdivol_mgy", 1.4, 1.6),
    "kvp_100_to_120": computed("ctdivol_mgy", 1.5, 1.7),
    "pitch_halved": computed("ctdivol_mgy", 1.98, 2.02),
    "rotation_doubled": computed("ctdivol_mgy", 1.9, 3),
    "collimation_40_to_10": computed("ctdivol_mgy", 1.28, 1.30),
    "length_plus_25": lambda b, a: within(a["scan_length_mm"] / b["scan_length_mm"], 1.19, 1.31),
    "current_plus_20": computed("ctdivol_mgy", 1.1, 1.3),
    "low_kvp_same_dose": lambda b, a: (a["kvp"] == 80) & computed("ctdivol_mgy", 0.97, 1.03)(b, a),
    "excess_spread_over_four": computed("dlp_mgycm", 1.2, 1.35),
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_kind_does_what_it_says(name: str) -> None:
    before, after = pairs(name)
    assert CHECKS[name](before, after).all()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_befalls_some_and_always_changes_something(kind: Kind) -> None:
    before, after = pairs(kind.name)
    assert len(after) >= 20
    technique = [name for name in schema.NAMES if kind.restate is False or name not in schema.STATED]
    assert np.any([before[name] != after[name] for name in technique], axis=0).all()
    np.testing.assert_array_equal(before["objective"], after["objective"])
    np.testing.assert_array_equal(before["age_years"], after["age_years"])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_plausible_kinds_run_and_state_their_dose_and_impossible_ones_do_not(kind: Kind) -> None:
    after = pairs(kind.name)[1]
    if kind.runs:
        assert executable(SCANNER, after).all()
        assert consistent(SCANNER, after).all()
    else:
        allowed = 0.05 if kind.group == "CF4" else 0.0  # a flipped bit may hit upon another setting
        assert executable(SCANNER, after).mean() <= allowed


def test_misstated_kinds_are_mismatches_and_nothing_else() -> None:
    for name in ("dose_misstated", "dlp_misstated", "speed_misstated"):
        broken = {check for check, rows in violations(SCANNER, pairs(name)[1]).items() if rows.any()}
        assert "stated" in broken
        assert broken <= {"stated", "table_speed_mm_s"}  # an overstated speed may also be beyond the table's


def test_labels_fit_the_kinds() -> None:
    assert len(MADE.names) == len(MADE.commands) == len(MADE.classes) == len(MADE.blamed) == len(MADE.grades)
    for name, group, grade, blamed in zip(MADE.names, MADE.classes, MADE.grades, MADE.blamed, strict=True):
        kind = BY_NAME[name]
        assert (group, grade) == (kind.group, kind.grade)
        assert blamed in schema.NAMES
        assert kind.blamed in ("", blamed)
    assert {kind.group for kind in KINDS} == {*(f"CF{n}" for n in range(1, 5)), *(f"CS{n}" for n in range(1, 9))}
    assert all(1 <= kind.grade <= 5 for kind in KINDS)


def test_a_garbled_field_is_named_and_alone() -> None:
    for name in ("bit_flipped", "bit_flipped_low", "bytes_swapped"):
        before, after = pairs(name)
        blamed = [field for made, field in zip(MADE.names, MADE.blamed, strict=True) if made == name]
        assert len(set(blamed)) > 3
        for row, field in enumerate(blamed):
            assert [n for n in schema.NAMES if before[n][row] != after[n][row]] == [field]


IRRELEVANT = ("age_years", "sex", "weight_kg", "height_cm", "contrast", "ma", "scan_length_mm", "ctdivol_mgy", "dlp_mgycm")


def decimals(commands: Commands) -> np.ndarray:
    """What no anomaly is about: how numbers are rounded, what is missing, where a command stands in the list."""
    columns = [np.round(commands[name] * 1000) % 1000 for name in IRRELEVANT]
    columns += [np.isnan(commands[name]) for name in schema.NAMES]
    return np.column_stack(columns)


def test_nothing_but_the_anomaly_tells_an_anomaly() -> None:
    """A classifier on rounding and missing values stays at chance for kinds that a console would enter."""
    runs = np.array([BY_NAME[name].runs for name in MADE.names])
    after = MADE.commands.take(runs)
    before = NORMALS.take(MADE.origin[runs])
    inputs = np.concatenate([decimals(before), decimals(after)])
    labels = np.arange(len(inputs)) >= len(before)
    order = np.random.default_rng(3).permutation(len(inputs))
    learnt, asked = order[::2], order[1::2]
    forest = HistGradientBoostingClassifier(max_iter=60, random_state=1).fit(inputs[learnt], labels[learnt])
    right = (forest.predict(inputs[asked]) == labels[asked]).mean()
    assert abs(right - 0.5) < 0.06


def test_the_patient_is_the_normal_ones() -> None:
    before = NORMALS.take(MADE.origin)
    for name in schema.CONTEXT:
        if name != "pregnant":
            np.testing.assert_array_equal(before[name], MADE.commands[name])


def test_the_seed_determines_the_anomalies() -> None:
    again, other = (make_anomalies(NORMALS, seed, per_kind=60) for seed in (5, 6))
    assert again.names == MADE.names
    for name in schema.NAMES:
        np.testing.assert_array_equal(again.commands[name], MADE.commands[name])
    assert not np.array_equal(other.origin[: len(MADE.origin)], MADE.origin[: len(other.origin)])
