"""A scanner: what it can do, and the dose arithmetic of its commands (vectorised).

Per command, with K and n of the phantom that the command names:

    CTDIvol = K / 100 * effective mAs * (kV / 120)^n * c(NT)                      [mGy]
    effective mAs = mA * t / pitch               helical; axial also times the rotations at each position
                  = mA * t * rotations           stationary
                  = mA * NT / table speed        localiser: how long a point stays in the fan
    DLP     = CTDIvol * (L + overrange) / 10     helical, overrange = factor * pitch * NT        [mGy.cm]
            = CTDIvol * L / 10                   axial and localiser
            = CTDIvol * NT / 10                  stationary

Fitted to the CTDI tables of one scanner and its displayed values; sources are in `models/ct/scanner.toml`.
Nonsense (a pitch of 0 in a helical scan) gives inf or NaN, never an exception.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gantryguard.clinic.commands import Columns, Commands, FloatArray
from gantryguard.clinic.schema import AXIAL, HELICAL, LOCALISER, STATIONARY
from gantryguard.errors import UNKNOWN_NAME, UserError, cause
from gantryguard.paths import MODELS

BoolArray = npt.NDArray[np.bool_]
REFERENCE = MODELS / "ct" / "scanner.toml"
ARCHETYPES = MODELS / "ct" / "archetypes.toml"
NLST = MODELS / "ct" / "nlst_scanners.toml"
MODELS_KEY = "models"
DOSE_DECIMALS = 2
SPEED_DECIMALS = 2


@dataclass(frozen=True)
class Scanner:
    """Limits and dose constants of a scanner; units are in the names, lists are tuples in rising order but for pitches."""

    name: str
    k_body_mgy_per_100mas: float
    k_head_mgy_per_100mas: float
    kvp_reference_kv: float
    n_body: float
    n_head: float
    beam_points_mm: tuple[float, ...]
    beam_factors: tuple[float, ...]
    overrange_factor: float
    kvp_stations_kv: tuple[float, ...]
    ma_min_ma: float
    ma_max_ma: float
    ma_step_ma: float
    localiser_ma_min_ma: float
    localiser_ma_max_ma: float
    generator_kw: float
    rotation_times_s: tuple[float, ...]
    collimations_mm: tuple[float, ...]
    element_mm: float
    helical_collimation_max_mm: float
    pitch_min: float
    pitch_max: float
    protocol_pitches: tuple[float, ...]
    slices_mm: tuple[float, ...]
    tilt_min_deg: float
    tilt_max_deg: float
    table_speed_max_mm_s: float
    table_travel_mm: float
    rotations_max: float

    def beam_factor(self, collimation_mm: npt.ArrayLike) -> FloatArray:
        """c(NT): linear in log NT between the points of the curve, flat beyond them."""
        with np.errstate(divide="ignore", invalid="ignore"):
            at = np.log(np.asarray(collimation_mm, dtype=np.float64))
        factor: FloatArray = np.interp(at, np.log(self.beam_points_mm), self.beam_factors)
        return factor

    def dose_per_mas(self, kvp: npt.ArrayLike, phantom_cm: npt.ArrayLike) -> FloatArray:
        """CTDIvol in mGy per effective mAs at c(NT) = 1; NaN for a phantom that is neither 16 nor 32 cm."""
        ratio = np.asarray(kvp, dtype=np.float64) / self.kvp_reference_kv
        phantom = np.asarray(phantom_cm, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            head = self.k_head_mgy_per_100mas / 100 * ratio**self.n_head
            body = self.k_body_mgy_per_100mas / 100 * ratio**self.n_body
        return np.where(phantom == 16, head, np.where(phantom == 32, body, np.nan))

    def effective_mas(self, commands: Columns) -> FloatArray:
        """mA times the time that a point is irradiated, in mAs, shape (n,)."""
        mode, ma, seconds, pitch, collimation, speed, rotations = _columns(
            commands,
            *("scan_mode", "ma", "rotation_s", "pitch", "collimation_mm", "table_speed_mm_s", "rotations"),
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            cases = [
                ma * seconds / pitch,
                ma * seconds / pitch * rotations,
                ma * seconds * rotations,
                ma * collimation / speed,
            ]
        return np.select([mode == HELICAL, mode == AXIAL, mode == STATIONARY, mode == LOCALISER], cases, np.nan)

    def ctdivol_mgy(self, commands: Columns) -> FloatArray:
        """CTDIvol computed from the technique, in mGy, shape (n,). Stated doses are not looked at."""
        kvp, phantom, collimation = _columns(commands, "kvp", "phantom_cm", "collimation_mm")
        dose: FloatArray = self.effective_mas(commands) * self.dose_per_mas(kvp, phantom) * self.beam_factor(collimation)
        return dose

    def irradiated_mm(self, commands: Columns) -> FloatArray:
        """Length by which CTDIvol is multiplied to give DLP, in mm, shape (n,)."""
        mode, length, pitch, collimation = _columns(commands, "scan_mode", "scan_length_mm", "pitch", "collimation_mm")
        overrange = self.overrange_factor * pitch * collimation
        return np.select([mode == HELICAL, mode == STATIONARY], [length + overrange, collimation], length)

    def dlp_mgycm(self, commands: Columns) -> FloatArray:
        """Dose-length product computed from the technique, in mGy.cm, shape (n,)."""
        dlp: FloatArray = self.ctdivol_mgy(commands) * self.irradiated_mm(commands) / 10
        return dlp

    def table_speed_mm_s(self, commands: Columns) -> FloatArray:
        """Table speed while the beam is on, in mm/s: the feed of a helical scan, a localiser's own speed, else 0."""
        mode, seconds, pitch, collimation, speed = _columns(
            commands, "scan_mode", "rotation_s", "pitch", "collimation_mm", "table_speed_mm_s"
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            feed = pitch * collimation / seconds
        return np.select([mode == HELICAL, mode == LOCALISER], [feed, speed], 0.0)

    def power_kw(self, commands: Columns) -> FloatArray:
        """Electrical power of the tube, in kW, shape (n,)."""
        kvp, ma = _columns(commands, "kvp", "ma")
        return kvp * ma / 1000

    def exposure_s(self, commands: Columns) -> FloatArray:
        """Time with the beam on, in s, shape (n,)."""
        mode, seconds, pitch, collimation, length, rotations = _columns(
            commands, "scan_mode", "rotation_s", "pitch", "collimation_mm", "scan_length_mm", "rotations"
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            moving = self.irradiated_mm(commands) / self.table_speed_mm_s(commands)
            positions = np.maximum(1, np.ceil(np.round(length / (pitch * collimation), 6)))
            cases = [moving, moving, positions * rotations * seconds, rotations * seconds]
        return np.select([mode == HELICAL, mode == LOCALISER, mode == AXIAL, mode == STATIONARY], cases, np.nan)

    def restated(self, commands: Commands) -> Commands:
        """The commands with stated table speed, CTDIvol and DLP as this scanner's console would state them."""
        moved = commands.replace(table_speed_mm_s=np.round(self.table_speed_mm_s(commands), SPEED_DECIMALS))
        return moved.replace(
            ctdivol_mgy=np.round(self.ctdivol_mgy(moved), DOSE_DECIMALS),
            dlp_mgycm=np.round(self.dlp_mgycm(moved), DOSE_DECIMALS),
        )

    @classmethod
    def from_table(cls, table: Mapping[str, object], source: Path) -> Scanner:
        """A scanner from the keys of a profile source. Raises UserError (exit 4) for missing or unknown keys."""
        wrong = {field.name for field in fields(cls)} ^ set(table)
        if wrong:
            raise UserError(
                f"{source}: missing or unknown keys: {', '.join(sorted(wrong))}.",
                remedy="Give every key of a scanner once.",
                exit_code=4,
            )
        values = {key: tuple(float(v) for v in value) if isinstance(value, list) else value for key, value in table.items()}
        return cls(**values)  # type: ignore[arg-type]  # keys checked above; values come from our own TOML

    def to_toml(self) -> str:
        """The text of a `scanner.toml`."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())


def _toml(value: str | float | tuple[float, ...]) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(list(value)) if isinstance(value, tuple) else repr(value)


def _columns(commands: Columns, *names: str) -> tuple[FloatArray, ...]:
    return tuple(np.asarray(commands[name], dtype=np.float64) for name in names)


@cache
def reference_scanner() -> Scanner:
    """The scanner of `models/ct/scanner.toml`."""
    return Scanner.from_table(tomllib.loads(REFERENCE.read_text(encoding="utf-8")), REFERENCE)


@cache
def archetypes() -> tuple[Scanner, ...]:
    """The scanners of `models/ct/archetypes.toml`: the reference scanner with some keys replaced."""
    return tuple(_variant(name, table, ARCHETYPES) for name, table in _tables(ARCHETYPES).items())


@cache
def nlst_scanners() -> dict[str, Scanner]:
    """The scanners of `models/ct/nlst_scanners.toml` by the model's name in the trial's series."""
    found: dict[str, Scanner] = {}
    for name, table in _tables(NLST).items():
        models = table.pop(MODELS_KEY)
        found |= dict.fromkeys(models, _variant(name, table, NLST))
    return found


def scanner_of(name: str) -> Scanner:
    """The scanner of a `scanner.toml`, or one that the profile's sources name. Raises UserError (exit 4, 14)."""
    known = {scanner.name: scanner for scanner in (reference_scanner(), *archetypes(), *nlst_scanners().values())}
    path = Path(name)
    if name in known:
        return known[name]
    if not path.is_file():
        raise UserError(
            f"There is no scanner {name!r}.",
            remedy=f"Give a scanner.toml, or use one of {', '.join(known)}.",
            exit_code=UNKNOWN_NAME,
        )
    try:
        return Scanner.from_table(tomllib.loads(path.read_text(encoding="utf-8")), path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {cause(error)}.", remedy="Give a scanner.toml.", exit_code=4) from error


def _tables(source: Path) -> dict[str, dict[str, Any]]:
    return tomllib.loads(source.read_text(encoding="utf-8"))


def _variant(name: str, table: Mapping[str, object], source: Path) -> Scanner:
    return Scanner.from_table({**_tables(REFERENCE), **table, "name": name}, source)
