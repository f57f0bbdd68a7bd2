"""What the networks read of commands: as a guard sees them that is shipped, and as one that is commissioned at their sites.

A commissioned guard measures doses from its site's own level, knows that it does, and takes no pitch for usual but exactly
those of the protocols. Everything but the level is in one package for all sites; the level comes with the commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantryguard.clinic import objectives
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.objectives import Tables
from gantryguard.clinic.schema import OBJECTIVES
from gantryguard.learning import features, ranges, sources
from gantryguard.profiles.networks import HIGHEST_INPUT, Network
from gantryguard.profiles.profile import Profile
from gantryguard.profiles.vector import LOG_SCALE

Whole = NDArray[np.int64]
Real = NDArray[np.float64]
COMMAND = "scan_parameters"
CHUNK = 25_000


@dataclass(frozen=True)
class Table:
    """What one network reads of n commands: inputs (n, n_in), targets (n, n_out) and groups (n,)."""

    inputs: NDArray[np.uint8]
    targets: NDArray[np.uint8]
    groups: Whole


@dataclass(frozen=True)
class Guards:
    """A profile as shipped, and as it is at a site where every objective is commissioned."""

    shipped: Profile
    commissioned: Profile

    @classmethod
    def of(cls, folder: Path) -> Guards:
        """Both of a profile folder. Raises UserError (exit 4)."""
        everywhere = replace(ranges.generated(), known=frozenset(OBJECTIVES), exact=helical_objectives(objectives.tables()))
        with sources.rendered(folder, everywhere) as work:
            return cls(Profile.load(folder), Profile.load(work))

    def read(self, networks: Sequence[Network], commands: Commands, level: Real | None = None) -> list[Table]:
        """The tables of all networks; `level` (n,): dose levels of the commands' sites, in octaves, if known."""
        return gathered(self.shipped if level is None else self.commissioned, networks, commands, level)


def helical_objectives(tables: Tables) -> frozenset[str]:
    """Objectives with a protocol that has a pitch at all."""
    return frozenset(row.objective for row in tables.protocols.values() if row.mode == "helical")


def gathered(profile: Profile, networks: Sequence[Network], commands: Commands, level: Real | None = None) -> list[Table]:
    """The tables of all networks from one profile; rows are evaluated piece by piece to bound the memory."""
    pieces: list[list[Table]] = [[] for _ in networks]
    for start in range(0, len(commands), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(commands)))
        matrix = profile.matrix_from({name: column[rows] for name, column in commands.columns.items()})
        profile.evaluate(matrix, COMMAND)
        if level is not None:
            _measure_from(profile, matrix, level[rows])
        for held, network in zip(pieces, networks, strict=True):
            held.append(_table(profile, network, matrix))
    return [
        Table(*(np.concatenate([getattr(piece, name) for piece in held]) for name in ("inputs", "targets", "groups")))
        for held in pieces
    ]


def _measure_from(profile: Profile, matrix: Whole, level: Real) -> None:
    """Change the doses of value vectors (n, slots), measured from the level of all sites, into those from each one's own."""
    octaves = matrix[:, profile.slot("log_dose_level")] * LOG_SCALE - level
    dose = np.rint(features.DOSE_ZERO + features.DOSE_STEPS * octaves)
    matrix[:, profile.slot("n_dose")] = np.clip(dose, 0, HIGHEST_INPUT)


def _table(profile: Profile, network: Network, matrix: Whole) -> Table:
    inputs = matrix[:, [profile.slot(quantity.name) for quantity in network.inputs]].astype(np.uint8)
    targets = matrix[:, [profile.slot(target.row.name) for target in network.targets]].astype(np.uint8)
    group = matrix[:, profile.slot(network.group.name)] if network.group else np.zeros(len(matrix), np.int64)
    return Table(inputs, targets, group)
