"""The generator's tables of `models/ct/objectives.toml`, checked and turned into arrays for one scanner."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gantryguard.clinic import schema
from gantryguard.clinic.commands import FloatArray
from gantryguard.clinic.scanner import Scanner
from gantryguard.errors import UserError
from gantryguard.paths import MODELS

IntArray = npt.NDArray[np.int64]
SOURCE = MODELS / "ct" / "objectives.toml"
REGIONS = ("abdomen", "chest", "head", "limb")


class Protocol(NamedTuple):
    """One row of the generator: a protocol of an objective; keys and units as in `objectives.toml`."""

    objective: str
    share: float
    mode: str
    region: str
    phantom_cm: float
    c0_mgy: float
    d0_cm: float
    b_per_cm: float
    sigma_site: float
    sigma_res: float
    length_cv: float
    rotation_s: list[float]
    pitch: list[float]
    collimation_mm: list[float]
    slice_mm: list[float]
    kvp_rule: str
    age: list[float]
    contrast_share: float
    start_mm: float
    length_mm: float = 0.0
    length_per_height: float = 0.0
    child_share: float = 0.0
    phases: int = 1
    rotation_max_s: float = 1.0
    spread_cut: float = 2.5


class KvpRule(NamedTuple):
    """Shares of tube voltages by the patient's age or weight: row i holds below `below[i]`."""

    by: str
    below: FloatArray
    kvp: list[float]
    cumulative: FloatArray


class Tables(NamedTuple):
    """Everything of `objectives.toml`; `general`, `patients` and `localiser` as they stand there."""

    general: dict[str, Any]
    patients: dict[str, Any]
    localiser: dict[str, Any]
    kvp_rules: dict[str, KvpRule]
    protocols: dict[str, Protocol]


@dataclass(frozen=True)
class Options:
    """Choices per protocol, padded: `values[p, k]` for k < `count[p]`; `index` is the place in the scanner's list."""

    values: FloatArray
    index: IntArray
    count: IntArray


def parse(text: str) -> Tables:
    """Tables from TOML text. Raises UserError (exit 4) naming what is wrong."""
    try:
        source = tomllib.loads(text)
        protocols = {name: Protocol(**row) for name, row in source["protocol"].items()}
        rules = {name: _rule(rule) for name, rule in source["kvp_rules"].items()}
        tables = Tables(source["general"], source["patients"], source["localiser"], rules, protocols)
        for name, row in protocols.items():
            _check(name, row, rules)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{SOURCE.name}: {error}.", remedy="Compare with the comments at its head.", exit_code=4) from error
    return tables


@cache
def tables() -> Tables:
    """The tables of the committed profile source."""
    return parse(SOURCE.read_text(encoding="utf-8"))


def _rule(rule: dict[str, Any]) -> KvpRule:
    share = np.array(rule["share"], dtype=np.float64)
    if share.shape != (len(rule["below"]), len(rule["kvp"])) or not np.allclose(share.sum(axis=1), 1):
        raise ValueError("the shares of a kvp rule do not fit or do not add up to 1")
    return KvpRule(rule["by"], np.array(rule["below"], dtype=np.float64), rule["kvp"], share.cumsum(axis=1))


def _check(name: str, row: Protocol, rules: dict[str, KvpRule]) -> None:
    known = (
        (row.objective, schema.OBJECTIVES),
        (row.mode, schema.SCAN_MODES),
        (row.region, REGIONS),
        (row.kvp_rule, rules),
    )
    for value, names in known:
        if value not in names:
            raise ValueError(f"protocol {name}: unknown {value!r}")
    if (row.length_mm > 0) == (row.length_per_height > 0):
        raise ValueError(f"protocol {name}: give length_mm or length_per_height")


def snapped(wanted: list[float], stations: tuple[float, ...]) -> list[int]:
    """Places of the stations nearest (in ratio) to what is wanted, each once, in the order wanted."""
    log = np.log(stations)
    places = [int(np.argmin(np.abs(log - np.log(value)))) for value in wanted]
    return list(dict.fromkeys(places))


def options(column: str, scanner: Scanner, rows: list[Protocol]) -> Options:
    """The choices of a column for each protocol, mapped to what the scanner has; pitches stay as they are."""
    stations = {
        "rotation_s": scanner.rotation_times_s,
        "collimation_mm": scanner.collimations_mm,
        "slice_mm": scanner.slices_mm,
    }.get(column)
    values: list[list[float]] = []
    index: list[list[int]] = []
    for row in rows:
        wanted: list[float] = getattr(row, column)
        places = snapped(wanted, stations) if stations else list(range(len(wanted)))
        index.append(places)
        values.append([stations[p] if stations else wanted[p] for p in places])
    width = max(len(places) for places in index)
    return Options(
        np.array([v + [v[-1]] * (width - len(v)) for v in values], dtype=np.float64),
        np.array([p + [p[-1]] * (width - len(p)) for p in index], dtype=np.int64),
        np.array([len(p) for p in index], dtype=np.int64),
    )
