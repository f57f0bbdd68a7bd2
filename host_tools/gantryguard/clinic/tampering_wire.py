"""Harms of the wire: flipped bits and swapped bytes of one field, where the check sequence was made to fit."""

from __future__ import annotations

import numpy as np

from gantryguard.clinic.commands import Commands
from gantryguard.clinic.tamper import Kit
from gantryguard.clinic.tampering import Change, Changes

# Fields of two bytes that are never 0 in a scan, and their steps on the wire (link.toml).
WIRE_STEPS = {"ma": 1.0, "rotation_s": 0.001, "collimation_mm": 0.01, "slice_mm": 0.001, "scan_length_mm": 0.1}
BITS = 16


def bit_flipped(low: float, high: float) -> Change:
    """One bit of one numeric field, in the wire's steps, so that the value changes by a share within low..high."""

    def change(c: Commands, kit: Kit) -> Changes:
        names = list(WIRE_STEPS)
        which = kit.rng.integers(len(names), size=len(c))
        fresh = {name: c[name].copy() for name in names}
        for number, name in enumerate(names):
            raw = np.round(c[name] / WIRE_STEPS[name]).astype(np.int64)
            flips = raw[:, None] ^ (1 << np.arange(BITS))
            share = np.abs(flips - raw[:, None]) / np.maximum(raw[:, None], 1)
            fits = (share >= low) & (share < high) & (raw[:, None] > 0)
            chosen = np.argmax(fits * kit.rng.random(fits.shape), axis=1)
            flipped = flips[np.arange(len(c)), chosen] * WIRE_STEPS[name]
            fresh[name] = np.where((which == number) & fits.any(axis=1), flipped, c[name])
        return fresh

    return change


def bytes_swapped(c: Commands, kit: Kit) -> Changes:
    """The two bytes of one numeric field change places."""
    names = list(WIRE_STEPS)
    which = kit.rng.integers(len(names), size=len(c))
    fresh = {}
    for number, name in enumerate(names):
        raw = np.round(c[name] / WIRE_STEPS[name]).astype(np.int64) & 0xFFFF
        swapped = ((raw >> 8) | (raw << 8)) & 0xFFFF
        fresh[name] = np.where(which == number, swapped * WIRE_STEPS[name], c[name])
    return fresh
