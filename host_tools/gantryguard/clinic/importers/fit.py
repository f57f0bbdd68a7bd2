"""Maps real rows to what one scanner has, so that a profile made for that scanner can judge them.

Voltage, rotation, collimation and slice become the nearest station; a pitch beyond the scanner's bounds becomes the bound,
at the same effective mAs; the current keeps the scanner's steps and bounds. The
stated table speed, CTDIvol and DLP are the other scanner's: they go to the notes, and the guard computes its own. Where no
current was recorded CTDIvol stays, for the current follows from it. Every change is noted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from gantryguard.clinic import schema
from gantryguard.clinic.importers.found import Cell
from gantryguard.clinic.scanner import Scanner

Row = dict[str, Cell]


def fitted(rows: Iterable[Row], scanner: Scanner) -> Iterator[Row]:
    """The rows, each as the scanner would run it; they are changed in place."""
    for row in rows:
        notes = [str(row["notes"])] if row["notes"] else []
        is_localiser = row["scan_mode"] == schema.LOCALISER
        _snap(row, scanner, is_localiser, notes)
        _pitch(row, scanner, notes)
        _current(row, scanner, is_localiser, notes)
        _unstate(row, is_localiser, notes)
        row["notes"] = "; ".join(notes)
        yield row


def _snap(row: Row, scanner: Scanner, is_localiser: bool, notes: list[str]) -> None:
    stations = {"kvp": scanner.kvp_stations_kv, "collimation_mm": scanner.collimations_mm}
    if not is_localiser:
        stations |= {"rotation_s": scanner.rotation_times_s, "slice_mm": scanner.slices_mm}
    for name, values in stations.items():
        stated = row[name]
        if isinstance(stated, int | float) and stated > 0:
            nearest = min(values, key=lambda value: abs(math.log(value / stated)))
            _set(row, name, nearest, notes)


def _pitch(row: Row, scanner: Scanner, notes: list[str]) -> None:
    pitch, ma = row["pitch"], row["ma"]
    if row["scan_mode"] != schema.HELICAL or not isinstance(pitch, int | float) or pitch <= 0:
        return
    bound = min(max(pitch, scanner.pitch_min), scanner.pitch_max)
    if bound != pitch and isinstance(ma, int | float):
        row["ma"] = ma * bound / pitch
    _set(row, "pitch", bound, notes)


def _current(row: Row, scanner: Scanner, is_localiser: bool, notes: list[str]) -> None:
    stated = row["ma"]
    if not isinstance(stated, int | float):
        return
    low, high = (scanner.localiser_ma_min_ma, scanner.localiser_ma_max_ma) if is_localiser else (
        scanner.ma_min_ma, scanner.ma_max_ma
    )  # fmt: skip
    _set(row, "ma", min(max(round(stated / scanner.ma_step_ma) * scanner.ma_step_ma, low), high), notes)


def _unstate(row: Row, is_localiser: bool, notes: list[str]) -> None:
    names = ["dlp_mgycm"] if row["ma"] is None and row["ctdivol_mgy"] is not None else ["ctdivol_mgy", "dlp_mgycm"]
    for name in names if is_localiser else ["table_speed_mm_s", *names]:
        if row[name] is not None:
            notes.append(f"reported {name} {row[name]:g}")
            row[name] = None


def _set(row: Row, name: str, value: float, notes: list[str]) -> None:
    if value != row[name]:
        notes.append(f"{name} {row[name]:g} run at {value:g}")
        row[name] = value
