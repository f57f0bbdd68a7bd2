"""An exam on the CT profile without its networks: techniques that pass, and a gantry that reports where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from profile_bench import ABDOMEN, CONTEXT, Desk, ct, stated

from interposer.core.reasons import PASS

LOCALISER = ABDOMEN | {
    "scan_mode": "localiser",
    "ma": 35,
    "rotation_s": 0,
    "pitch": 0,
    "collimation_mm": 5,
    "slice_mm": 5,
    "table_speed_mm_s": 100,
}
HEAD = ABDOMEN | {
    "scan_mode": "axial",
    "ma": 250,
    "rotation_s": 1,
    "collimation_mm": 20,
    "scan_length_mm": 140,
    "phantom_cm": 16,
}
PERFUSION = HEAD | {
    "scan_mode": "stationary",
    "kvp": 80,
    "ma": 200,
    "pitch": 0,
    "collimation_mm": 40,
    "scan_length_mm": 40,
    "rotations": 30,
}
MOVE = {"table_position_mm": 500, "move_speed_mm_s": 100}
CHILD = {"age_years": 4, "weight_kg": 15, "height_cm": 100}


def ready(context: Mapping[str, Any] | None = None, technique: Mapping[str, Any] | None = None) -> Desk:
    """An exam whose context, and technique if one is given, were let through (an unusual one by the technologist)."""
    desk = Desk(ct())
    assert desk.send("exam_context", CONTEXT | dict(context or {})) == PASS
    move(desk, MOVE["table_position_mm"])
    if technique is not None:
        desk.insist("scan_parameters", stated(ct(), technique))
    return desk


def report(desk: Desk, **status: Any) -> None:
    """The gantry says how it stands; what is not named is as it was."""
    known = ("gantry_position_mm", "gantry_tilt_now_deg", "gantry_dose_mgy")
    values = {name: ct().from_raw(name, desk.judge.exam.values[ct().slot(name)]) for name in known}
    frame = ct().encode("status", 0, values | status)
    desk.judge.follow(frame, len(frame))


def move(desk: Desk, position_mm: float) -> None:
    """Send the table somewhere, where it arrives."""
    assert desk.send("table_move", MOVE | {"table_position_mm": position_mm}) == PASS
    report(desk, gantry_position_mm=position_mm)


def gantry_refuses(desk: Desk) -> None:
    """The gantry itself refuses the last command."""
    frame = ct().encode("refuse", desk.sequence, {"reason": 128})
    desk.judge.follow(frame, len(frame))


def remembered(desk: Desk, name: str) -> int:
    """Raw value of a memory."""
    value: int = desk.judge.exam.values[ct().slot(name)]
    return value


def expose(desk: Desk) -> int:
    """Prepare and expose; the first verdict that is no pass, or PASS."""
    return desk.send("prepare") or desk.send("expose", {"series": 1})
