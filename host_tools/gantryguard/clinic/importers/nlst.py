"""The parameters of the National Lung Screening Trial, from the parquet index of the Imaging Data Commons.

A CT series of the collection says in its description, for example `2,OPA,GE,LSPLUS,STANDARD,360,2.5,120,80,0.1,1.5`: year,
kind (original, primary, axial), maker, model, kernel, diameter mm, slice mm, kVp, mAs, effective mAs, pitch. `na` and mAs
of at most 5 are placeholders. What follows from it:

- pitch from mAs / effective mAs, or mAs from effective mAs x pitch (1.5 if that is missing too);
- the rotation is not recorded: 0.5 s is assumed, and the current is mAs / 0.5 s, so that the dose is kept;
- mAs above 200 are probably a unit error (1.1 % of the series): kept and noted;
- several reconstructions of one acquisition (same study, same technique) are one event.

Cite: National Lung Screening Trial Research Team, TCIA, doi:10.7937/tcia.hmq8-j677 (CC BY 4.0).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from gantryguard import errors
from gantryguard.clinic import schema
from gantryguard.clinic.importers.found import Cell, Found, Left, Notes, pseudonym
from gantryguard.clinic.importers.patients import Patient, decimal, patient_of
from gantryguard.clinic.importers.reports import context_cells
from gantryguard.errors import UserError

COLLECTION, OBJECTIVE = "nlst", "chest_ldct"
READ = (
    *("collection_id", "Modality", "PatientID", "PatientAge", "PatientSex", "StudyInstanceUID", "SeriesDescription"),
    "instanceCount",
)
FIELDS = 11
ORIGINAL = "OPA"
KINDS = {"L": "a localiser", "R": "a reformatted series", "P": "a reformatted series", "A": "a derived or secondary series"}
PLACEHOLDER_MAS = 5.0
ROTATION_S = 0.5
UNIT_ERROR_MAS = 200.0
PITCH = (0.3, 3.0)
USUAL_PITCH = 1.5  # the most frequent one of the collection
BATCH_ROWS = 16384


def parquet() -> Any:
    """The parquet reader. Raises UserError (exit 16) where it is not installed."""
    try:
        from pyarrow import parquet as module
    except ImportError as error:
        raise UserError(
            "Parquet files need the package pyarrow, which is not installed.",
            remedy="Run `.venv/bin/python -m pip install -c constraints.txt pyarrow`, or use CSV.",
            exit_code=errors.NO_READER,
        ) from error
    return module


def read(path: Path) -> Iterator[Found | Left]:
    """The series of the collection in an index. Raises what pyarrow raises for a broken file; UserError (exit 16)."""
    file = parquet().ParquetFile(path)
    lacking = [name for name in READ if name not in file.schema_arrow.names]
    if lacking:
        yield Left(None, f"a parquet file, but not an index of series: lacks {', '.join(lacking)}")
        return
    others, row = 0, 0
    for batch in file.iter_batches(BATCH_ROWS, columns=list(READ)):
        collection, modality = batch["collection_id"].to_pylist(), batch["Modality"].to_pylist()
        wanted = [i for i, name in enumerate(collection) if name == COLLECTION and modality[i] == "CT"]
        others += len(collection) - len(wanted)
        if wanted:
            for i, cells in zip(wanted, batch.take(wanted).to_pylist(), strict=True):
                yield series(row + i, cells)
        row += len(collection)
    if others:
        yield Left(None, f"{others} rows that are no CT series of the collection {COLLECTION}")


def series(row: int, cells: dict[str, Any]) -> Found | Left:
    """One row of the index."""
    parts = str(cells["SeriesDescription"] or "").split(",")
    if len(parts) != FIELDS:
        return Left(row, "no coded description")
    if parts[1] != ORIGINAL:
        return Left(row, KINDS.get(parts[1][-1:], "of an unknown kind"))
    kvp, mas, effective, pitch = (decimal(part) for part in parts[7:])
    if not kvp:
        return Left(row, "no voltage")
    notes = Notes()
    technique = _technique(_mas(mas), _mas(effective), pitch, notes)
    if technique is None:
        return Left(row, "neither mAs nor effective mAs")
    patient, made = patient_of(_header(cells)) if cells["PatientAge"] or cells["PatientSex"] else (Patient(), ())
    for note in made:
        notes.add(note)
    slice_mm = decimal(parts[6])
    found: dict[str, Cell] = {
        **context_cells(patient, OBJECTIVE, None),
        "scan_mode": schema.HELICAL,
        "kvp": kvp,
        **technique,
        "slice_mm": slice_mm if slice_mm and slice_mm < 100 else None,
        "rotations": 1.0,
        "kind": "NLST",
        "maker": parts[2],
        "model": parts[3],
        "protocol": cells["SeriesDescription"],
        "region": "chest",
        "acquisition": "spiral",
        "exam": pseudonym(str(cells["StudyInstanceUID"] or "")),
        "patient": str(cells["PatientID"] or ""),
        "images": cells["instanceCount"],
        "notes": str(notes),
    }
    return Found(f"nlst:{cells['StudyInstanceUID']}:{','.join(parts[7:])}", row, found)


def _mas(value: float | None) -> float | None:
    return value if value is not None and value > PLACEHOLDER_MAS else None


def _technique(mas: float | None, effective: float | None, pitch: float | None, notes: Notes) -> dict[str, Cell] | None:
    """Current, rotation and pitch; None where nothing says how much radiation there was."""
    if pitch is None and mas and effective and PITCH[0] <= mas / effective <= PITCH[1]:
        pitch = round(mas / effective, 3)
        notes.add("pitch from mAs and effective mAs")
    if mas is None and effective:
        if pitch is None:
            pitch = USUAL_PITCH
            notes.add(f"pitch not recorded: {pitch:g}")
        mas = effective * pitch
        notes.add("mAs from effective mAs and pitch")
    if mas is None:
        return None
    if mas > UNIT_ERROR_MAS:
        notes.add("probably a unit error: mAs above 200")
    notes.add(f"rotation not recorded: {ROTATION_S:g} s, current from mAs")
    return {"ma": round(mas / ROTATION_S, 1), "rotation_s": ROTATION_S, "pitch": pitch}


def _header(cells: dict[str, Any]) -> Dataset:
    header = Dataset()
    if cells["PatientAge"]:
        header.PatientAge = str(cells["PatientAge"])
    if cells["PatientSex"]:
        header.PatientSex = str(cells["PatientSex"])
    return header
