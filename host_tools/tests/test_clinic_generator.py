"""Generated exams: executable, consistent, determined by the seed, and as dosed as real ones."""

from __future__ import annotations

import numpy as np
import pytest

from gantryguard.clinic import schema
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.dose_check import notification_mgy
from gantryguard.clinic.envelope import violations
from gantryguard.clinic.exams import PHASES_MAX, Exam, exam_of, generate_exams
from gantryguard.clinic.generator import generate
from gantryguard.clinic.objectives import SOURCE, parse, tables
from gantryguard.clinic.patients import diameter_cm
from gantryguard.clinic.scanner import Scanner, archetypes, reference_scanner
from gantryguard.errors import UserError

SCANNER = reference_scanner()
NORMALS = generate(60_000, scanner=SCANNER, seed=1)


def scans(objective: str, n: int = 25_000) -> Commands:
    """Scans of one objective."""
    return generate(n, scanner=SCANNER, seed=5, objectives=[objective], localiser_share=0)


def of_usual_size(commands: Commands) -> Commands:
    """Adults with a trunk of 29 to 33 cm."""
    size = diameter_cm("abdomen", commands["weight_kg"], commands["height_cm"], commands["age_years"])
    return commands.take((commands["age_years"] >= 18) & (size > 29) & (size < 33))


@pytest.mark.parametrize("scanner", [SCANNER, *archetypes()], ids=lambda scanner: scanner.name)
def test_every_command_runs_and_states_what_the_scanner_computes(scanner: Scanner) -> None:
    commands = NORMALS if scanner is SCANNER else generate(6_000, scanner=scanner, seed=2)
    assert {name: int(rows.sum()) for name, rows in violations(scanner, commands).items() if rows.any()} == {}


def test_the_seed_determines_everything() -> None:
    again, other = (generate(60_000, scanner=SCANNER, seed=seed) for seed in (1, 2))
    for name in schema.NAMES:
        np.testing.assert_array_equal(again[name], NORMALS[name])
    assert (other["ma"] != NORMALS["ma"]).mean() > 0.5


def test_all_objectives_and_modes_occur_and_nothing_is_unknown() -> None:
    assert set(NORMALS["objective"]) == set(schema.OBJECTIVES.values())
    assert set(NORMALS["scan_mode"]) == set(schema.SCAN_MODES.values())
    assert not any(np.isnan(NORMALS[name]).any() for name in schema.NAMES)


def test_only_wanted_objectives() -> None:
    assert set(scans("ccta", 500)["objective"]) == {schema.OBJECTIVES["ccta"]}
    with pytest.raises(KeyError, match="liver"):
        generate(1, scanner=SCANNER, seed=1, objectives=["liver"])


# Achievable doses (P50) and reference levels (P75) of the US, CTDIvol in mGy and DLP in mGy.cm; the P50 are recalled.
@pytest.mark.parametrize(
    ("objective", "p50", "p50_dlp", "p75", "p75_dlp"),
    [
        ("head", 49, 811, 56, 962),
        ("neck", 15, 429, 19, 563),
        ("c_spine", 20, 421, 28, 562),
        ("chest", 9, 334, 12, 443),
        ("ctpa", 11, 357, 14, 445),
        ("abdomen_pelvis", 12, 608, 15, 755),
        ("cap", 12, 779, 15, 947),
    ],
)
def test_adult_doses_reach_achievable_doses_and_reference_levels(
    objective: str, p50: float, p50_dlp: float, p75: float, p75_dlp: float
) -> None:
    commands = scans(objective) if objective == "head" else of_usual_size(scans(objective))
    assert np.percentile(commands["ctdivol_mgy"], [50, 75]) == pytest.approx([p50, p75], rel=0.10)
    assert np.percentile(commands["dlp_mgycm"], [50, 75]) == pytest.approx([p50_dlp, p75_dlp], rel=0.12)


# US reference levels of children (P75), CTDIvol in mGy; chest without contrast.
CHILDREN = {
    "paed_abdomen_pelvis": {(0, 1): 2.4, (1, 5): 2.9, (5, 10): 4.6, (10, 15): 7.9, (15, 18): 11},
    "paed_chest": {(0, 1): 1.7, (1, 5): 2.2, (5, 10): 2.5, (10, 15): 4.1, (15, 18): 7.4},
    "paed_head": {(0, 1): 23, (1, 2): 27, (2, 6): 31, (6, 18): 55},
}


@pytest.mark.parametrize("objective", CHILDREN)
def test_childrens_upper_quartiles_are_near_reference_levels(objective: str) -> None:
    commands = scans(objective)
    age, dose = commands["age_years"], commands["ctdivol_mgy"]
    reached = [np.percentile(dose[(age >= low) & (age < high)], 75) for low, high in CHILDREN[objective]]
    assert reached == pytest.approx(list(CHILDREN[objective].values()), rel=0.25)


def test_screening_has_the_effective_mas_of_nlst() -> None:
    mas = SCANNER.effective_mas(scans("chest_ldct"))
    assert np.percentile(mas, [25, 50, 75]) == pytest.approx([30, 34, 40], rel=0.05)


def test_one_site_spreads_less_than_all_sites() -> None:
    def spread(**site: int) -> float:
        chest = generate(8_000, scanner=SCANNER, seed=3, objectives=["chest"], localiser_share=0, **site)
        return float(np.std(np.log(chest["ctdivol_mgy"])))

    one_site, all_sites = spread(site_seed=1), spread()
    assert 0.25 < one_site < 0.52  # within a scanner of CT-RATE
    assert one_site < all_sites < 0.6


def test_doses_rise_with_the_patients_size() -> None:
    commands = scans("abdomen_pelvis")
    heavy, light = (commands["ctdivol_mgy"][rows] for rows in (commands["weight_kg"] > 110, commands["weight_kg"] < 60))
    assert np.median(heavy) > 2 * np.median(light)


def test_patients_are_plausible_up_to_the_very_obese() -> None:
    adults = NORMALS.take(NORMALS["age_years"] >= 18)
    assert 70 < np.median(adults["weight_kg"]) < 85
    assert 0.0005 < (adults["weight_kg"] > 150).mean() < 0.02
    assert NORMALS["weight_kg"].max() <= 250
    babies = NORMALS.take(NORMALS["age_years"] < 1)
    assert babies["weight_kg"].min() > 2
    assert babies["weight_kg"].max() < 14


def test_pregnancy_is_flagged_rarely_and_lowers_the_dose_a_little() -> None:
    commands = generate(200_000, scanner=SCANNER, seed=4, objectives=["ctpa"], localiser_share=0)
    women = commands.take((commands["sex"] == schema.FEMALE) & (commands["age_years"] >= 15) & (commands["age_years"] <= 50))
    flagged = women["pregnant"] == 1
    assert flagged.mean() == pytest.approx(0.02, abs=0.005)
    assert commands["pregnant"].sum() == flagged.sum()
    ratio = np.exp(np.diff([np.log(women["ctdivol_mgy"][rows]).mean() for rows in (~flagged, flagged)]))
    assert ratio == pytest.approx(0.85, abs=0.08)


def test_no_beam_through_an_unborn_child_is_normal() -> None:
    barred = [schema.OBJECTIVES[name] for name in tables().general["never_pregnant"]]
    assert not NORMALS["pregnant"][np.isin(NORMALS["objective"], barred)].any()
    assert NORMALS["pregnant"].any()


def test_most_notifications_are_heeded() -> None:
    commands = scans("l_spine")
    above = commands["ctdivol_mgy"] > notification_mgy(commands.columns)
    assert 0 < above.mean() < 0.002
    assert (commands["ctdivol_mgy"] > 0.8 * notification_mgy(commands.columns)).mean() > 3 * above.mean()


def test_only_axial_heads_are_tilted() -> None:
    tilted = NORMALS.take(NORMALS["tilt_deg"] != 0)
    heads = [schema.OBJECTIVES[name] for name in ("head", "paed_head")]
    assert len(tilted) > 100
    assert set(tilted["scan_mode"]) == {schema.AXIAL}
    assert np.isin(tilted["objective"], heads).all()


def test_localisers_are_weak_and_longer_than_scans() -> None:
    localisers = NORMALS.take(NORMALS["scan_mode"] == schema.LOCALISER)
    assert len(localisers) / len(NORMALS) == pytest.approx(0.2, abs=0.01)
    assert localisers["ctdivol_mgy"].max() < 2
    assert set(localisers["table_speed_mm_s"]) == {100}


def test_the_fixed_voltages_hold() -> None:
    assert set(scans("calcium_score", 2_000)["kvp"]) == {120}
    assert set(scans("perfusion", 2_000)["kvp"]) == {80}
    screening = scans("chest_ldct")["kvp"]
    assert (screening == 120).mean() == pytest.approx(0.94, abs=0.01)


def exams() -> list[Exam]:
    """A few hundred exams."""
    return generate_exams(400, scanner=SCANNER, seed=9)


def test_exams_are_a_localiser_and_scans_of_one_patient_on_the_table() -> None:
    for exam in exams():
        first, *rest = exam.series
        assert first.is_localiser
        assert 1 <= len(rest) <= PHASES_MAX
        assert len({series.start_mm for series in rest}) == 1
        assert first.start_mm != rest[0].start_mm
        assert all(series.start_mm >= 0 for series in exam.series)
        assert rest[0].start_mm + rest[0].command["scan_length_mm"] <= SCANNER.table_travel_mm
        assert all({name: s.command[name] for name in schema.CONTEXT} == exam.context for s in exam.series)
        assert not any(rows.any() for rows in violations(SCANNER, exam.commands).values())


def test_exams_are_determined_by_the_seed_and_multiphase_only_with_contrast() -> None:
    assert exams() == exams()
    multiphase = [exam for exam in exams() if len(exam.series) > 2]
    assert multiphase
    assert all(exam.context["contrast"] == 1 for exam in multiphase)


def test_a_fourth_phase_is_refused() -> None:
    with pytest.raises(ValueError, match="4 phases"):
        exam_of("x", NORMALS.row(0), None, start_mm=100, phases=4)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('objective = "neck"', 'objective = "nek"', "unknown 'nek'"),
        ("length_mm = 247\n", "", "give length_mm or length_per_height"),
        ("share = [[0, 0, 1, 0]]", "share = [[0, 0, 1, 1]]", "add up to 1"),
        ("c0_mgy = 14.7", "c0_mgray = 14.7", "c0_mgray"),
    ],
)
def test_a_bad_table_is_refused(old: str, new: str, what: str) -> None:
    text = SOURCE.read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(UserError, match=what):
        parse(text.replace(old, new, 1))
    assert parse(text).protocols == tables().protocols
