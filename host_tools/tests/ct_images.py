"""Builds small synthetic CT image headers for the importers' tests."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
HELICAL: dict[str, Any] = {
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "ScanOptions": "HELICAL MODE",
    "Manufacturer": "SIEMENS",
    "ManufacturerModelName": "Somewhere",
    "ProtocolName": "Thorax",
    "StudyInstanceUID": "1.2.9",
    "SeriesInstanceUID": "1.2.9.1",
    "AcquisitionNumber": 2,
    "KVP": "120",
    "XRayTubeCurrent": 150,
    "ExposureTime": 500,
    "SpiralPitchFactor": 1.0,
    "TotalCollimationWidth": 40.0,
    "SliceThickness": "5",
    "GantryDetectorTilt": "0",
    "CTDIvol": 8.0,
}


def image(z_mm: float = 0.0, **header: Any) -> bytes:
    """A CT image without pixels; `header` are DICOM keywords, None leaves one out."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = header.pop("SOPClassUID", CT_IMAGE)
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(z_mm), str(header)])
    made.Modality, made.ImagePositionPatient = "CT", [0, 0, z_mm]
    for key, value in {**HELICAL, **header}.items():
        if value is not None:
            setattr(made, key, value)
    buffer = BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
