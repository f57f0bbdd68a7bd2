"""The harms that anomalies are made of: selectors of normal commands, and changes of their columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from gantryguard.clinic import objectives as tables_of
from gantryguard.clinic import patients
from gantryguard.clinic.commands import Commands, FloatArray
from gantryguard.clinic.dose_check import notification_mgy
from gantryguard.clinic.scanner import BoolArray
from gantryguard.clinic.schema import AXIAL, FEMALE, HELICAL, LOCALISER, OBJECTIVES, STATIONARY
from gantryguard.clinic.tamper import Kit

Changes = Mapping[str, FloatArray]
Eligible = Callable[[Commands], BoolArray]
Change = Callable[[Commands, Kit], Changes]
Goal = Callable[[Commands, Kit], FloatArray]

TECHNIQUE_COPIED = ("kvp", "ma", "rotation_s", "pitch", "collimation_mm", "scan_mode", "rotations")
PELVIS_MM = 150.0
Z_99 = 2.326  # of the normal distribution
GOAL_TOLERANCE = 0.06  # a rounded current; a goal that the tube cannot reach leaves the command as it was


# ---- which normals


def objective(*names: str) -> Eligible:
    """Scans (no localisers) of these objectives."""
    return lambda c: np.isin(c["objective"], [OBJECTIVES[name] for name in names]) & scan(c)


def scan(c: Commands) -> BoolArray:
    """Anything but a localiser."""
    return np.asarray(c["scan_mode"] != LOCALISER, dtype=np.bool_)


def helical(c: Commands) -> BoolArray:
    """Helical scans with an ordinary pitch."""
    return np.asarray((c["scan_mode"] == HELICAL) & (c["pitch"] >= 0.4), dtype=np.bool_)


def moving(c: Commands) -> BoolArray:
    """Helical and axial scans."""
    return np.asarray(np.isin(c["scan_mode"], (HELICAL, AXIAL)), dtype=np.bool_)


def where(first: Eligible, column: str, low: float, high: float) -> Eligible:
    """Narrowed to low <= column < high."""
    return lambda c: first(c) & (c[column] >= low) & (c[column] < high)


def woman(c: Commands) -> BoolArray:
    """Women of 15 to 50 years."""
    low, high = patients.FERTILE_YEARS
    return np.asarray((c["sex"] == FEMALE) & (c["age_years"] >= low) & (c["age_years"] <= high), dtype=np.bool_)


def both(first: Eligible, second: Eligible) -> Eligible:
    """Both hold."""
    return lambda c: first(c) & second(c)


TRUNK = objective("chest", "ctpa", "abdomen_pelvis", "cap", "l_spine")
HEADS = objective("head", "paed_head")
ADULT_TRUNK = where(TRUNK, "age_years", 18, 130)


# ---- what is changed


def times(column: str, low: float, high: float, *, either_way: bool = False, step: float = 0.0) -> Change:
    """A column multiplied by a factor between low and high; or, half of the time, divided by it."""

    def change(c: Commands, kit: Kit) -> Changes:
        factor = kit.uniform(c, low, high)
        if either_way:
            factor = np.where(kit.rng.random(len(c)) < 0.5, factor, 1 / factor)
        value = c[column] * factor
        return {column: np.round(value / step) * step if step else value}

    return change


def to(column: str, *values: float) -> Change:
    """A column set to one of the values."""
    return lambda c, kit: {column: kit.pick(c, values)}


def between(column: str, low: float, high: float, *, sign: bool = False) -> Change:
    """A column set to something between low and high, of either sign if asked."""

    def change(c: Commands, kit: Kit) -> Changes:
        value = kit.uniform(c, low, high)
        return {column: np.where(kit.rng.random(len(c)) < 0.5, -value, value) if sign else value}

    return change


def dose_to(goal: Goal) -> Change:
    """Tube current, then voltage, then rotation time or number raised or lowered towards a CTDIvol in mGy."""

    def change(c: Commands, kit: Kit) -> Changes:
        scanner = kit.scanner
        wanted = goal(c, kit)
        stations = np.array(scanner.kvp_stations_kv)
        turns = np.array(scanner.rotation_times_s)
        kvp, seconds, rotations = c["kvp"], c["rotation_s"], c["rotations"]
        for _ in range(len(stations) + len(turns)):
            cap = np.minimum(scanner.ma_max_ma, scanner.generator_kw * 1000 / kvp)
            tried = c.replace(kvp=kvp, rotation_s=seconds, ma=cap, rotations=rotations)
            short = scanner.ctdivol_mgy(tried) < wanted
            slower = turns[np.minimum(np.searchsorted(turns, seconds, "right"), len(turns) - 1)]
            higher = stations[np.minimum(np.searchsorted(stations, kvp, "right"), len(stations) - 1)]
            slow = short & (slower > seconds)
            seconds = np.where(slow, slower, seconds)
            kvp = np.where(short & ~slow, higher, kvp)
        cap = np.minimum(scanner.ma_max_ma, scanner.generator_kw * 1000 / kvp)
        once = scanner.ctdivol_mgy(c.replace(kvp=kvp, rotation_s=seconds, ma=cap))
        more = np.ceil(rotations * np.maximum(1, wanted / once))
        rotations = np.where(c["scan_mode"] == STATIONARY, more, rotations)
        tried = c.replace(kvp=kvp, rotation_s=seconds, rotations=rotations, ma=1.0)
        ma = np.ceil(wanted / scanner.ctdivol_mgy(tried) / scanner.ma_step_ma) * scanner.ma_step_ma
        ma = np.minimum(ma, np.floor(cap))
        reached = np.abs(scanner.ctdivol_mgy(tried.replace(ma=ma)) - wanted) < GOAL_TOLERANCE * wanted
        fresh = {"kvp": kvp, "rotation_s": seconds, "rotations": rotations, "ma": ma}
        return {column: np.where(reached, value, c[column]) for column, value in fresh.items()}

    return change


def above_notification(c: Commands, kit: Kit) -> FloatArray:
    """A CTDIvol 5 to 100 % above the notification value."""
    return notification_mgy(c) * kit.uniform(c, 1.05, 2.0)


def power_times(low: float, high: float) -> Change:
    """Tube current raised until the generator is overloaded by this factor."""
    return lambda c, kit: {"ma": np.ceil(kit.scanner.generator_kw * 1000 / c["kvp"] * kit.uniform(c, low, high))}


def technique_of(name: str, *columns: str) -> Change:
    """The technique of another objective's normal scan; the range stays."""

    def change(c: Commands, kit: Kit) -> Changes:
        donor = kit.donors(c, name)
        fresh = {column: donor[column] for column in columns or TECHNIQUE_COPIED}
        if "collimation_mm" in fresh:
            step = fresh["collimation_mm"]
            whole = np.ceil(c["scan_length_mm"] / step) * step
            fresh["scan_length_mm"] = np.where(fresh["scan_mode"] == AXIAL, whole, c["scan_length_mm"])
            fresh["tilt_deg"] = np.where(fresh["scan_mode"] == AXIAL, c["tilt_deg"], 0.0)
        return fresh

    return change


def only_where(change: Change, column: str, factor: float) -> Change:
    """The change where it multiplies a column at least by the factor; elsewhere none. CTDIvol is the computed one."""

    def narrowed(c: Commands, kit: Kit) -> Changes:
        fresh = change(c, kit)
        before, after = (kit.scanner.restated(commands)[column] for commands in (c, c.replace(**fresh)))
        return {name: np.where(after >= factor * before, value, c[name]) for name, value in fresh.items()}

    return narrowed


def for_weight_of(weight_kg: float) -> Change:
    """The tube current that dose control would choose for somebody of another weight (0.085 per cm of diameter)."""

    def change(c: Commands, kit: Kit) -> Changes:
        own, other = (
            patients.diameter_cm("abdomen", weight, c["height_cm"], c["age_years"])
            for weight in (c["weight_kg"], np.full(len(c), weight_kg))
        )
        step = kit.scanner.ma_step_ma
        return {"ma": np.round(c["ma"] * np.exp(0.085 * (other - own)) / step) * step}

    return change


def slab_repeated(c: Commands, kit: Kit) -> Changes:
    """An axial head scan that stays where it is: 10 to 100 rotations of one slab."""
    return {
        "scan_mode": np.full(len(c), float(STATIONARY)),
        "pitch": np.zeros(len(c)),
        "scan_length_mm": c["collimation_mm"],
        "tilt_deg": np.zeros(len(c)),
        "rotations": np.round(kit.uniform(c, 10, kit.scanner.rotations_max)),
    }


def other_phantom(c: Commands, _kit: Kit) -> Changes:
    """The dose is stated for the other phantom; what is stated stays."""
    return {"phantom_cm": np.where(c["phantom_cm"] == 16, 32.0, 16.0)}


def too_fast(c: Commands, kit: Kit) -> Changes:
    """A pitch that would drive the table beyond its top speed."""
    speed = kit.scanner.table_speed_max_mm_s * kit.uniform(c, 1.1, 1.6)
    return {"pitch": np.round(speed * c["rotation_s"] / c["collimation_mm"], 3)}


def slow_embolism(c: Commands, kit: Kit) -> Changes:
    """Pitch 0.5 and a slow rotation at the same dose: the contrast agent has passed before the scan ends."""
    seconds = np.full(len(c), max(kit.scanner.rotation_times_s))
    pitch = np.full(len(c), 0.5)
    ma = c["ma"] * c["rotation_s"] / c["pitch"] * pitch / seconds
    return {"pitch": pitch, "rotation_s": seconds, "ma": np.round(ma)}


def rotation_doubled(c: Commands, kit: Kit) -> Changes:
    """The slowest rotation that is at least 1.9 times the present one."""
    turns = np.array(kit.scanner.rotation_times_s)
    at = np.searchsorted(turns, 1.9 * c["rotation_s"])
    return {"rotation_s": np.where(at < len(turns), turns[np.minimum(at, len(turns) - 1)], c["rotation_s"])}


def low_kvp_same_dose(c: Commands, kit: Kit) -> Changes:
    """80 kV with as much more current as keeps CTDIvol: the dose looks normal, the image is ruined."""
    phantom = c["phantom_cm"]
    factor = kit.scanner.dose_per_mas(c["kvp"], phantom) / kit.scanner.dose_per_mas(80.0, phantom)
    return {"kvp": np.full(len(c), 80.0), "ma": np.round(c["ma"] * factor)}


def spread_excess(c: Commands, kit: Kit) -> Changes:
    """30 % more DLP, spread over current, pitch, length and slice."""
    share = 1.3 ** (1 / 3)
    slices = np.array(kit.scanner.slices_mm)
    thinner = slices[np.maximum(np.searchsorted(slices, c["slice_mm"]) - 1, 0)]
    return {
        "ma": np.round(c["ma"] * share),
        "pitch": np.round(c["pitch"] / share, 3),
        "scan_length_mm": np.round(c["scan_length_mm"] * share),
        "slice_mm": thinner,
    }


def pelvis_too(c: Commands, _kit: Kit) -> Changes:
    """A scan of the chest of a pregnant patient that goes on into the pelvis."""
    return {"scan_length_mm": c["scan_length_mm"] + PELVIS_MM, "pregnant": np.ones(len(c))}


def then(*changes: Change) -> Change:
    """One change after the other."""

    def change(c: Commands, kit: Kit) -> Changes:
        fresh: dict[str, FloatArray] = {}
        for one in changes:
            fresh |= one(c.replace(**fresh), kit)
        return fresh

    return change


def highest_usual_mgy(c: Commands) -> FloatArray:
    """The 99th percentile of CTDIvol, all sites together, for each command's objective and size, shape (n,)."""
    high = np.zeros(len(c))
    for row in tables_of.tables().protocols.values():
        here = (c["objective"] == OBJECTIVES[row.objective]) & (c["age_years"] >= row.age[0] * (row.region == "head"))
        size = patients.diameter_cm(row.region, c["weight_kg"], c["height_cm"], c["age_years"])
        spread = min(Z_99 * np.hypot(row.sigma_site, row.sigma_res), np.log(row.spread_cut))
        own = row.c0_mgy * np.exp(row.b_per_cm * (size - row.d0_cm) + spread)
        high = np.where(here, np.maximum(high, own), high)
    return high


def beyond_practice(low: float, high: float) -> Goal:
    """A CTDIvol so many times the 99th percentile of the objective and size."""
    return lambda c, kit: highest_usual_mgy(c) * kit.uniform(c, low, high)


def around(value: float, spread: float) -> Goal:
    """A CTDIvol within a share of a value in mGy."""
    return lambda c, kit: kit.uniform(c, value * (1 - spread), value * (1 + spread))


def fixed(value: float) -> Goal:
    """The same CTDIvol for all, in mGy."""
    return lambda c, _kit: np.full(len(c), value)


def own(factor: float) -> Goal:
    """A multiple of each command's own CTDIvol."""
    return lambda c, kit: kit.scanner.ctdivol_mgy(c) * factor
