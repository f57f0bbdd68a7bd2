"""The columns of a scan command, defined once, with the codes of its enumerations.

Every column is a float64 number: enumerations are codes, yes/no columns are 0 or 1, and NaN is "unknown".
Enumerated codes are stable (they go over the wire and into packages): append, never renumber. Codes of objectives
and scan modes start at 1, so that a zeroed field is never a valid one.

Conventions of the four scan modes (DICOM TID 10013 names the modes; the arithmetic is in `scanner.py`):

- helical: `pitch` = table feed per rotation / collimation, `table_speed_mm_s` is the feed, `rotations` 1.
- axial (step and shoot): `pitch` = table increment / collimation, the table stands while the beam is on, hence
  `table_speed_mm_s` 0; `scan_length_mm` is a whole number of increments; `rotations` 1.
- stationary (perfusion): no increment, `pitch` 0, `table_speed_mm_s` 0, `rotations` N, `scan_length_mm` = collimation.
- localiser: the tube does not rotate, `rotation_s` 0 and `pitch` 0, `table_speed_mm_s` is the table's speed,
  `rotations` 1, `slice_mm` = collimation.
"""

from __future__ import annotations

from typing import NamedTuple

OBJECTIVES: dict[str, int] = {
    "head": 1,
    "neck": 2,
    "c_spine": 3,
    "chest": 4,
    "chest_ldct": 5,
    "ctpa": 6,
    "abdomen_pelvis": 7,
    "cap": 8,
    "calcium_score": 9,
    "ccta": 10,
    "perfusion": 11,
    "sinus": 12,
    "l_spine": 13,
    "extremity": 14,
    "petct_ac": 15,
    "paed_abdomen_pelvis": 16,
    "paed_chest": 17,
    "paed_head": 18,
}
SCAN_MODES: dict[str, int] = {"localiser": 1, "axial": 2, "helical": 3, "stationary": 4}
SEXES: dict[str, int] = {"unknown": 0, "female": 1, "male": 2}
FLAGS: dict[str, int] = {"no": 0, "yes": 1}

LOCALISER = SCAN_MODES["localiser"]
AXIAL = SCAN_MODES["axial"]
HELICAL = SCAN_MODES["helical"]
STATIONARY = SCAN_MODES["stationary"]
FEMALE = SEXES["female"]
MALE = SEXES["male"]


class Column(NamedTuple):
    """One column: its unit, its type (`number`, `flag` or `code`), and, for codes and flags, their names."""

    name: str
    unit: str
    kind: str
    description: str
    names: dict[str, int] | None = None


COLUMNS: tuple[Column, ...] = (
    Column("objective", "", "code", "clinical objective of the exam", OBJECTIVES),
    Column("age_years", "y", "number", "age of the patient; months are twelfths"),
    Column("sex", "", "code", "sex of the patient; other and unknown share a code", SEXES),
    Column("weight_kg", "kg", "number", "weight of the patient"),
    Column("height_cm", "cm", "number", "height of the patient"),
    Column("contrast", "", "flag", "contrast agent is given in this exam", FLAGS),
    Column("pregnant", "", "flag", "patient is or may be pregnant", FLAGS),
    Column("scan_mode", "", "code", "localiser, axial, helical or stationary", SCAN_MODES),
    Column("kvp", "kV", "number", "peak tube voltage"),
    Column("ma", "mA", "number", "tube current, mean over the scan"),
    Column("rotation_s", "s", "number", "time of one rotation; 0 in a localiser"),
    Column("pitch", "", "number", "table feed or increment per rotation over collimation; 0 if there is none"),
    Column("collimation_mm", "mm", "number", "total nominal collimation NT at the isocentre"),
    Column("slice_mm", "mm", "number", "reconstructed slice thickness"),
    Column("scan_length_mm", "mm", "number", "length from first to last position, without overranging"),
    Column("table_speed_mm_s", "mm/s", "number", "speed of the table while the beam is on"),
    Column("tilt_deg", "deg", "number", "gantry tilt"),
    Column("ctdivol_mgy", "mGy", "number", "CTDIvol as stated by the console"),
    Column("dlp_mgycm", "mGy.cm", "number", "dose-length product as stated by the console"),
    Column("phantom_cm", "cm", "number", "diameter of the dose phantom that CTDIvol refers to: 16 or 32"),
    Column("rotations", "", "number", "rotations at each table position; 1 but for stationary scans"),
)
COLUMN: dict[str, Column] = {column.name: column for column in COLUMNS}
NAMES: tuple[str, ...] = tuple(COLUMN)
OPTIONAL: frozenset[str] = frozenset({"rotations"})

CONTEXT: tuple[str, ...] = ("objective", "age_years", "sex", "weight_kg", "height_cm", "contrast", "pregnant")
TECHNIQUE: tuple[str, ...] = NAMES[len(CONTEXT) :]
STATED: tuple[str, ...] = ("table_speed_mm_s", "ctdivol_mgy", "dlp_mgycm")


def name_of(names: dict[str, int], code: float) -> str:
    """Name of an enumerated code. Raises KeyError if there is none."""
    for name, known in names.items():
        if known == code:
            return name
    raise KeyError(code)
