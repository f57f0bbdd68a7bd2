"""What an anomaly is made with: a kind (whom it befalls, what it changes) and how it is applied to normal commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from gantryguard.clinic import schema
from gantryguard.clinic.commands import Commands, FloatArray
from gantryguard.clinic.envelope import executable
from gantryguard.clinic.generator import generate
from gantryguard.clinic.objectives import IntArray
from gantryguard.clinic.scanner import BoolArray, Scanner

DONORS = 1000
DONORS_BELOW_KG = 100.0  # an overloaded tube turns and feeds slower: no longer the protocol of the book


class Kit:
    """What a kind may use: the scanner, its random stream, and normal commands of another objective."""

    def __init__(self, scanner: Scanner, rng: np.random.Generator) -> None:
        self.scanner, self.rng = scanner, rng

    def uniform(self, commands: Commands, low: float, high: float) -> FloatArray:
        """A number per command between low and high, shape (n,)."""
        return low + (high - low) * self.rng.random(len(commands))

    def pick(self, commands: Commands, values: tuple[float, ...]) -> FloatArray:
        """One of the values per command, shape (n,)."""
        return self.rng.choice(np.array(values), size=len(commands))

    def donors(self, commands: Commands, objective: str) -> Commands:
        """As many normal scans of an objective as there are commands; of patients for whom its protocol needs no change."""
        seed = int(self.rng.integers(2**31))
        pool = generate(DONORS, scanner=self.scanner, seed=seed, objectives=(objective,), localiser_share=0)
        pool = pool.take(pool["weight_kg"] < DONORS_BELOW_KG)
        return pool.take(self.rng.integers(len(pool), size=len(commands)))


class Kind(NamedTuple):
    """One kind of anomaly.

    `change` gives the replaced columns. `eligible` says which normals it makes sense for. `blamed` is the column that was
    tampered with first. Kinds that are no hardware fault must leave a command that the scanner can execute.
    """

    name: str
    group: str
    grade: int
    blamed: str
    eligible: Callable[[Commands], BoolArray]
    change: Callable[[Commands, Kit], Mapping[str, FloatArray]]
    restate: bool = True
    runs: bool = True


def apply(kind: Kind, normals: Commands, kit: Kit) -> tuple[Commands, IntArray]:
    """The kind applied to every normal that it makes sense for, and the rows of these; no-ops are dropped."""
    rows = np.flatnonzero(kind.eligible(normals))
    before = normals.take(rows)
    after = before.replace(**kind.change(before, kit)) if len(rows) else before
    if kind.restate:
        after = kit.scanner.restated(on_steps(kit.scanner, after))
    keep = changed(before, after, () if kind.restate else schema.STATED)
    if kind.runs:
        keep &= executable(kit.scanner, after)
    return after.take(keep), rows[keep]


def on_steps(scanner: Scanner, commands: Commands) -> Commands:
    """The commands as a console can enter them: nothing tells an anomaly by its decimals."""
    ma_step = scanner.ma_step_ma
    length = np.where(commands["scan_mode"] == schema.HELICAL, np.round(commands["scan_length_mm"]), commands["scan_length_mm"])
    return commands.replace(
        ma=np.round(commands["ma"] / ma_step) * ma_step,
        pitch=np.round(commands["pitch"], 3),
        scan_length_mm=length,
        tilt_deg=np.round(commands["tilt_deg"] * 2) / 2,
        rotations=np.round(commands["rotations"]),
    )


def changed(before: Commands, after: Commands, stated: tuple[str, ...]) -> BoolArray:
    """Which rows differ in any column that is not derived (`stated` ones count if named), shape (n,)."""
    names = [name for name in schema.NAMES if name not in schema.STATED or name in stated]
    differs = [~np.isclose(before[n], after[n], rtol=1e-9, atol=1e-9, equal_nan=True) for n in names]
    return np.asarray(np.any(differs, axis=0), dtype=np.bool_)
