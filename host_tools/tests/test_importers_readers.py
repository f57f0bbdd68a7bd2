"""Readers of image headers, dose sheets and the NLST index: each trap of real files on a small example."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import ct_images as ct
import dose_reports as sr
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from gantryguard.clinic import schema
from gantryguard.clinic.importers import headers, nlst, reports
from gantryguard.clinic.importers.found import Found, Left
from gantryguard.clinic.importers.units import factor
from gantryguard.clinic.rdsr import import_reports


def found(z_mm: float = 0.0, **header: Any) -> Found:
    """The scan of one synthetic image."""
    item = headers.read("x", pydicom.dcmread(BytesIO(ct.image(z_mm, **header)), specific_tags=list(headers.TAGS)))
    assert isinstance(item, Found)
    return item


def test_a_plain_header_is_read_whole() -> None:
    cells = found(PatientAge="060Y", PatientSex="F", PatientSize="1.6", PatientWeight="60", ContrastBolusAgent="X").cells
    assert (cells["objective"], cells["scan_mode"], cells["sex"]) == (schema.OBJECTIVES["chest"], schema.HELICAL, schema.FEMALE)
    assert (cells["kvp"], cells["ma"], cells["rotation_s"], cells["pitch"], cells["collimation_mm"]) == (120, 150, 0.5, 1, 40)
    assert (cells["age_years"], cells["height_cm"], cells["weight_kg"], cells["contrast"]) == (60, 160, 60, 1)
    assert (cells["slice_mm"], cells["tilt_deg"], cells["ctdivol_mgy"]) == (5, 0, 8)


@pytest.mark.parametrize(
    ("header", "mode"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, schema.LOCALISER),
        ({"ScanOptions": "SCOUT MODE"}, schema.LOCALISER),
        ({"ScanOptions": "AXIAL MODE", "SpiralPitchFactor": None}, schema.AXIAL),
        ({"ScanOptions": "CINE MODE", "SpiralPitchFactor": None}, schema.AXIAL),
        ({"ScanOptions": None, "AcquisitionType": "SPIRAL"}, schema.HELICAL),
        ({"ScanOptions": None}, schema.HELICAL),
        ({"ScanOptions": None, "SpiralPitchFactor": None, "GantryDetectorTilt": "-22"}, schema.AXIAL),
        ({"ScanOptions": None, "SpiralPitchFactor": None}, None),
        ({"ScanOptions": None, "SpiralPitchFactor": None, "AcquisitionType": "STATIONARY"}, schema.STATIONARY),
    ],
)
def test_the_scan_mode(header: dict[str, Any], mode: int | None) -> None:
    assert found(**header).cells["scan_mode"] == mode


@pytest.mark.parametrize(
    ("header", "rotation_s"),
    [
        ({"RevolutionTime": 0.35, "ExposureTime": 9000}, 0.35),
        ({"Manufacturer": "SIEMENS", "ExposureTime": 285}, 0.285),
        ({"Manufacturer": "Philips", "ExposureTime": 500, "SpiralPitchFactor": 0.8}, 0.4),
        ({"Manufacturer": "Philips", "ExposureTime": 500, "SpiralPitchFactor": None}, None),
        ({"Manufacturer": "Philips", "ExposureTime": 12000}, None),
        ({"Manufacturer": "GE MEDICAL SYSTEMS", "ExposureTime": 1601}, None),
        ({"ScanOptions": "AXIAL MODE", "SpiralPitchFactor": None, "Manufacturer": "GE", "ExposureTime": 2000}, 2.0),
        ({"ScanOptions": "CINE MODE", "SpiralPitchFactor": None, "Manufacturer": "GE", "ExposureTime": 326}, None),
        ({"ScanOptions": "SCOUT MODE"}, 0.0),
    ],
)
def test_the_rotation(header: dict[str, Any], rotation_s: float | None) -> None:
    assert found(**header).cells["rotation_s"] == rotation_s


@pytest.mark.parametrize(
    ("header", "ma"),
    [
        ({"XRayTubeCurrent": None, "XRayTubeCurrentInmA": 200.5}, 200.5),
        ({"XRayTubeCurrent": None, "Exposure": 75, "SpiralPitchFactor": 1.2}, 180.0),
        ({"XRayTubeCurrent": None, "Exposure": 75, "Manufacturer": "TOSHIBA", "RevolutionTime": 0.5}, 150.0),
        ({"XRayTubeCurrent": None, "Exposure": 75, "SpiralPitchFactor": None}, None),
    ],
)
def test_the_current(header: dict[str, Any], ma: float | None) -> None:
    assert found(**header).cells["ma"] == ma


def test_feeds_and_speeds_that_contradict_themselves_are_dropped() -> None:
    feed = {"SpiralPitchFactor": None, "TableFeedPerRotation": 55.0}
    assert found(**feed).cells["pitch"] == 1.375
    assert found(**feed, Manufacturer="Philips").cells["pitch"] is None
    assert found(SpiralPitchFactor=11.0).cells["pitch"] is None
    assert found(TableSpeed=80.0).cells["table_speed_mm_s"] == 80
    wrong = found(TableSpeed=110.0).cells
    assert wrong["table_speed_mm_s"] is None
    assert "table speed 110 mm/s dropped" in str(wrong["notes"])


def test_fillers_of_deidentified_files() -> None:
    assert found(PatientAge="000Y", PatientSex="O").cells["age_years"] is None
    assert found(PatientAge="000Y", PatientSex="M").cells["age_years"] == 0
    assert found(PatientAge="006M").cells["age_years"] == 0.5
    assert found(PatientSize="175").cells["height_cm"] == 175
    assert found(PatientSize="17.5").cells["height_cm"] is None
    assert found(PatientWeight="0").cells["weight_kg"] is None
    assert [found(PregnancyStatus=n).cells["pregnant"] for n in (1, 2, 3, 4)] == [0, 1, 1, None]


def test_secondary_images_and_bare_ones_are_left_out() -> None:
    for header, words in (
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}, "secondary"),
        ({"KVP": None, "XRayTubeCurrent": None}, "no technique"),
    ):
        item = headers.read("x", pydicom.dcmread(BytesIO(ct.image(**header))))  # type: ignore[arg-type]
        assert isinstance(item, Left)
        assert words in item.reason


def test_keys_tell_scans_apart() -> None:
    assert found(IrradiationEventUID="1.5").key == found(9.0, IrradiationEventUID="1.5", SeriesInstanceUID="2").key
    assert found().key == found(9.0, AcquisitionNumber=7).key != found(SeriesInstanceUID="2").key
    scout = {"ScanOptions": "SCOUT MODE"}
    assert found(**scout).key != found(**scout, AcquisitionNumber=7).key


def test_further_images_of_a_recent_scan_are_read_in_part() -> None:
    recent = headers.Recent()
    first, second, other, again = (
        headers.read("x", pydicom.dcmread(BytesIO(ct.image(z, SeriesInstanceUID=series))), recent)  # type: ignore[arg-type]
        for z, series in ((0.0, "1"), (5.0, "1"), (0.0, "2"), (9.0, "1"))
    )
    assert [bool(item.cells) for item in (first, second, other, again) if isinstance(item, Found)] == [True, False, True, False]
    assert isinstance(second, Found)
    assert second.part is not None
    assert (second.part.z_mm, second.part.ma) == (5.0, 150.0)
    for n in range(headers.Recent.MOST):
        recent.knows(str(n))
    assert not recent.knows("image:1")


def test_a_real_head_with_its_tilt() -> None:
    path = get_testdata_file("J2K_pixelrep_mismatch.dcm", download=False)
    assert isinstance(path, str)
    item = headers.read("head", pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(headers.TAGS)))
    assert isinstance(item, Found)
    cells = item.cells
    assert (cells["objective"], cells["scan_mode"], cells["tilt_deg"]) == (schema.OBJECTIVES["head"], schema.AXIAL, -22)
    assert (cells["kvp"], cells["ma"], cells["rotation_s"], cells["slice_mm"], cells["age_years"]) == (120, 230, 2, 5, 76)


# ---- dose reports and sheets


@pytest.mark.parametrize(
    ("unit", "dimension", "by"),
    [("ms", "time", 1e-3), ("s", "time", 1), ("Gy", "dose", 1000), ("mGycm", "dlp", 1), ("mm", "voltage", 1), ("?", "dose", 1)],
)
def test_units(unit: str, dimension: str, by: float) -> None:
    assert factor(unit, dimension) == by


def test_a_report_in_other_units() -> None:
    written = sr.report(sr.event(seconds=None, ctdivol=None))
    report = pydicom.dcmread(BytesIO(written))
    parameters, dose = (
        next(i for i in report.ContentSequence[1].ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == code)
        for code in ("113822", "113829")
    )
    parameters.ContentSequence.append(sr.number("113824", 6250, "ms"))
    dose.ContentSequence.append(sr.number("113830", "0.008", "Gy"))
    buffer = BytesIO()
    report.save_as(buffer)
    (event,) = import_reports([("a", buffer.getvalue())]).events
    assert (event.exposure_s, event.ctdivol_mgy) == (6.25, 8.0)


def row_of(*events: Dataset) -> dict[str, Any]:
    """The cells of the single event."""
    (item,) = reports.read("x", sr.report(*events))
    assert isinstance(item, Found)
    return item.cells


def test_a_stationary_event_has_its_rotations() -> None:
    cells = row_of(sr.event(kind=sr.STATIONARY, pitch=1.0, seconds=1.5, length=10, collimation=10))
    assert (cells["scan_mode"], cells["pitch"], cells["rotations"]) == (schema.STATIONARY, 0, 3)


def test_a_localiser_has_its_speed_and_no_width_of_its_length() -> None:
    cells = row_of(sr.event(kind=sr.LOCALISER, pitch=None, seconds=5.6, length=560, collimation=560))
    assert (cells["rotation_s"], cells["pitch"], cells["table_speed_mm_s"], cells["collimation_mm"]) == (0, 0, 100, None)
    assert "560 mm dropped" in cells["notes"]


def test_currents_of_two_sources_add_up_and_two_voltages_are_left_out() -> None:
    assert row_of(sr.event(sources=(sr.source(120, 300), sr.source(120, 200))))["ma"] == 500
    (item,) = reports.read("x", sr.report(sr.event(sources=(sr.source(100, 300), sr.source(140, 200)))))
    assert item == Left(0, "dual energy: two voltages at once")


def test_a_dose_sheet() -> None:
    item = Dataset()
    item.KVP, item.ExposureTime, item.ScanLength, item.AcquisitionType = "120", 6986, 231, "SPIRAL"
    item.add_new(0x00188151, "DS", "165044.374")
    item.TotalCollimationWidth, item.SpiralPitchFactor, item.CTDIvol = 24.0, 0.8355391, 7.20098
    item.add_new(0x00E11021, "DS", "196.01")
    item.SeriesDescription = "100S C/A/P"
    header = Dataset()
    header.ExposureDoseSequence, header.PatientAge = [item], "050Y"
    (found,) = reports.read_sheet("x", header)
    assert isinstance(found, Found)
    cells = found.cells
    assert (cells["objective"], cells["ma"], cells["pitch"]) == (schema.OBJECTIVES["cap"], 165.0, 0.836)
    assert (cells["exposure_s"], cells["ctdivol_mgy"], cells["dlp_mgycm"], cells["scan_length_mm"]) == (6.986, 7.2, 196.01, 231)


# ---- NLST


def series(description: object, **cells: Any) -> Found | Left:
    """One row of the index."""
    row = {"SeriesDescription": description, "StudyInstanceUID": "1.2", "PatientID": "100002", "PatientAge": None}
    return nlst.series(7, {**row, "PatientSex": None, "instanceCount": 129, **cells})


@pytest.mark.parametrize(
    ("description", "ma", "pitch"),
    [
        ("2,OPA,GE,LSPLUS,STANDARD,360,2.5,120,80,0.1,1.5", 160, 1.5),
        ("0,OPA,SE,VZOOM,B50f,340,2,120,105,60,na", 210, 1.75),
        ("0,OPA,PH,MX8000,D,340,3.2,120,na,30,1.2", 72, 1.2),
        ("0,OPA,PH,MX8000,D,340,3.2,120,0,30,na", 90, 1.5),
        ("0,OPA,GE,LS16,BONE,340,2.5,120,60,na,na", 120, None),
    ],
)
def test_currents_keep_the_dose(description: str, ma: float, pitch: float | None) -> None:
    item = series(description)
    assert isinstance(item, Found)
    assert (item.cells["ma"], item.cells["pitch"], item.cells["rotation_s"]) == (pytest.approx(ma), pitch, 0.5)


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("2,OPL,GE,LSPLUS,STANDARD,null,na,120,0,0,na", "a localiser"),
        ("1,DPA,GE,LS16,BONE,360,2.5,120,80,0.1,1.4", "a derived or secondary series"),
        ("0,DSR,GE,LS16,BONE,371,2,120,30,22.2,1.4", "a reformatted series"),
        ("2,OPA,GE,LSPLUS,STANDARD,360,2.5,na,80,0.1,1.5", "no voltage"),
        ("2,OPA,GE,LSPLUS,STANDARD,360,2.5,120,na,0.1,1.5", "neither mAs nor effective mAs"),
        ("1,OPL,SE,SEN16,T20s,1,024,na,80,223.7,223,na", "no coded description"),
        (None, "no coded description"),
    ],
)
def test_series_that_are_left_out(description: str | None, reason: str) -> None:
    assert series(description) == Left(7, reason)


def test_a_probable_unit_error_is_kept_and_noted() -> None:
    item = series("2,OPA,GE,LS16,STANDARD,340,2.5,120,531,na,na", PatientAge="061Y", PatientSex="F")
    assert isinstance(item, Found)
    assert "probably a unit error" in str(item.cells["notes"])
    assert (item.cells["age_years"], item.cells["sex"]) == (61, schema.FEMALE)


@given(st.text() | st.lists(st.sampled_from(["OPA", "GE", "na", "1.5", "-1", "1e400", "nan", ""]), max_size=12).map(",".join))
def test_any_description_is_read_or_left_out(description: str) -> None:
    assert isinstance(series(description), Found | Left)


def test_an_index_is_read_batch_by_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    description = "2,OPA,GE,LSPLUS,STANDARD,360,2.5,120,80,0.1,1.5"
    rows = [("other", "CT"), ("nlst", "CT"), ("nlst", "SEG"), ("nlst", "CT"), ("other", "MR")]
    table = {name: [f"{name}{i}" for i in range(5)] for name in ("PatientID", "StudyInstanceUID")}
    table |= {"collection_id": [row[0] for row in rows], "Modality": [row[1] for row in rows]}
    table |= {"SeriesDescription": [description] * 5, "PatientAge": [None] * 5, "PatientSex": ["F"] * 5}
    parquet.write_table(arrow.table({**table, "instanceCount": [9] * 5}), tmp_path / "index.parquet")
    monkeypatch.setattr(nlst, "BATCH_ROWS", 2)
    items = list(nlst.read(tmp_path / "index.parquet"))
    assert [item.index for item in items] == [1, 3, None]
    assert items[-1] == Left(None, "3 rows that are no CT series of the collection nlst")
    parquet.write_table(arrow.table({"a": [1]}), tmp_path / "other.parquet")
    assert "lacks collection_id" in next(iter(nlst.read(tmp_path / "other.parquet"))).reason  # type: ignore[union-attr]
