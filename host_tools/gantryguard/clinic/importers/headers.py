"""CT image headers as rows: one image says what its scan was; its further images add the range and the mean current.

What real headers get wrong, and what is done about it:

1. Exposure time means the rotation (Siemens), rotation / pitch (Philips) or the whole scan (values above 5 s): the rotation
   is taken from it only where it can be one; a rotation time that is recorded goes first.
2. Exposure is effective mAs (mA t / pitch) for Siemens and Philips, mA t for others: it stands in where mA is missing.
3. Table feed per rotation of Philips is 1.33 or 0.67 times what it should be: not read. A table speed that contradicts pitch
   x collimation / rotation by more than 2 % is dropped.
4. CTDIvol may be accumulated over a study on some scanners: kept as stated, to be judged by what it is.
5. Localisers name the width of the picture as slice thickness: dropped.
6. A tilted gantry makes axial scans: that tells the mode where scan options do not.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from gantryguard.clinic import schema
from gantryguard.clinic.importers.found import Cell, Found, Left, Notes, Part, pseudonym
from gantryguard.clinic.importers.patients import decimal, patient_of, text
from gantryguard.clinic.importers.reports import context_cells
from gantryguard.clinic.rdsr import PHANTOMS_CM
from gantryguard.clinic.real_exams import objective_named

TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "ImageType", "Modality", "Manufacturer", "ManufacturerModelName"),
    *("StudyInstanceUID", "SeriesInstanceUID", "StudyDescription", "SeriesDescription", "ProtocolName", "BodyPartExamined"),
    *("PatientAge", "PatientSex", "PatientSize", "PatientWeight", "PregnancyStatus", "PatientBirthDate", "StudyDate"),
    *("KVP", "XRayTubeCurrent", "XRayTubeCurrentInmA", "ExposureTime", "ExposureTimeInms", "Exposure", "ExposureInmAs"),
    *("RevolutionTime", "TotalCollimationWidth", "TableSpeed", "TableFeedPerRotation", "SpiralPitchFactor", "CTDIvol"),
    *("GantryDetectorTilt", "SliceThickness", "CTDIPhantomTypeCodeSequence", "AcquisitionType", "ScanOptions"),
    *("ContrastBolusAgent", "AcquisitionNumber", "IrradiationEventUID", "ImagePositionPatient", "SliceLocation"),
    *("ExposureDoseSequence",),
)
REGIONS = {
    "HEAD": "head",
    "BRAIN": "head",
    "SKULL": "head",
    "NECK": "neck",
    "CHEST": "chest",
    "THORAX": "chest",
    "LUNG": "chest",
    "HEART": "heart",
    "ABDOMEN": "abdomen",
    "PELVIS": "pelvis",
    "ABDOMENPELVIS": "abdomen and pelvis",
    "ABDPELVIS": "abdomen and pelvis",
    "CHESTABDOMEN": "chest and abdomen",
    "CHESTABDPELVIS": "chest, abdomen and pelvis",
    "WHOLEBODY": "entire body",
}
ROTATION_S = (0.2, 4.0)
PITCH = (0.05, 3.5)
CONSISTENT = 0.02


def read(name: str, header: Dataset, recent: Recent | None = None) -> Found | Left:
    """The scan that one CT image belongs to, as far as that image knows it.

    `recent` remembers scans from call to call: of their further images only position and current are read.
    """
    if _value(header, "ImageType", 1).upper() == "SECONDARY":
        return Left(None, "a secondary image: made from others, not scanned")
    if not text(header, "KVP") and not _current(header):
        return Left(None, "no technique: neither voltage nor tube current")
    notes = Notes()
    mode, number = _mode(header, notes), int(_number(header, "AcquisitionNumber") or 0)
    key, part = _key(name, header, mode, number), _part(header, number)
    if recent is not None and recent.knows(key):
        return Found(key, number, {}, part=part)
    return Found(key, number, _cells(header, mode, notes), text(header, "IrradiationEventUID"), part)


class Recent:
    """The scans seen last: images of one scan mostly lie side by side."""

    MOST = 64

    def __init__(self) -> None:
        self._keys: dict[str, None] = {}

    def knows(self, key: str) -> bool:
        """Whether a scan was seen; from now on it was."""
        is_known = key in self._keys
        if not is_known:
            self._keys[key] = None
            if len(self._keys) > self.MOST:
                del self._keys[next(iter(self._keys))]
        return is_known


def _cells(header: Dataset, mode: int | None, notes: Notes) -> dict[str, Cell]:
    patient, made = patient_of(header)
    notes.lines[:0] = made
    protocol = " ".join(filter(None, (text(header, k) for k in ("ProtocolName", "StudyDescription", "SeriesDescription"))))
    region = REGIONS.get("".join(text(header, "BodyPartExamined").upper().split()))
    objective = objective_named(protocol, region, patient.age_years)
    if objective is None:
        notes.add("objective not recorded")
    technique = _technique(header, mode, notes)
    contrast = True if text(header, "ContrastBolusAgent") else None
    return {
        **context_cells(patient, objective, contrast),
        **technique,
        "kind": "image header",
        "maker": text(header, "Manufacturer"),
        "model": text(header, "ManufacturerModelName"),
        "protocol": protocol,
        "region": region,
        "acquisition": text(header, "ScanOptions"),
        "exam": pseudonym(text(header, "StudyInstanceUID")),
        "notes": str(notes),
    }


def _key(name: str, header: Dataset, mode: int | None, number: int) -> str:
    """One scan: an irradiation event, else a series; a series of localisers holds several."""
    event = text(header, "IrradiationEventUID")
    if event:
        return f"image:{event}"
    series = text(header, "SeriesInstanceUID") or name
    return f"image:{series}:{number}" if mode == schema.LOCALISER else f"image:{series}"


def _part(header: Dataset, number: int) -> Part:
    place = decimal(_value(header, "ImagePositionPatient", 2))
    study = text(header, "StudyInstanceUID")
    return Part(place, _current(header), f"{study}:{number}" if study and number else "")


def _mode(header: Dataset, notes: Notes) -> int | None:
    how = f"{text(header, 'ScanOptions')} {text(header, 'AcquisitionType')}".upper()
    if "LOCALIZER" in text(header, "ImageType").upper() or any(word in how for word in ("SCOUT", "TOPO", "CONSTANT_ANGLE")):
        return schema.LOCALISER
    if any(word in how for word in ("HELI", "SPIRAL")) or _number(header, "SpiralPitchFactor"):
        return schema.HELICAL
    if "STATIONARY" in how:
        return schema.STATIONARY
    if any(word in how for word in ("AXIAL", "SEQUENCED", "CINE")):
        return schema.AXIAL
    if _number(header, "GantryDetectorTilt"):
        notes.add("axial, as the gantry is tilted")
        return schema.AXIAL
    notes.add("scan mode not recorded")
    return None


def _technique(header: Dataset, mode: int | None, notes: Notes) -> dict[str, Cell]:
    width, pitch = _number(header, "TotalCollimationWidth"), _pitch(header, mode, notes)
    rotation = 0.0 if mode == schema.LOCALISER else _rotation(header, mode, pitch, notes)
    slice_mm = None if mode == schema.LOCALISER else _number(header, "SliceThickness")
    return {
        "scan_mode": mode,
        "kvp": _number(header, "KVP"),
        "ma": _current(header) or _current_from_exposure(header, rotation, pitch, notes),
        "rotation_s": rotation,
        "pitch": pitch,
        "collimation_mm": width,
        "slice_mm": slice_mm,
        "table_speed_mm_s": _speed(header, mode, (pitch, width, rotation), notes),
        "tilt_deg": _number(header, "GantryDetectorTilt"),
        "ctdivol_mgy": _number(header, "CTDIvol") or None,
        "phantom_cm": _phantom(header),
        "rotations": None if mode in (None, schema.STATIONARY) else 1.0,
        "exposure_s": _scaled(_milliseconds(header)),
    }


def _current(header: Dataset) -> float | None:
    return _number(header, "XRayTubeCurrentInmA") or _number(header, "XRayTubeCurrent") or None


def _milliseconds(header: Dataset) -> float | None:
    return _number(header, "ExposureTimeInms") or _number(header, "ExposureTime") or None


def _rotation(header: Dataset, mode: int | None, pitch: float | None, notes: Notes) -> float | None:
    stated = _number(header, "RevolutionTime")
    if stated:
        return stated
    seconds = _scaled(_milliseconds(header))
    if seconds is None or not ROTATION_S[0] <= seconds <= ROTATION_S[1] or "CINE" in text(header, "ScanOptions").upper():
        return None
    maker = text(header, "Manufacturer").upper()
    if maker.startswith("PHILIPS") and mode == schema.HELICAL:
        if not pitch:
            return None
        notes.add("rotation from exposure time and pitch")
        return round(seconds * pitch, 3)
    if maker.startswith("SIEMENS") or mode in (schema.AXIAL, schema.STATIONARY):
        notes.add("rotation from the exposure time")
        return seconds
    return None


def _pitch(header: Dataset, mode: int | None, notes: Notes) -> float | None:
    if mode in (schema.LOCALISER, schema.STATIONARY):
        return 0.0
    pitch, width, feed = (_number(header, k) for k in ("SpiralPitchFactor", "TotalCollimationWidth", "TableFeedPerRotation"))
    if not pitch and feed and width and not text(header, "Manufacturer").upper().startswith("PHILIPS"):
        notes.add("pitch from table feed and collimation")
        pitch = round(feed / width, 3)
    if pitch and not PITCH[0] <= pitch <= PITCH[1]:
        notes.add(f"pitch {pitch:g} dropped: no scanner does that")
        return None
    return pitch or None


def _current_from_exposure(header: Dataset, rotation: float | None, pitch: float | None, notes: Notes) -> float | None:
    mas = _number(header, "ExposureInmAs") or _number(header, "Exposure")
    if not mas or not rotation:
        return None
    is_effective = text(header, "Manufacturer").upper().startswith(("SIEMENS", "PHILIPS"))
    if is_effective and not pitch:
        return None
    notes.add("tube current from exposure and rotation")
    return round(mas * (pitch or 1.0 if is_effective else 1.0) / rotation, 1)


def _speed(
    header: Dataset, mode: int | None, movement: tuple[float | None, float | None, float | None], notes: Notes
) -> float | None:
    speed = _number(header, "TableSpeed")
    pitch, width, rotation = movement
    if mode not in (schema.HELICAL, schema.LOCALISER) or not speed:
        return None
    if mode == schema.HELICAL and pitch and width and rotation:
        fed = pitch * width / rotation
        if abs(speed / fed - 1) > CONSISTENT:
            notes.add(f"table speed {speed:g} mm/s dropped: pitch, collimation and rotation give {fed:.4g}")
            return None
    return speed


def _phantom(header: Dataset) -> float | None:
    codes = header.get("CTDIPhantomTypeCodeSequence", None)
    return PHANTOMS_CM.get(text(codes[0], "CodeValue")) if codes else None


def _number(header: Dataset, keyword: str) -> float | None:
    return decimal(text(header, keyword))


def _scaled(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _value(header: Dataset, keyword: str, index: int) -> str:
    """One of several values of an element; "" where there are fewer."""
    try:
        values = header.get(keyword, None)
        return str(values[index]).strip() if values is not None and not isinstance(values, str) else ""
    except (ValueError, TypeError, IndexError, AttributeError):
        return ""
