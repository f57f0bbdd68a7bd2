"""Generates normal scan commands for a scanner: patients, dose control, technique, rounding; vectorised.

A command's wanted CTDIvol is c0 * exp(b (D - D0) + site + residual) of its protocol (`models/ct/objectives.toml`), lowered
modestly for pregnant patients; the technique is solved for it within the scanner's means, and the console's stated values
are computed from the technique and rounded. Every command is executable and consistent.

Commands depend on the seed and on numpy alone. Rounding to the console's steps hides last-bit differences of numpy's
functions between processors, but cannot rule out that a value just between two steps falls the other way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from gantryguard.clinic import objectives as tables_of
from gantryguard.clinic import patients, schema
from gantryguard.clinic.commands import Commands, FloatArray
from gantryguard.clinic.dose_check import notification_mgy
from gantryguard.clinic.objectives import IntArray, KvpRule, Options, Protocol, Tables
from gantryguard.clinic.patients import Patients
from gantryguard.clinic.scanner import BoolArray, Scanner
from gantryguard.clinic.technique import Choice, Solver

CHUNK_ROWS = 65_536  # bounds the memory of a large order
REDRAWS = 12
LENGTH_DECIMALS = 1
SITE_SHARE_OF_CUT = 0.8  # a site's own level leaves room for its patients


def generate(
    n: int,
    *,
    scanner: Scanner,
    seed: int,
    objectives: Iterable[str] | None = None,
    site_seed: int | None = None,
    localiser_share: float = 0.2,
) -> Commands:
    """`n` normal commands of the scanner, shape (n,) per column.

    `objectives` (default all) are drawn by their shares. With `site_seed` all commands come from one site, whose dose
    level per objective is drawn from that seed; without, every command comes from a site of its own (the population
    that the achievable doses describe). `localiser_share` of the rows are localisers of such exams.
    Raises KeyError for an unknown objective.
    """
    return generate_with_protocols(
        n,
        scanner=scanner,
        seed=seed,
        objectives=objectives,
        site_seed=site_seed,
        localiser_share=localiser_share,
    )[0]


def generate_with_protocols(
    n: int,
    *,
    scanner: Scanner,
    seed: int,
    objectives: Iterable[str] | None = None,
    site_seed: int | None = None,
    localiser_share: float = 0.2,
    tables: Tables | None = None,
) -> tuple[Commands, list[str]]:
    """As `generate`, and the name of each command's protocol."""
    tables = tables or tables_of.tables()
    wanted = set(schema.OBJECTIVES if objectives is None else objectives)
    if wanted - set(schema.OBJECTIVES):
        raise KeyError(f"unknown objectives: {', '.join(sorted(wanted - set(schema.OBJECTIVES)))}")
    names = [name for name, row in tables.protocols.items() if row.objective in wanted]
    rng = np.random.default_rng(seed)
    rows = [tables.protocols[name] for name in names]
    works = _Works(scanner, tables, rows, None if site_seed is None else (site_seed,))
    parts = []
    picked: list[str] = []
    for start in range(0, n, CHUNK_ROWS):
        which = rng.choice(len(names), size=min(CHUNK_ROWS, n - start), p=works.shares)
        commands = works.draw(rng, which)
        chosen = np.flatnonzero(rng.random(len(which)) < localiser_share)
        parts.append(_with_localisers(rng, scanner, tables, commands, chosen))
        picked += [names[p] for p in which]
    return Commands.concat(parts), picked


def generate_at_sites(
    n: int, *, scanner: Scanner, seed: int, sites: Sequence[int], objectives: Iterable[str] | None = None
) -> tuple[Commands, IntArray]:
    """`n` normal scans, no localisers, spread evenly over sites with these seeds, and each one's place in `sites`, (n,)."""
    tables = tables_of.tables()
    wanted = set(schema.OBJECTIVES if objectives is None else objectives)
    rows = [row for row in tables.protocols.values() if row.objective in wanted]
    rng = np.random.default_rng(seed)
    works = _Works(scanner, tables, rows, sites)
    commands = works.draw(rng, rng.choice(len(rows), size=n, p=works.shares))
    return commands, works.place


def _site_levels(site_seed: int) -> dict[str, float]:
    """A site's level per objective in standard deviations."""
    site = np.random.default_rng(site_seed)
    return {name: float(site.standard_normal()) for name in schema.OBJECTIVES}


def localisers(rng: np.random.Generator, scanner: Scanner, tables: Tables, scans: Commands) -> Commands:
    """A localiser for each scan: same patient and phantom, a little longer than the scan."""
    told, n = tables.localiser, len(scans)
    collimation = scanner.collimations_mm[tables_of.snapped([told["collimation_mm"]], scanner.collimations_mm)[0]]
    stations = np.array([scanner.kvp_stations_kv[k] for k in _nearest(told["kvp"], scanner.kvp_stations_kv)])
    low, high = told["margin_mm"]
    step = told["length_step_mm"]
    margin = low + (high - low) * rng.random(n)
    length = np.minimum(np.round((scans["scan_length_mm"] + margin) / step) * step, told["length_max_mm"])
    ma = np.array(told["ma"], dtype=np.float64)[_weighted(rng, told["ma_share"], n)]
    return scanner.restated(
        scans.replace(
            scan_mode=schema.LOCALISER,
            kvp=stations[_weighted(rng, told["kvp_share"], n)],
            ma=np.maximum(ma, scanner.localiser_ma_min_ma),
            rotation_s=0,
            pitch=0,
            collimation_mm=collimation,
            slice_mm=collimation,
            scan_length_mm=np.minimum(length, scanner.table_travel_mm),
            table_speed_mm_s=min(told["speed_mm_s"], scanner.table_speed_max_mm_s),
            tilt_deg=0,
            rotations=1,
        )
    )


def _with_localisers(
    rng: np.random.Generator, scanner: Scanner, tables: Tables, commands: Commands, chosen: IntArray
) -> Commands:
    fresh = localisers(rng, scanner, tables, commands.take(chosen))
    for name in schema.NAMES:
        commands[name][chosen] = fresh[name]
    return commands


def _weighted(rng: np.random.Generator, shares: list[float], n: int) -> IntArray:
    return rng.choice(len(shares), size=n, p=np.array(shares) / np.sum(shares))


def _nearest(wanted: list[float], stations: tuple[float, ...]) -> list[int]:
    return [int(np.argmin(np.abs(np.array(stations) - value))) for value in wanted]


class _Works:
    """What one order of commands needs again and again: the protocols' numbers as arrays, and the site."""

    def __init__(self, scanner: Scanner, tables: Tables, rows: list[Protocol], sites: Sequence[int] | None) -> None:
        self.scanner, self.tables, self.rows = scanner, tables, rows
        self.solver = Solver(scanner)
        self.shares = np.array([row.share for row in rows]) / sum(row.share for row in rows)
        self.rotation, self.pitch, self.collimation, self.slice = (
            tables_of.options(column, scanner, rows) for column in ("rotation_s", "pitch", "collimation_mm", "slice_mm")
        )
        self.site: FloatArray | None = None  # (sites, protocols)
        self.site_low_kvp = np.zeros(0, dtype=np.bool_)
        self.place: IntArray = np.zeros(0, dtype=np.int64)  # of each command's site
        if sites is not None:
            levels = [_site_levels(seed) for seed in sites]
            effect = np.array([[level[row.objective] * row.sigma_site for row in rows] for level in levels])
            bound = SITE_SHARE_OF_CUT * np.log([row.spread_cut for row in rows])
            self.site = np.clip(effect, -bound, bound)
            share = tables.general["low_kvp_site_share"]
            self.site_low_kvp = np.array([np.random.default_rng([seed, 1]).random() < share for seed in sites])

    def number(self, column: str, which: IntArray) -> FloatArray:
        """A numeric column of the protocols, gathered, shape (n,)."""
        numbers: FloatArray = np.array([getattr(row, column) for row in self.rows], dtype=np.float64)[which]
        return numbers

    def draw(self, rng: np.random.Generator, which: IntArray) -> Commands:
        """One scan for each of the protocols `which`, shape (n,)."""
        if self.site is not None:
            self.place = rng.integers(len(self.site), size=len(which))
        who = patients.draw(rng, self.rows, which, self.tables)
        mode = np.array([schema.SCAN_MODES[row.mode] for row in self.rows])[which]
        choice = self._choice(rng, which, who, mode)
        rotations = self._rotations(rng, choice, mode)
        ma = self.solver.solve(choice)
        collimation = self.solver.collimation[choice.collimation_at]
        pitch = np.where(mode == schema.STATIONARY, 0.0, choice.pitch)
        objective = np.array([schema.OBJECTIVES[row.objective] for row in self.rows])[which]
        commands = Commands(
            {
                "objective": objective,
                "age_years": who.age_years,
                "sex": who.told_sex,
                "weight_kg": who.weight_kg,
                "height_cm": who.height_cm,
                "contrast": rng.random(len(which)) < self.number("contrast_share", which),
                "pregnant": who.pregnant,
                "scan_mode": mode,
                "kvp": self.solver.kvp[choice.kvp_at],
                "ma": ma,
                "rotation_s": self.solver.rotation[choice.rotation_at],
                "pitch": pitch,
                "collimation_mm": collimation,
                "slice_mm": np.minimum(_pick(rng, self.slice, which)[0], collimation),
                "scan_length_mm": self._length(rng, which, who, mode, collimation),
                "table_speed_mm_s": np.zeros(len(which)),
                "tilt_deg": self._tilt(rng, which, mode),
                "ctdivol_mgy": np.zeros(len(which)),
                "dlp_mgycm": np.zeros(len(which)),
                "phantom_cm": self.number("phantom_cm", which),
                "rotations": rotations,
            }
        )
        return self.scanner.restated(commands)

    def _choice(self, rng: np.random.Generator, which: IntArray, who: Patients, mode: IntArray) -> Choice:
        pitch = _pick(rng, self.pitch, which)[0]
        stationary = mode == schema.STATIONARY
        return Choice(
            target_mgy=self._target(rng, which, who),
            head=self.number("phantom_cm", which) == 16,
            kvp_at=self._kvp(rng, which, who),
            rotation_at=_pick(rng, self.rotation, which)[1],
            collimation_at=self._detector(_pick(rng, self.collimation, which)[1], mode),
            pitch=np.where(stationary, 1.0, np.minimum(pitch, self.scanner.pitch_max)),
            feeds=mode == schema.HELICAL,
            rotation_max_s=self.number("rotation_max_s", which),
            pitch_floor=self.tables.general["pitch_floor"],
        )

    def _detector(self, collimation_at: IntArray, mode: IntArray) -> IntArray:
        widest = np.searchsorted(self.solver.collimation, self.scanner.helical_collimation_max_mm, "right") - 1
        return np.where(mode == schema.HELICAL, np.minimum(collimation_at, widest), collimation_at)

    def _target(self, rng: np.random.Generator, which: IntArray, who: Patients) -> FloatArray:
        size = np.zeros(len(which))
        for region in tables_of.REGIONS:
            here = np.array([row.region == region for row in self.rows])[which]
            size[here] = patients.diameter_cm(region, who.weight_kg[here], who.height_cm[here], who.age_years[here])
        size *= np.exp(self.tables.patients["size_log_sd"] * rng.standard_normal(len(which)))
        dose = self.number("c0_mgy", which) * np.exp(
            self.number("b_per_cm", which) * (size - self.number("d0_cm", which)) + self._spread(rng, which)
        )
        lowered = self.tables.general["pregnant_dose_factor"]
        return self._checked(rng, which, who, np.where(who.pregnant > 0, lowered * dose, dose))

    def _checked(self, rng: np.random.Generator, which: IntArray, who: Patients, dose: FloatArray) -> FloatArray:
        """Most doses above the notification value of the console's own dose check are lowered until it is silent."""
        general = self.tables.general
        mode = np.array([schema.SCAN_MODES[row.mode] for row in self.rows])[which]
        objective = np.array([schema.OBJECTIVES[row.objective] for row in self.rows])[which]
        value = notification_mgy({"objective": objective, "age_years": who.age_years, "scan_mode": mode})
        low, high = general["adjusted_to"]
        heeded = rng.random(len(dose)) < general["notification_heeded_share"]
        adjusted = value * (low + (high - low) * rng.random(len(dose)))
        return np.where(heeded & (dose > high * value), adjusted, dose)

    def _spread(self, rng: np.random.Generator, which: IntArray) -> FloatArray:
        """Site effect and residual together; what falls beyond the cut is drawn again."""
        bound = np.log(self.number("spread_cut", which))
        sigma_site, sigma = self.number("sigma_site", which), self.number("sigma_res", which)
        spread = np.full(len(which), np.inf)
        for _ in range(REDRAWS):
            out = np.flatnonzero(np.abs(spread) > bound)
            if not len(out):
                break
            site = (
                sigma_site[out] * rng.standard_normal(len(out)) if self.site is None else self.site[self.place[out], which[out]]
            )
            spread[out] = site + sigma[out] * rng.standard_normal(len(out))
        cut: FloatArray = np.clip(spread, -bound, bound)
        return cut

    def _kvp(self, rng: np.random.Generator, which: IntArray, who: Patients) -> IntArray:
        at = np.zeros(len(which), dtype=np.int64)
        chance = rng.random(len(which))
        low_site = rng.random(len(which)) < self.tables.general["low_kvp_site_share"]
        low_site = low_site if self.site is None else self.site_low_kvp[self.place]
        low = _nearest([self.tables.general["low_kvp_kv"]], self.scanner.kvp_stations_kv)[0]
        for name, rule in self.tables.kvp_rules.items():
            here = np.flatnonzero(np.array([row.kvp_rule == name for row in self.rows])[which])
            stations = np.array(_nearest(rule.kvp, self.scanner.kvp_stations_kv))
            at[here] = stations[_by_rule(rule, who, here, chance[here])]
        adaptable = ~np.array([row.kvp_rule.startswith(("fixed", "screening")) for row in self.rows])[which]
        return np.where(adaptable & low_site & (at > low), low, at)

    def _rotations(self, rng: np.random.Generator, c: Choice, mode: IntArray) -> FloatArray:
        """Rotations of stationary scans, near a usual current; their pitch becomes 1 / rotations."""
        low, high = self.tables.general["perfusion_ma"]
        usual = low + (high - low) * rng.random(len(mode))
        rotations = np.ones(len(mode))
        still: BoolArray = mode == schema.STATIONARY
        if still.any():
            wanted = np.clip(np.round(self.solver.needed_ma(c) / usual), 1, self.scanner.rotations_max)
            rotations = np.where(still, wanted, 1.0)
            c.pitch = np.where(still, 1 / rotations, c.pitch)
        return rotations

    def _length(
        self,
        rng: np.random.Generator,
        which: IntArray,
        who: Patients,
        mode: IntArray,
        collimation: FloatArray,
    ) -> FloatArray:
        trunk = np.array([row.region in ("abdomen", "chest") for row in self.rows])[which]
        usual = self.tables.patients["adult_height_cm"]
        tall = np.where(trunk, who.height_cm / np.mean([usual["female"], usual["male"]]), 1.0)
        length = self.number("length_mm", which) * tall
        length += self.number("length_per_height", which) * who.height_cm * 10
        length *= np.exp(self.number("length_cv", which) * rng.standard_normal(len(which)))
        steps = np.maximum(1, np.ceil(np.round(length / collimation, 6))) * collimation
        length = np.select(
            [mode == schema.AXIAL, mode == schema.STATIONARY],
            [np.round(steps, LENGTH_DECIMALS), collimation],
            np.round(length),
        )
        return np.minimum(length, self.scanner.table_travel_mm)

    def _tilt(self, rng: np.random.Generator, which: IntArray, mode: IntArray) -> FloatArray:
        general, n = self.tables.general, len(which)
        low, high = general["tilt_range_deg"]
        low, high = max(low, self.scanner.tilt_min_deg), min(high, self.scanner.tilt_max_deg)
        head = np.array([row.region == "head" for row in self.rows])[which]
        tilted = head & (mode == schema.AXIAL) & (rng.random(n) < general["tilt_share"])
        step = general["tilt_step_deg"]
        tilt = np.round((low + (high - low) * rng.random(n)) / step) * step
        return np.where(tilted, tilt, 0.0)


def _pick(rng: np.random.Generator, options: Options, which: IntArray) -> tuple[FloatArray, IntArray]:
    """One of each protocol's choices at random: values and places, shape (n,)."""
    at = (rng.random(len(which)) * options.count[which]).astype(np.int64)
    return options.values[which, at], options.index[which, at]


def _by_rule(rule: KvpRule, who: Patients, here: IntArray, chance: FloatArray) -> IntArray:
    by: FloatArray = getattr(who, rule.by)
    line = np.minimum(np.searchsorted(rule.below, by[here], side="right"), len(rule.below) - 1)
    place: IntArray = np.minimum((chance[:, None] >= rule.cumulative[line]).sum(axis=1), len(rule.kvp) - 1)
    return place
