"""The importer of dose reports: each trap of real reports, on small synthetic ones."""

from __future__ import annotations

import dose_reports as sr
import pytest

from gantryguard.clinic.rdsr import Event, Imported, import_reports


def imported(*files: bytes) -> Imported:
    """Import files named a, b, c..."""
    return import_reports(zip("abcdefgh", files, strict=False))


def only(file: bytes) -> Event:
    """The single event of a file that leaves nothing out."""
    result = imported(file)
    assert result.skipped == ()
    (event,) = result.events
    return event


def test_a_plain_event_is_read_whole() -> None:
    event = only(
        sr.report(
            sr.event(protocol="Abdomen", contrast="P5-00100"),
            PatientAge="067Y",
            PatientSex="M",
            PatientSize="1.86",
            PatientWeight="87",
            Manufacturer="SIEMENS",
        )
    )
    assert (event.protocol, event.region, event.acquisition, event.contrast) == ("Abdomen", "abdomen", "spiral", True)
    assert (event.first.kvp, event.first.ma, event.first.ma_max, event.first.rotation_s) == (120, 150, 200, 0.5)
    assert (event.pitch, event.collimation_mm, event.scan_length_mm, event.exposure_s) == (1.0, 40, 450, 6.25)
    assert (event.ctdivol_mgy, event.dlp_mgycm, event.phantom_cm) == (8.0, 400, 32.0)
    patient = event.patient
    assert (patient.age_years, patient.sex, patient.weight_kg, patient.height_cm) == (67, "male", 87, 186)
    assert event.notes == ()


def test_ge_enhanced_report_with_an_image_width_as_collimation() -> None:
    ge = sr.event(pitch=1.38, collimation=5.0, length=418.75, seconds=5.27, sources=(sr.source(rotation_s=0.6),))
    event = only(sr.report(ge, sop_class=sr.ENHANCED, Manufacturer="GE Medical Systems"))
    assert event.collimation_mm == pytest.approx(40, abs=0.2)
    assert "image width" in event.notes[0]


def test_a_narrow_collimation_of_another_maker_stands() -> None:
    event = only(sr.report(sr.event(pitch=1.38, collimation=5.0, length=418.75, seconds=5.27), Manufacturer="SIEMENS"))
    assert event.collimation_mm == 5.0


def test_ge_pitch_of_a_scan_that_stays_is_dropped() -> None:
    event = only(sr.report(sr.event(kind=sr.SEQUENCED, pitch=0.1, length=0, collimation=5.0), Manufacturer="GE"))
    assert event.pitch is None
    assert event.notes == ("pitch 0.1 of a scan that does not feed dropped",)


@pytest.mark.parametrize(("written", "seconds"), [(11912, 11.912), (69.85, 69.85), (600, 600)])
def test_milliseconds_in_a_field_of_seconds(written: float, seconds: float) -> None:
    event = only(sr.report(sr.event(seconds=written), Manufacturer="Philips"))
    assert event.exposure_s == pytest.approx(seconds)
    assert bool(event.notes) == (written != seconds)


def test_cumulative_reports_count_each_event_once() -> None:
    first, second, third = (sr.event(f"1.{n}", length=100 + n) for n in range(3))
    result = imported(sr.report(first), sr.report(first, second), sr.report(first, second, third))
    assert [event.uid for event in result.events] == ["1.0", "1.1", "1.2"]
    assert [(s.report, s.index, s.reason) for s in result.skipped] == [
        ("b", 0, "the same event as in a"),
        ("c", 0, "the same event as in a"),
        ("c", 1, "the same event as in b"),
    ]


def test_continued_reports_of_one_study_are_both_taken() -> None:
    result = imported(sr.report(sr.event("1.1"), start="20200101101010"), sr.report(sr.event("1.2"), start="20200101104500"))
    assert len(result.events) == 2


def test_a_uid_that_is_used_again_is_another_event() -> None:
    same = [sr.event("1.1", length=100), sr.event("1.1", length=200)]
    result = imported(sr.report(*same, start="20200101101010"), sr.report(same[0], start="20200102101010"))
    assert [event.scan_length_mm for event in result.events] == [100, 200, 100]
    assert result.skipped == ()


def test_two_sources_and_details_in_the_comment() -> None:
    comment = (
        "Internal technical scan parameters: Organ Characteristic = Thorax, Body Size = Adult, X-ray Modulation Type = XYZ_EC"
    )
    dual = sr.event(comment=comment, sources=(sr.source(100, 399), sr.source(140, 308)), pitch=None)
    event = only(sr.report(dual))
    assert [(s.kvp, s.ma) for s in event.sources] == [(100, 399), (140, 308)]
    assert dict(event.details)["Body Size"] == "Adult"
    assert dict(event.details)["X-ray Modulation Type"] == "XYZ_EC"
    assert event.pitch is None


def test_missing_items_are_unknown_and_odd_header_values_do_no_harm() -> None:
    bare = sr.event(region=None, sources=(), pitch=None, collimation=None, seconds=None)
    event = only(sr.report(bare, SoftwareVersions=["V6.03ER004", "V7"]))
    assert event.sources == ()
    assert (event.first.kvp, event.first.ma, event.pitch, event.collimation_mm, event.region) == (None,) * 5


def test_a_second_phase_with_the_same_values_is_kept_and_marked() -> None:
    result = imported(sr.report(sr.event("1.1"), sr.event("1.2"), sr.event("1.3", length=300)))
    assert [event.repeats for event in result.events] == [False, True, False]


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(
    ("header", "age"),
    [
        ({"PatientAge": "100Y"}, None),
        ({"PatientAge": "018M"}, 1.5),
        ({"PatientAge": "003D"}, 3 / 365.25),
        ({"PatientAge": "004W"}, 28 / 365.25),
        ({"PatientBirthDate": "19570312"}, 62),
        ({"PatientBirthDate": "19200101"}, None),
        ({"PatientBirthDate": "0"}, None),
        ({"PatientAge": "old"}, None),
        ({}, None),
    ],
)
def test_ages_and_their_fillers(header: dict[str, str], age: float | None) -> None:
    read = only(sr.report(sr.event(), **header)).patient.age_years
    assert read == (age if age is None else pytest.approx(age))


@pytest.mark.parametrize(("sex", "read"), [("F", "female"), ("M", "male"), ("O", None), ("", None)])
def test_sex_and_its_filler(sex: str, read: str | None) -> None:
    assert only(sr.report(sr.event(), PatientSex=sex)).patient.sex == read


@pytest.mark.parametrize("words", [{"protocol": "10.13 RADIOTHERAPY QA"}, {"comment": "QA"}, {"protocol": "4DCT /PHYSICS"}])
def test_quality_assurance_marks_the_whole_report(words: dict[str, str]) -> None:
    result = imported(sr.report(sr.event("1.1"), sr.event("1.2", length=10, **words)))
    assert all(event.quality_assurance for event in result.events)


def test_files_that_cannot_be_taken_are_listed_and_stop_nothing() -> None:
    good = sr.report(sr.event())
    result = imported(
        b"",
        b"no DICOM at all",
        good[: len(good) // 2],
        sr.report(sr.event(), sop_class="1.2.840.10008.5.1.4.1.1.7"),
        sr.report(sr.event(), title="121144"),
        sr.report(),
        good,
    )
    assert [event.report for event in result.events] == ["g"]
    reasons = {skip.report: skip.reason for skip in result.skipped}
    assert set(reasons) == set("abcdef")
    assert reasons["a"].startswith("cannot be read")
    assert reasons["c"] == "cannot be read: EOFError: the file ends early"
    assert reasons["d"] == "not a structured report"
    assert reasons["e"] == "a structured report, but not of radiation dose"
    assert reasons["f"] == "a dose report without a CT acquisition"


def test_a_number_that_is_none_is_unknown() -> None:
    written = sr.report(sr.event(ctdivol=1.5))
    broken = written.replace(b"1.5 ", b"1/5 ")
    assert broken != written
    assert only(broken).ctdivol_mgy is None
