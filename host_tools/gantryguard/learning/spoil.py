"""Spoils normal commands for training: the network sees the spoilt one and learns to give the normal one back.

No anomaly of the evaluation is copied: fields are exchanged between normal commands or scaled, blindly.
"""

from __future__ import annotations

import numpy as np

from gantryguard.clinic.commands import Commands

EXCHANGED = ("kvp", "ma", "rotation_s", "pitch", "collimation_mm", "slice_mm", "scan_length_mm", "tilt_deg", "rotations")
SCALED = ("ma", "rotation_s", "pitch", "scan_length_mm")
KEPT_SHARE, SCALED_SHARE, WHOLE_SHARE = 0.5, 0.2, 0.05
MOST_FACTOR = 5.0


def spoil(commands: Commands, dice: np.random.Generator) -> Commands:
    """Half of the commands as they are; of others one field in three is another command's, or one field is scaled, or all
    technique is another command's. Only arithmetic that is the same on every computer."""
    rows = len(commands)
    donor = dice.permutation(rows)
    fate = dice.random(rows)
    scaled = (fate >= KEPT_SHARE) & (fate < KEPT_SHARE + SCALED_SHARE)
    whole = fate >= 1 - WHOLE_SHARE
    mixed = (fate >= KEPT_SHARE + SCALED_SHARE) & ~whole
    chosen = dice.integers(0, len(SCALED), rows)
    factor = 1.0 + (MOST_FACTOR - 1.0) * dice.random(rows)
    factor = np.where(dice.random(rows) < 0.5, factor, 1.0 / factor)
    fresh = {}
    for name in (*EXCHANGED, "scan_mode"):
        column = commands[name]
        share = 0.0 if name == "scan_mode" else 1 / 3
        taken = whole | (mixed & (dice.random(rows) < share))
        value = np.where(taken, column[donor], column)
        if name in SCALED:
            value = np.where(scaled & (chosen == SCALED.index(name)), value * factor, value)
        fresh[name] = value
    return commands.replace(**fresh)
