"""What empty cells of a scan command are taken to be, before the guard judges it.

Context: an unknown age, sex, weight or height stays unknown (the wire has codes for that and the guard its own rules);
contrast and pregnancy are taken as no. Technique, in this order, each step using what the row states or an earlier step
gave it (`docs/data.md` lists the same):

1. mode: axial if tilted, a localiser at rotation 0, stationary at pitch 0, else the usual one of the objective;
2. localisers: no rotation and pitch, 120 kV, 35 mA, 100 mm/s, 5 mm collimation, slice = collimation;
3. voltage 120 kV, tilt 0, phantom, collimation, slice: the usual ones of the objective, as the scanner has them;
4. pitch, rotation (helical): from the table speed and the other one of the two, else the usual ones;
5. rotations 1, in a stationary scan as many as CTDIvol asks for; length from DLP / CTDIvol, else the usual one;
6. current from CTDIvol, else from DLP (an assumed rotation turns slower where the generator could not give that); where
   neither dose is known it stays unknown, and the guard refuses 0 mA.

Table speed, CTDIvol and DLP that are empty become what the guard itself computes (`bulk.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import numpy.typing as npt

from gantryguard.clinic import real_exams, schema
from gantryguard.clinic.commands import FloatArray
from gantryguard.clinic.exams import usual_protocol
from gantryguard.clinic.objectives import snapped
from gantryguard.clinic.scanner import Scanner, reference_scanner

BoolArray = npt.NDArray[np.bool_]
HEIGHT_OF_AGE_CM = ((0, 1, 5, 10, 15, 18), (49, 75, 108.5, 138, 165, 170))  # medians; adults as `real_exams` assumes
NOBODY = 7  # a row whose objective is unknown is refused for that; its other defaults are those of abdomen_pelvis


class Filling:
    """The columns of some rows, float64 (n,) each, while their empty cells are filled; `assumed` says which were."""

    def __init__(self, columns: Mapping[str, FloatArray], scanner: Scanner) -> None:
        self.columns = {name: np.array(column) for name, column in columns.items()}
        self.scanner = scanner
        self.assumed: dict[str, BoolArray] = {}

    def __getitem__(self, name: str) -> FloatArray:
        return self.columns[name]

    def fill(self, name: str, value: npt.ArrayLike, where: npt.ArrayLike = True) -> None:
        """Give the empty cells of a column a value, where there is one."""
        column = self.columns[name]
        values = np.broadcast_to(np.asarray(value, dtype=np.float64), column.shape)
        empty = np.isnan(column) & np.isfinite(values) & np.asarray(where, dtype=np.bool_)
        column[empty] = values[empty]
        self.assumed[name] = self.assumed.get(name, np.zeros(column.shape, np.bool_)) | empty

    def usual(self, name: str) -> FloatArray:
        """A column's usual value for each row's objective."""
        codes = self["objective"]
        known = np.isin(codes, list(schema.OBJECTIVES.values()))
        chosen: FloatArray = _usual(self.scanner)[name][np.where(known, codes, NOBODY).astype(np.int64)]
        return chosen


def filled(columns: Mapping[str, FloatArray], scanner: Scanner | None = None) -> Filling:
    """Fill what can be filled; the given columns stay as they are. NaN is left where nothing is known."""
    rows = Filling(columns, scanner or reference_scanner())
    with np.errstate(all="ignore"):
        _mode(rows)
        _localisers(rows)
        _settings(rows)
        _movement(rows)
        _extent(rows)
        _current(rows)
        _slower(rows)
    return rows


def _mode(rows: Filling) -> None:
    rows.fill("scan_mode", schema.AXIAL, np.nan_to_num(rows["tilt_deg"]) != 0)
    rows.fill("scan_mode", schema.LOCALISER, rows["rotation_s"] == 0)
    rows.fill("scan_mode", schema.STATIONARY, rows["pitch"] == 0)
    rows.fill("scan_mode", rows.usual("scan_mode"))


def _localisers(rows: Filling) -> None:
    plans = rows["scan_mode"] == schema.LOCALISER
    width = rows.scanner.collimations_mm[snapped([real_exams.LOCALISER_COLLIMATION_MM], rows.scanner.collimations_mm)[0]]
    for name, value in (
        ("rotation_s", 0.0),
        ("pitch", 0.0),
        ("kvp", real_exams.LOCALISER_KVP),
        ("table_speed_mm_s", real_exams.LOCALISER_SPEED_MM_S),
        ("collimation_mm", width),
    ):
        rows.fill(name, value, plans)
    rows.fill("slice_mm", rows["collimation_mm"], plans)
    _current(rows, plans)
    rows.fill("ma", real_exams.LOCALISER_MA, plans)


def _settings(rows: Filling) -> None:
    rows.fill("kvp", rows.scanner.kvp_reference_kv)
    rows.fill("tilt_deg", 0.0)
    for name in ("phantom_cm", "collimation_mm", "slice_mm"):
        rows.fill(name, rows.usual(name))


def _movement(rows: Filling) -> None:
    mode, speed, width = rows["scan_mode"], rows["table_speed_mm_s"], rows["collimation_mm"]
    helical = (mode == schema.HELICAL) & (speed > 0)
    rows.fill("pitch", 0.0, mode == schema.STATIONARY)
    rows.fill("pitch", speed * rows["rotation_s"] / width, helical)
    rows.fill("rotation_s", rows["pitch"] * width / speed, helical)
    rows.fill("rotation_s", rows.usual("rotation_s"))
    rows.fill("pitch", speed * rows["rotation_s"] / width, helical)
    rows.fill("pitch", rows.usual("pitch"), mode == schema.HELICAL)
    rows.fill("pitch", np.where(rows.usual("scan_mode") == schema.AXIAL, rows.usual("pitch"), 1.0))


def _extent(rows: Filling) -> None:
    standing = rows["scan_mode"] == schema.STATIONARY
    rows.fill("rotations", 1.0, ~standing)
    once = rows.scanner.ctdivol_mgy({**rows.columns, "rotations": np.ones_like(rows["ma"])})
    rows.fill("rotations", np.maximum(np.round(rows["ctdivol_mgy"] / once), 1))
    rows.fill("rotations", 1.0)
    helical = rows["scan_mode"] == schema.HELICAL
    over = np.where(helical, rows.scanner.overrange_factor * rows["pitch"] * rows["collimation_mm"], 0.0)
    stated = np.round(rows["dlp_mgycm"] / rows["ctdivol_mgy"] * 10 - over)
    rows.fill("scan_length_mm", rows["collimation_mm"], standing)
    rows.fill("scan_length_mm", stated, (rows["ctdivol_mgy"] > 0) & (stated >= 1))
    tall = np.where(np.isnan(rows["height_cm"]), _height_of_age(rows["age_years"]), rows["height_cm"])
    usual = np.round(np.where(rows.usual("per_height") > 0, rows.usual("per_height") * 10 * tall, rows.usual("length_mm")))
    margin = np.where(rows["scan_mode"] == schema.LOCALISER, real_exams.LOCALISER_MARGIN_MM, 0.0)
    rows.fill("scan_length_mm", usual + margin)


def _height_of_age(age_years: FloatArray) -> FloatArray:
    ages, heights = HEIGHT_OF_AGE_CM
    tall: FloatArray = np.interp(np.where(np.isnan(age_years), ages[-1], age_years), ages, heights)
    return tall


def _current(rows: Filling, where: npt.ArrayLike = True) -> None:
    one = {**rows.columns, "ma": np.ones_like(rows["ma"])}
    step = rows.scanner.ma_step_ma
    for stated, per_ma in (("ctdivol_mgy", rows.scanner.ctdivol_mgy(one)), ("dlp_mgycm", rows.scanner.dlp_mgycm(one))):
        rows.fill("ma", np.round(rows[stated] / per_ma / step) * step, np.asarray(where) & (rows[stated] > 0))


def _slower(rows: Filling) -> None:
    """Where current and rotation were both assumed, the fastest rotation at which the generator gives that dose."""
    times = np.sort(rows.scanner.rotation_times_s)
    top = np.minimum(rows.scanner.ma_max_ma, rows.scanner.generator_kw * 1000 / rows["kvp"])
    needed = rows["rotation_s"] * rows["ma"] / top
    slower = times[np.minimum(np.searchsorted(times, needed), len(times) - 1)]
    both = rows.assumed["ma"] & rows.assumed["rotation_s"] & (rows["rotation_s"] > 0)
    changed = both & (slower > rows["rotation_s"]) & (slower >= needed)
    rows["ma"][changed] = np.floor((rows["ma"] * rows["rotation_s"] / slower)[changed])
    rows["rotation_s"][changed] = slower[changed]


@cache
def _usual(scanner: Scanner) -> dict[str, FloatArray]:
    """Usual values by column, indexed by the objective's code; `length_mm` and `per_height` are the length's two forms."""
    stations = {
        "rotation_s": scanner.rotation_times_s,
        "collimation_mm": scanner.collimations_mm,
        "slice_mm": scanner.slices_mm,
    }
    names = ("scan_mode", "phantom_cm", "pitch", "length_mm", "per_height", *stations)
    table = {name: np.full(max(schema.OBJECTIVES.values()) + 1, np.nan) for name in names}
    for objective, code in schema.OBJECTIVES.items():
        row = usual_protocol(objective)
        table["scan_mode"][code] = schema.SCAN_MODES[row.mode]
        table["phantom_cm"][code], table["pitch"][code] = row.phantom_cm, row.pitch[0]
        table["length_mm"][code], table["per_height"][code] = row.length_mm, row.length_per_height
        for name, values in stations.items():
            table[name][code] = values[snapped(getattr(row, name), values)[0]]
    return table
