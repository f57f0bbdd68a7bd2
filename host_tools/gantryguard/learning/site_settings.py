"""Voltages, pitches, rotation times, collimations and slices that a site uses: they widen what is usual for an objective.

A setting counts where enough exams have it. What the scanner has at all is another matter: its own lists are hard limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from gantryguard.clinic import objectives as tables_of
from gantryguard.clinic import schema
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.scanner import Scanner
from gantryguard.learning import features, ranges
from gantryguard.learning.ranges import Range, Ranges
from interposer.core.audit import MOST_MEMBERS

FEWEST, LEAST_SHARE = 2, 0.004  # exams with a setting that a site uses, of many
FEWEST_PITCHES, EXACT_SHARE = 20, 0.9  # the tube's end makes a console leave the protocol's pitch now and then
ASKED = ("pitch", "rotation_s")


def used(scans: Commands, column: str) -> tuple[float, ...]:
    """The values of a setting that enough of these scans have, in rising order."""
    chosen = scans["scan_mode"] == schema.HELICAL if column == "pitch" else np.ones(len(scans), np.bool_)
    values, counts = np.unique(scans[column][chosen], return_counts=True)
    return tuple(values[counts >= max(FEWEST, LEAST_SHARE * len(scans))].tolist())


def widened(usual: Ranges, name: str, scans: Commands) -> Ranges:
    """Ranges in which the settings of an objective also hold what these scans use."""
    settings = dict(usual.settings[name])
    for column in ranges.SETTINGS:
        settings[column] = _with(settings[column], used(scans, column))
    return replace(
        usual,
        settings={**usual.settings, name: settings},
        small_kvp=_small(usual.small_kvp, name, scans),
        asked={**usual.asked, name: {column: used(scans, column) for column in ASKED}},
    )


def is_exact(scans: Commands, name: str, usual: Ranges) -> bool:
    """Whether nearly all pitches of an objective are exactly those of its protocols."""
    helical = scans["pitch"][scans["scan_mode"] == schema.HELICAL]
    known = np.array(features.protocol_settings(tables_of.tables(), usual, "pitch")[name])
    off = np.abs(helical[:, None] - known).min(axis=1)
    return len(helical) >= FEWEST_PITCHES and float(np.mean(off <= features.EXACT_NEAR)) >= EXACT_SHARE


def proposing(scanner: Scanner, usual: Ranges) -> Scanner:
    """The scanner with the pitches that the site uses among those that a correction may propose."""
    asked = {pitch for one in usual.asked.values() for pitch in one["pitch"]}
    known = tuple(pitch for pitch in scanner.protocol_pitches if pitch not in asked)
    return replace(scanner, protocol_pitches=(*sorted(asked), *known)[:MOST_MEMBERS])


def _with(usual: Range, values: tuple[float, ...]) -> Range:
    if not values:
        return usual
    return replace(usual, low=min(usual.low, values[0] / ranges.SLACK), high=max(usual.high, values[-1] * ranges.SLACK))


def _small(usual: Mapping[str, Range], name: str, scans: Commands) -> dict[str, Range]:
    """The voltages for small patients, where the site has scanned such."""
    small = scans.take(scans["weight_kg"] < ranges.SMALL_KG)
    return {**usual, name: _with(usual[name], used(small, "kvp"))}
