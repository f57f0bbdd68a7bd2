"""Notification values of a console's dose check, CTDIvol per scan.

AAPM Dose Check Guidelines 2011 (recalled, unverified; adult head 80, adult torso 50, child head under 6 y 60 and under 2 y 50,
child torso under 10 y 10 on the body phantom, perfusion 600, coronary spiral 150 and sequence 50 mGy).
"""

from __future__ import annotations

import numpy as np

from gantryguard.clinic.commands import Columns, FloatArray
from gantryguard.clinic.schema import HELICAL, OBJECTIVES

HEADS = tuple(OBJECTIVES[name] for name in ("head", "sinus", "paed_head"))
NOT_TRUNK = tuple(OBJECTIVES[name] for name in ("head", "sinus", "paed_head", "neck", "c_spine", "extremity", "perfusion"))


def notification_mgy(commands: Columns) -> FloatArray:
    """Notification value of each command in mGy, shape (n,)."""
    at, age, mode = (np.asarray(commands[name], dtype=np.float64) for name in ("objective", "age_years", "scan_mode"))
    head = np.isin(at, HEADS)
    child_trunk = ~np.isin(at, NOT_TRUNK) & (age < 10)
    coronary = np.where(mode == HELICAL, 150.0, 50.0)
    cases = [at == OBJECTIVES["perfusion"], head & (age < 2), head & (age < 6), head, child_trunk, at == OBJECTIVES["ccta"]]
    return np.select(cases, [600.0, 50.0, 60.0, 80.0, 10.0, coronary], 50.0)
