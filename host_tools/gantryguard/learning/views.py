"""Commands as tables of numbers for classifiers that need not fit the device: every field, and what follows from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gantryguard.clinic import objectives as tables_of
from gantryguard.clinic import schema
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.learning import ranges
from gantryguard.learning.commission import levels

Real = NDArray[np.float64]
Whole = NDArray[np.int64]
HIGHEST = 1e6
OF_A_SITE = 600  # scans of an objective that tell a site's level


def fields(commands: Commands) -> Real:
    """Every column, (n, columns), as a console states it."""
    return np.nan_to_num(np.column_stack([commands[name] for name in schema.NAMES]))


def everything(commands: Commands, site: Whole) -> Real:
    """Every column, the site's dose level, and the ratios that an expert would form, (n, features).

    `site` (n,) is the seed of each command's site, -1 where it has none.
    """
    scanner = reference_scanner()
    effect = _effects(commands, site)
    dose, length = _ratios(commands)
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = [
            np.log(dose) - effect,
            np.log(dose),
            np.log(length),
            np.log(scanner.power_kw(commands) / scanner.generator_kw),
            commands["ma"] / scanner.ma_max_ma,
            np.log(commands["ctdivol_mgy"] / scanner.ctdivol_mgy(commands)),
            np.log(commands["dlp_mgycm"] / scanner.dlp_mgycm(commands)),
            np.log(commands["table_speed_mm_s"] / scanner.table_speed_mm_s(commands)),
            np.log(scanner.exposure_s(commands)),
            effect,
        ]
    told = np.column_stack([fields(commands), *columns])
    return np.asarray(np.clip(np.nan_to_num(told, nan=-HIGHEST), -HIGHEST, HIGHEST))


def _effects(commands: Commands, site: Whole) -> Real:
    effect = np.zeros(len(commands))
    for name, code in schema.OBJECTIVES.items():
        here = np.flatnonzero((commands["objective"] == code) & (site >= 0))
        if len(here):
            seeds, place = np.unique(site[here], return_inverse=True)
            effect[here] = levels(name, tuple(seeds.tolist()), OF_A_SITE)[place]
    return effect


def _ratios(commands: Commands) -> tuple[Real, Real]:
    tables, scanner = tables_of.tables(), reference_scanner()
    dose, length = np.ones(len(commands)), np.ones(len(commands))
    for name, code in schema.OBJECTIVES.items():
        here = np.flatnonzero(commands["objective"] == code)
        part = commands.take(here)
        dose[here] = ranges.dose_ratio(part, name, tables, scanner)
        length[here] = ranges.length_ratio(part, name, tables)
    return dose, length
