"""Reads CT radiation dose structured reports (DICOM TID 10011, 10012, 10013) of several makers.

Every irradiation event is imported or listed with the reason why not; a broken file is listed and never stops a run.
What real reports get wrong, and what is done about it:

1. GE's older reports are Enhanced SR and name the width of one image as total collimation: the collimation is computed
   from length, time, rotation and pitch. Their 'pitch' of scans that stay in place means nothing and is dropped.
2. An exposure time beyond ten minutes is in milliseconds (Philips).
3. Reports are cumulative or continued (Siemens): an event with the same UID, place and start of study is taken once. The
   UID alone will not do: GE uses it again.
4. Two X-ray sources; body size and modulation only in the comment (Siemens).
5. Kilovoltage, current, pitch or collimation may be missing (reports derived from dose pages): then they are None.
6. Age 100 and sex O are fillers of de-identified files: unknown (`importers/patients.py`).
7. Values come in other units (ms, Gy), or with a unit that means something else: the first are converted.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from gantryguard.clinic.importers.patients import Patient, decimal, patient_of
from gantryguard.clinic.importers.units import factor

STRUCTURED_REPORTS = {
    "1.2.840.10008.5.1.4.1.1.88.67": "X-Ray Radiation Dose SR",
    "1.2.840.10008.5.1.4.1.1.88.22": "Enhanced SR",
    "1.2.840.10008.5.1.4.1.1.88.33": "Comprehensive SR",
}
DOSE_REPORT, ACQUISITION = "113701", "113819"
ACQUISITION_TYPES = {
    "116152004": "spiral",
    "P5-08001": "spiral",
    "113804": "sequenced",
    "113805": "constant_angle",
    "113806": "stationary",
    "113807": "free",
}
# SNOMED-RT (retired, in all real files) and SNOMED-CT codes of the target region.
REGIONS = {
    **dict.fromkeys(("T-D1100", "69536005"), "head"),
    **dict.fromkeys(("T-D1600", "45048000"), "neck"),
    **dict.fromkeys(("T-D3000", "51185008"), "chest"),
    **dict.fromkeys(("T-D4000", "113345001"), "abdomen"),
    **dict.fromkeys(("T-D6000", "12921003"), "pelvis"),
    **dict.fromkeys(("R-FAB55", "416550000"), "chest and abdomen"),
    **dict.fromkeys(("R-FAB57", "416949008"), "abdomen and pelvis"),
    **dict.fromkeys(("R-FAB56", "416775004"), "chest, abdomen and pelvis"),
    **dict.fromkeys(("T-D0010", "38266002"), "entire body"),
    **dict.fromkeys(("T-32000", "80891009"), "heart"),
}
CONTRAST = {"P5-00100": True, "27483000": True, "P5-0808E": False, "399331006": False}
PHANTOMS_CM = {"113690": 16.0, "113691": 32.0}
# Dimension of the values that are read, so that a unit other than the usual one is converted and a wrong one ignored.
DIMENSIONS = {
    **dict.fromkeys(("113824", "113834"), "time"),
    **dict.fromkeys(("113825", "113827"), "length"),
    **dict.fromkeys(("113734", "113833"), "current"),
    **{"113733": "voltage", "113830": "dose", "113838": "dlp"},
}
QUALITY_ASSURANCE = re.compile(r"\b(QA|QC|PHYSICS|PHANTOM)\b", re.IGNORECASE)
EXPOSURE_LIMIT_S = 600.0
IMAGE_WIDTH_MM = 5.0  # GE names image widths up to this as total collimation
WIDEST_MM = 160.0
UNDEFINED_LENGTH = 0xFFFFFFFF


@dataclass(frozen=True)
class Source:
    """One X-ray source of an event; None where the report does not say."""

    kvp: float | None
    ma: float | None
    ma_max: float | None
    rotation_s: float | None


@dataclass(frozen=True)
class Event:
    """One irradiation event. Units are in the names; None where the report does not say.

    `quality_assurance` is the text that marks the report as no patient's exam; `repeats` says that all of its values are
    those of the event before (the phases of one exam on some scanners).
    """

    report: str
    index: int
    uid: str
    study_uid: str
    study_start: str
    manufacturer: str
    model: str
    patient: Patient
    protocol: str
    region: str | None
    acquisition: str | None
    contrast: bool | None
    sources: tuple[Source, ...]
    pitch: float | None
    collimation_mm: float | None
    scan_length_mm: float | None
    exposure_s: float | None
    ctdivol_mgy: float | None
    dlp_mgycm: float | None
    phantom_cm: float | None
    details: tuple[tuple[str, str], ...]
    quality_assurance: str
    repeats: bool = False
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Source:
        """The first source, or an empty one."""
        return self.sources[0] if self.sources else Source(None, None, None, None)


@dataclass(frozen=True)
class Skipped:
    """A report (index None) or an event that was not taken, and why."""

    report: str
    index: int | None
    reason: str


@dataclass(frozen=True)
class Imported:
    """Events in the order of the reports, and everything that was left out."""

    events: tuple[Event, ...]
    skipped: tuple[Skipped, ...]


def import_reports(reports: Iterable[tuple[str, bytes]]) -> Imported:
    """Import reports given as (name, contents of the file). Never raises for what a file contains."""
    events: list[Event] = []
    skipped: list[Skipped] = []
    seen: dict[tuple[str, int, str], str] = {}
    for name, data in reports:
        try:
            found = list(read_report(name, data))
        except Exception as error:  # whatever a broken file makes the parser raise: listed, and on with the rest
            skipped.append(Skipped(name, None, f"cannot be read: {type(error).__name__}: {error}"))
            continue
        for event in found:
            if isinstance(event, Skipped):
                skipped.append(event)
                continue
            key = (event.uid or event.report, event.index, event.study_start)
            if key in seen:
                skipped.append(Skipped(name, event.index, f"the same event as in {seen[key]}"))
            else:
                seen[key] = name
                events.append(event)
    return Imported(tuple(events), tuple(skipped))


def read_report(name: str, data: bytes) -> Iterator[Event | Skipped]:
    """The events of one report. Raises whatever pydicom raises for a broken file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # real reports break the standard in many small ways
        report = pydicom.dcmread(BytesIO(data))
        _check_whole(report)
        if str(report.get("SOPClassUID", "")) not in STRUCTURED_REPORTS:
            yield Skipped(name, None, "not a structured report")
        elif _concept(report) != DOSE_REPORT:
            yield Skipped(name, None, "a structured report, but not of radiation dose")
        else:
            yield from _events(name, report)


def _check_whole(report: Dataset) -> None:
    """pydicom reads a file that was cut off without a word; its events would be incomplete."""
    tags = list(report.keys())  # iterating over the report itself would convert, and so hide, the raw elements
    for tag in tags:
        raw = report.get_item(tag)
        if isinstance(raw, RawDataElement) and raw.length != UNDEFINED_LENGTH and len(raw.value or b"") < raw.length:
            raise EOFError("the file ends early")


def _events(name: str, report: Dataset) -> Iterator[Event | Skipped]:
    containers = [item for item in _items(report) if _concept(item) == ACQUISITION]
    if not containers:
        yield Skipped(name, None, "a dose report without a CT acquisition")
    marks = [_quality_assurance(container) for container in containers]
    mark = next((m for m in marks if m), "")
    before: Event | None = None
    for index, container in enumerate(containers):
        try:
            event = replace(_event(name, index, report, container), quality_assurance=mark)
        except (AttributeError, ValueError, TypeError, KeyError, IndexError) as error:
            yield Skipped(name, index, f"malformed event: {error}")
            continue
        event = replace(event, repeats=before is not None and _values(event) == _values(before))
        before = event
        yield event


def _event(name: str, index: int, report: Dataset, container: Dataset) -> Event:
    parameters, dose = _child(container, "113822"), _child(container, "113829")
    patient, notes = patient_of(report)
    manufacturer = str(report.get("Manufacturer", ""))
    event = Event(
        report=name,
        index=index,
        uid=_uid(container, "113769"),
        study_uid=str(report.get("StudyInstanceUID", "")),
        study_start=_date_time(report, "113809"),
        manufacturer=manufacturer,
        model=str(report.get("ManufacturerModelName", "")),
        patient=patient,
        protocol=_text(container, "125203"),
        region=REGIONS.get(_code(container, "123014")),
        acquisition=ACQUISITION_TYPES.get(_code(container, "113820")),
        contrast=CONTRAST.get(_code(container, "G-C32C", "408730004")),
        sources=tuple(
            Source(_number(s, "113733"), _number(s, "113734"), _number(s, "113833"), _number(s, "113834"))
            for s in _items(parameters)
            if _concept(s) == "113831"
        ),
        pitch=_number(parameters, "113828"),
        collimation_mm=_number(parameters, "113827"),
        scan_length_mm=_number(parameters, "113825"),
        exposure_s=_number(parameters, "113824"),
        ctdivol_mgy=_number(dose, "113830"),
        dlp_mgycm=_number(dose, "113838"),
        phantom_cm=PHANTOMS_CM.get(_code(dose, "113835")),
        details=_details(_text(container, "121106")),
        quality_assurance="",
        notes=notes,
    )
    return _mended(event)


def _mended(event: Event) -> Event:
    notes = list(event.notes)
    exposure = event.exposure_s
    if exposure is not None and exposure > EXPOSURE_LIMIT_S:
        notes.append(f"exposure time {exposure:g} s taken as milliseconds")
        exposure /= 1000
    collimation, pitch = event.collimation_mm, event.pitch
    if event.acquisition == "spiral":
        true = _collimation_of_feed(replace(event, exposure_s=exposure))
        if true is not None:
            notes.append(f"total collimation {collimation:g} mm is an image width: {true:g} mm from the table feed")
            collimation = true
    elif pitch is not None:
        notes.append(f"pitch {pitch:g} of a scan that does not feed dropped")
        pitch = None
    if len(event.sources) > 1:
        notes.append(f"{len(event.sources)} X-ray sources")
    return replace(event, exposure_s=exposure, collimation_mm=collimation, pitch=pitch, notes=tuple(notes))


def _collimation_of_feed(event: Event) -> float | None:
    """GE's true collimation in mm, from length + 1.17 pitch NT = feed * time; None where what is stated may stand."""
    stated, pitch, length, seconds = event.collimation_mm, event.pitch, event.scan_length_mm, event.exposure_s
    turn = event.first.rotation_s
    if not (stated and pitch and length and seconds and turn) or not event.manufacturer.upper().startswith("GE"):
        return None
    true = length / (pitch * (seconds / turn - 1.17))
    return round(true, 1) if stated <= IMAGE_WIDTH_MM < true < WIDEST_MM * 1.1 else None


def _values(event: Event) -> tuple[object, ...]:
    technique = (event.acquisition, event.protocol, event.sources, event.pitch, event.collimation_mm)
    return (*technique, event.scan_length_mm, event.exposure_s, event.ctdivol_mgy, event.dlp_mgycm)


def _quality_assurance(container: Dataset) -> str:
    for text in (_text(container, "125203"), _text(container, "121106")):
        if QUALITY_ASSURANCE.search(text):
            return text
    return ""


def _details(comment: str) -> tuple[tuple[str, str], ...]:
    """The 'name = value' pairs that some makers write into the comment."""
    pairs = re.findall(r"([^,:=]+)=([^,=]*)(?:,|$)", comment)
    return tuple((key.strip(), value.strip()) for key, value in pairs)


# ---- content items


def _items(container: Dataset | None) -> list[Dataset]:
    return list(container.get("ContentSequence", None) or []) if container is not None else []


def _concept(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence", None)
    return _code_value(names[0]) if names else ""


def _code_value(code: Dataset) -> str:
    return str(code.get("CodeValue", "") or code.get("LongCodeValue", "") or "")


def _child(container: Dataset | None, *codes: str) -> Dataset | None:
    return next((item for item in _items(container) if _concept(item) in codes), None)


def _code(container: Dataset | None, *names: str) -> str:
    item = _child(container, *names)
    codes = item.get("ConceptCodeSequence", None) if item is not None else None
    return _code_value(codes[0]) if codes else ""


def _text(container: Dataset, name: str) -> str:
    item = _child(container, name)
    return str(item.get("TextValue", "") or "") if item is not None else ""


def _uid(container: Dataset, name: str) -> str:
    item = _child(container, name)
    return str(item.get("UID", "") or "") if item is not None else ""


def _date_time(container: Dataset, name: str) -> str:
    item = _child(container, name)
    return str(item.get("DateTime", "") or "") if item is not None else ""


def _number(container: Dataset | None, name: str) -> float | None:
    item = _child(container, name)
    values = item.get("MeasuredValueSequence", None) if item is not None else None
    if not values:
        return None
    value, units = decimal(_raw_number(values[0])), values[0].get("MeasurementUnitsCodeSequence", None)
    return value if value is None or not units else value * factor(_code_value(units[0]), DIMENSIONS.get(name, ""))


def _raw_number(value: Dataset) -> object:
    try:
        return value.get("NumericValue")
    except (ValueError, TypeError):  # a decimal string that is none, such as two numbers in one
        return None
