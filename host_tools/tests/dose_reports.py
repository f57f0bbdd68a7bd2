"""Builds small synthetic CT dose reports (structured reports) for the importer's tests."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

RADIATION_DOSE = "1.2.840.10008.5.1.4.1.1.88.67"
ENHANCED = "1.2.840.10008.5.1.4.1.1.88.22"
SPIRAL, SEQUENCED, LOCALISER, STATIONARY = "P5-08001", "113804", "113805", "113806"


def code(value: str, meaning: str = "x") -> Dataset:
    """A code sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def item(kind: str, concept: str, **values: Any) -> Dataset:
    """A content item."""
    made = Dataset()
    made.RelationshipType, made.ValueType = "CONTAINS", kind
    made.ConceptNameCodeSequence = Sequence([code(concept)])
    for key, value in values.items():
        setattr(made, key, value)
    return made


def number(concept: str, value: object, unit: str = "mm") -> Dataset:
    """A numeric item."""
    measured = Dataset()
    measured.NumericValue = value
    measured.MeasurementUnitsCodeSequence = Sequence([code(unit)])
    return item("NUM", concept, MeasuredValueSequence=Sequence([measured]))


def coded(concept: str, value: str) -> Dataset:
    """A coded item."""
    return item("CODE", concept, ConceptCodeSequence=Sequence([code(value)]))


def container(concept: str, *children: Dataset | None) -> Dataset:
    """A container of the children that are not None."""
    return item("CONTAINER", concept, ContentSequence=Sequence([child for child in children if child is not None]))


def source(kvp: object = 120, ma: object = 150, rotation_s: object = 0.5, ma_max: object = 200) -> Dataset:
    """CT X-Ray Source Parameters; None leaves an item out."""
    items = {"113733": kvp, "113833": ma_max, "113734": ma, "113834": rotation_s}
    return container("113831", *(number(key, value) for key, value in items.items() if value is not None))


def event(
    uid: str = "1.2.3",
    *,
    kind: str = SPIRAL,
    region: str | None = "T-D4000",
    protocol: str | None = None,
    comment: str | None = None,
    contrast: str | None = None,
    sources: tuple[Dataset, ...] | None = None,
    pitch: object = 1.0,
    collimation: object = 40,
    length: object = 450,
    seconds: object = 6.25,
    ctdivol: object = 8.0,
    dlp: object = 400,
) -> Dataset:
    """A CT Acquisition; None leaves an item out."""
    scalars = {"113824": seconds, "113825": length, "113827": collimation, "113828": pitch}
    doses = {"113830": ctdivol, "113838": dlp}
    return container(
        "113819",
        item("TEXT", "125203", TextValue=protocol) if protocol is not None else None,
        coded("123014", region) if region is not None else item("CODE", "123014"),
        coded("113820", kind),
        coded("G-C32C", contrast) if contrast is not None else None,
        item("UIDREF", "113769", UID=uid),
        container(
            "113822",
            *(number(key, value) for key, value in scalars.items() if value is not None),
            *(sources if sources is not None else (source(),)),
        ),
        container(
            "113829",
            *(number(key, value) for key, value in doses.items() if value is not None),
            coded("113835", "113691"),
        ),
        item("TEXT", "121106", TextValue=comment) if comment is not None else None,
    )


def report(
    *events: Dataset,
    sop_class: str = RADIATION_DOSE,
    title: str = "113701",
    start: str = "20200101101010",
    study: str = "1.2.9",
    **header: Any,
) -> bytes:
    """A whole file; `header` are DICOM keywords such as PatientAge."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = sop_class
    made.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["report"])
    made.SOPClassUID, made.SOPInstanceUID = sop_class, made.file_meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.StudyDate, made.Modality = study, "20200101", "SR"
    made.ConceptNameCodeSequence = Sequence([code(title)])
    made.ContentSequence = Sequence([item("DATETIME", "113809", DateTime=start), *events])
    for key, value in header.items():
        setattr(made, key, value)
    buffer = BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
