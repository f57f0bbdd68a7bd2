"""Dose reports as rows: structured reports (`clinic/rdsr.py`) and the dose sheets of Philips (secondary captures).

What a report does not say stays empty: slice, tilt and table speed always (image headers of the same event fill them in,
`journal.py`), and whatever its maker leaves out. Of the technique:

- two X-ray sources: the currents are added; two voltages at once are left out, a command has one;
- stationary scans: rotations from the exposure time; their pitch and that of localisers is 0;
- localisers: speed from length and time; GE's 'collimation' of a localiser is its length, and dropped.

Left out unless asked for: quality assurance, test sessions, and a further phase that is the one before to the last digit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydicom.dataset import Dataset

from gantryguard.clinic import schema
from gantryguard.clinic.importers.found import Cell, Found, Left, Notes, pseudonym
from gantryguard.clinic.importers.patients import Patient, decimal, patient_of, text
from gantryguard.clinic.rdsr import WIDEST_MM, Event, Skipped, read_report
from gantryguard.clinic.real_exams import TEST_OBJECTS, objective_named

MODES = {
    "spiral": schema.HELICAL,
    "sequenced": schema.AXIAL,
    "constant_angle": schema.LOCALISER,
    "stationary": schema.STATIONARY,
}
SHEET_MODES = {"SPIRAL": "spiral", "SEQUENCED": "sequenced", "CONSTANT_ANGLE": "constant_angle", "STATIONARY": "stationary"}
SIEMENS_DETAILS = ("Body Size", "X-ray Modulation Type")  # said in the comment only
ELSCINT_DLP = (0x00E1, 0x1021)  # Philips: DLP in mGy.cm, private


def read(name: str, data: bytes, *, tests: bool = False) -> Iterator[Found | Left]:
    """The events of a dose structured report. Raises whatever pydicom raises for a broken file."""
    for event in read_report(name, data):
        if isinstance(event, Skipped):
            yield Left(event.index, event.reason)
            continue
        reason = _reason_against(event, tests=tests)
        yield Left(event.index, reason) if reason else _found(event)


def context_cells(patient: Patient, objective: str | None, contrast: bool | None) -> dict[str, Cell]:
    """The context columns; None is unknown."""
    return {
        "objective": schema.OBJECTIVES[objective] if objective else None,
        "age_years": None if patient.age_years is None else round(patient.age_years * 12) / 12,
        "sex": schema.SEXES[patient.sex] if patient.sex else None,
        "weight_kg": patient.weight_kg,
        "height_cm": patient.height_cm,
        "contrast": None if contrast is None else float(contrast),
        "pregnant": None if patient.pregnant is None else float(patient.pregnant),
    }


def _reason_against(event: Event, *, tests: bool) -> str:
    if len({source.kvp for source in event.sources}) > 1:
        return "dual energy: two voltages at once"
    if tests:
        return ""
    session = TEST_OBJECTS.get(Path(event.report).name.rpartition(":")[2])
    if session:
        return session
    if event.quality_assurance:
        return f"quality assurance: {event.quality_assurance!r}"
    return "another phase with exactly the technique and range of the event before" if event.repeats else ""


def _found(event: Event) -> Found:
    notes = Notes(list(event.notes))
    objective = objective_named(event.protocol, event.region, event.patient.age_years)
    if objective is None:
        notes.add("objective not recorded")
    for name, value in event.details:
        if name in SIEMENS_DETAILS:
            notes.add(f"{name} {value}")
    cells = {
        **context_cells(event.patient, objective, event.contrast),
        **_technique(event, notes),
        "kind": "dose report",
        "maker": event.manufacturer,
        "model": event.model,
        "protocol": event.protocol,
        "region": event.region,
        "acquisition": event.acquisition,
        "exam": pseudonym(event.study_uid),
        "notes": str(notes),
    }
    key = f"report:{event.uid or event.report}:{event.index}:{event.study_start}"
    return Found(key, event.index, cells, event.uid)


def _technique(event: Event, notes: Notes) -> dict[str, Cell]:
    source, mode = event.first, MODES.get(event.acquisition or "")
    currents = [s.ma for s in event.sources if s.ma is not None]
    stands = mode in (schema.LOCALISER, schema.STATIONARY)
    return {
        "scan_mode": mode,
        "kvp": source.kvp,
        "ma": sum(currents) if currents else None,
        "rotation_s": 0.0 if mode == schema.LOCALISER else source.rotation_s,
        "pitch": 0.0 if stands else event.pitch,
        "collimation_mm": _collimation(event, notes),
        "scan_length_mm": event.scan_length_mm or None,
        "table_speed_mm_s": _speed(event, mode),
        "ctdivol_mgy": event.ctdivol_mgy,
        "dlp_mgycm": event.dlp_mgycm,
        "phantom_cm": event.phantom_cm,
        "rotations": _rotations(event, mode, notes),
        "ma_max_ma": source.ma_max,
        "exposure_s": event.exposure_s,
    }


def _collimation(event: Event, notes: Notes) -> float | None:
    width = event.collimation_mm
    if width is not None and (width > WIDEST_MM or width <= 0):
        notes.add(f"collimation {width:g} mm dropped: no detector is that wide")
        return None
    return width


def _speed(event: Event, mode: int | None) -> float | None:
    if mode == schema.LOCALISER and event.scan_length_mm and event.exposure_s:
        return round(event.scan_length_mm / event.exposure_s, 2)
    return None


def _rotations(event: Event, mode: int | None, notes: Notes) -> float | None:
    if mode != schema.STATIONARY:
        return 1.0
    if not (event.exposure_s and event.first.rotation_s):
        return None
    turns = max(1.0, float(round(event.exposure_s / event.first.rotation_s)))
    if turns > 1:
        notes.add(f"{turns:g} rotations from the exposure time")
    return turns


# ---- Philips dose sheets


def is_sheet(header: Dataset) -> bool:
    """Whether a file that is no structured report carries the doses of an exam."""
    return "ExposureDoseSequence" in header


def read_sheet(name: str, header: Dataset) -> Iterator[Found | Left]:
    """The events of a dose sheet (ExposureDoseSequence)."""
    items = list(header.get("ExposureDoseSequence", None) or [])
    if not items:
        yield Left(None, "a dose sheet without an exposure")
    for index, item in enumerate(items):
        yield _sheet_event(name, index, header, item)


def _sheet_event(name: str, index: int, header: Dataset, item: Dataset) -> Found:
    patient, made = patient_of(header)
    notes = Notes(list(made))
    protocol = text(item, "SeriesDescription") or text(header, "ProtocolName")
    objective = objective_named(protocol, text(header, "BodyPartExamined").lower(), patient.age_years)
    acquisition = SHEET_MODES.get(text(item, "AcquisitionType"))
    cells = {
        **context_cells(patient, objective, None),
        **_sheet_technique(item, MODES.get(acquisition or ""), notes),
        "kind": "dose sheet",
        "maker": text(header, "Manufacturer"),
        "model": text(header, "ManufacturerModelName"),
        "protocol": protocol,
        "region": text(header, "BodyPartExamined").lower(),
        "acquisition": acquisition,
        "exam": pseudonym(text(header, "StudyInstanceUID")),
        "notes": str(notes),
    }
    return Found(f"sheet:{text(header, 'SOPInstanceUID') or name}:{index}", index, cells)


def _sheet_technique(item: Dataset, mode: int | None, notes: Notes) -> dict[str, Cell]:
    """Currents are in microampere, times in milliseconds; a dose of 0 was not computed."""
    micro, seconds = decimal(text(item, "XRayTubeCurrentInuA")), decimal(text(item, "ExposureTime"))
    if micro is not None:
        notes.add("tube current from microampere")
    private = item.get(ELSCINT_DLP)
    stands = mode in (schema.LOCALISER, schema.STATIONARY)
    return {
        "scan_mode": mode,
        "kvp": decimal(text(item, "KVP")),
        "ma": None if micro is None else round(micro / 1000, 1),
        "rotation_s": 0.0 if mode == schema.LOCALISER else None,
        "pitch": 0.0 if stands else _rounded(decimal(text(item, "SpiralPitchFactor")), 3),
        "collimation_mm": decimal(text(item, "TotalCollimationWidth")),
        "scan_length_mm": decimal(text(item, "ScanLength")),
        "ctdivol_mgy": _rounded(decimal(text(item, "CTDIvol")), 2) or None,
        "dlp_mgycm": _rounded(decimal(private.value) if private is not None else None, 2) or None,
        "rotations": None if mode == schema.STATIONARY else 1.0,
        "exposure_s": None if seconds is None else seconds / 1000,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
