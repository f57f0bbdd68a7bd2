"""The dose arithmetic against figures of real scanners, and the scanner tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gantryguard.clinic import schema
from gantryguard.clinic.scanner import REFERENCE, Scanner, archetypes, reference_scanner
from gantryguard.errors import UserError

SCANNER = reference_scanner()


def scan(**values: float) -> dict[str, float]:
    """A helical body scan, with some columns replaced."""
    return dict.fromkeys(schema.NAMES, 0.0) | {
        "scan_mode": schema.HELICAL,
        "kvp": 120.0,
        "ma": 100.0,
        "rotation_s": 1.0,
        "pitch": 1.0,
        "collimation_mm": 40.0,
        "scan_length_mm": 300.0,
        "phantom_cm": 32.0,
        "rotations": 1.0,
        **values,
    }


# GE Revolution: CTDIw per 100 mAs of its tables and the CTDIvol that the scanner itself displays.
GE = replace(SCANNER, k_head_mgy_per_100mas=15.11, k_body_mgy_per_100mas=6.80)


@pytest.mark.parametrize(
    ("values", "displayed_mgy"),
    [
        ({"scan_mode": schema.AXIAL, "ma": 400.0, "collimation_mm": 160.0, "phantom_cm": 16.0}, 56.35),
        ({"scan_mode": schema.AXIAL, "ma": 400.0, "collimation_mm": 160.0}, 25.35),
        ({"scan_mode": schema.AXIAL, "ma": 80.0, "kvp": 100.0}, 3.38),
    ],
)
def test_ctdivol_is_what_a_real_scanner_displays(values: dict[str, float], displayed_mgy: float) -> None:
    assert GE.ctdivol_mgy(scan(**values)) == pytest.approx(displayed_mgy, rel=0.02)


@pytest.mark.parametrize(
    ("phantom", "kvp", "measured"),
    [
        (16, 80, 0.361),
        (16, 100, 0.654),
        (16, 140, 1.406),
        (32, 80, 0.317),
        (32, 100, 0.620),
        (32, 140, 1.455),
    ],
)
def test_dose_goes_with_voltage_as_measured(phantom: int, kvp: int, measured: float) -> None:
    factor = SCANNER.dose_per_mas(kvp, phantom) / SCANNER.dose_per_mas(120, phantom)
    assert factor == pytest.approx(measured, rel=0.075)


@pytest.mark.parametrize(("width_mm", "factor"), [(5, 1.65), (10, 1.29), (20, 1.10), (40, 1.0), (80, 1.0), (160, 0.94)])
def test_beam_factor_passes_through_its_points(width_mm: int, factor: float) -> None:
    assert SCANNER.beam_factor(width_mm) == pytest.approx(factor)


def test_beam_factor_is_linear_in_the_logarithm_between_points() -> None:
    assert SCANNER.beam_factor(np.sqrt(5 * 10)) == pytest.approx((1.65 + 1.29) / 2)
    assert SCANNER.beam_factor([1, 300]) == pytest.approx([1.65, 0.94])


@pytest.mark.parametrize("per_100_mas", [6.77, 6.75, 7.31, 6.65])
def test_body_dose_per_effective_mas_is_that_of_real_scanners(per_100_mas: float) -> None:
    assert SCANNER.ctdivol_mgy(scan()) == pytest.approx(per_100_mas, rel=0.06)


@pytest.mark.parametrize(("length", "pitch", "ctdivol", "dlp"), [(418.75, 1.38, 3.23, 155.97), (443.75, 0.98, 5.3, 259.85)])
def test_dlp_with_overrange_is_that_of_a_ge_dose_report(length: float, pitch: float, ctdivol: float, dlp: float) -> None:
    assert ctdivol * SCANNER.irradiated_mm(scan(scan_length_mm=length, pitch=pitch)) / 10 == pytest.approx(dlp, rel=0.005)


def test_localiser_dose_is_that_of_siemens_dose_reports() -> None:
    localiser = scan(scan_mode=schema.LOCALISER, ma=35.0, collimation_mm=3.6, table_speed_mm_s=100.0, rotation_s=0.0, pitch=0.0)
    assert 0.14 <= SCANNER.ctdivol_mgy(localiser) <= 0.15
    assert SCANNER.exposure_s(localiser) == pytest.approx(3.0)


def test_stationary_dose_goes_with_rotations_and_collimation() -> None:
    once = scan(scan_mode=schema.STATIONARY, pitch=0.0, phantom_cm=16.0)
    ten = once | {"rotations": 10.0}
    assert SCANNER.ctdivol_mgy(ten) == pytest.approx(10 * SCANNER.ctdivol_mgy(once))
    assert SCANNER.dlp_mgycm(ten) == pytest.approx(SCANNER.ctdivol_mgy(ten) * 4)
    assert SCANNER.exposure_s(ten) == pytest.approx(10.0)
    assert SCANNER.table_speed_mm_s(ten) == 0


def test_axial_dose_length_and_time() -> None:
    axial = scan(scan_mode=schema.AXIAL, scan_length_mm=160.0, rotation_s=0.5)
    assert SCANNER.dlp_mgycm(axial) == pytest.approx(SCANNER.ctdivol_mgy(axial) * 16)
    assert SCANNER.exposure_s(axial) == pytest.approx(4 * 0.5)


def test_helical_speed_power_and_time() -> None:
    helical = scan(pitch=1.2, rotation_s=0.5, ma=500.0)
    assert SCANNER.table_speed_mm_s(helical) == pytest.approx(96.0)
    assert SCANNER.power_kw(helical) == pytest.approx(60.0)
    assert SCANNER.exposure_s(helical) == pytest.approx((300 + 1.17 * 1.2 * 40) / 96)


def test_nonsense_is_not_an_exception() -> None:
    assert np.isinf(SCANNER.ctdivol_mgy(scan(pitch=0.0)))
    assert np.isnan(SCANNER.ctdivol_mgy(scan(phantom_cm=20.0)))
    assert np.isnan(SCANNER.ctdivol_mgy(scan(scan_mode=9)))


def test_archetypes_are_eight_different_scanners() -> None:
    assert len({scanner.name for scanner in archetypes()}) == 8
    assert all(5.5 <= scanner.k_body_mgy_per_100mas <= 8.7 for scanner in archetypes())


@pytest.mark.parametrize("table", [{"name": "x"}, {"name": "x", "surprise": 1}])
def test_a_scanner_table_with_wrong_keys_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(UserError, match="missing or unknown keys"):
        Scanner.from_table(table, REFERENCE)
