"""Anomalous commands, made from normal ones: each kind does one defined harm, of one class and grade.

Classes CF1 (impossible), CF2 (hardware), CF3 (dose excess) and CF4 (mechanics, wire) need no context to be seen; in CS1 to
CS8 every field is plausible by itself. Grade 1 is gross, 5 is subtle. In a class that is a mismatch (`restate` false) the
stated values stay as they were; elsewhere the tampering console states what the scanner would compute, so that nothing gives
it away. The kinds themselves are in `anomaly_kinds.py`; sequences of commands (replay, ordering) are the rig's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gantryguard.clinic import schema
from gantryguard.clinic.anomaly_kinds import KINDS
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.objectives import IntArray
from gantryguard.clinic.scanner import BoolArray, Scanner, reference_scanner
from gantryguard.clinic.tamper import Kit, apply


class Anomalies(NamedTuple):
    """Anomalous commands; lists and arrays of shape (n,). `origin` is the row of the normal each was made from.

    `single` names the one column that differs from the normal command, "" where several do.
    """

    commands: Commands
    names: list[str]
    classes: list[str]
    grades: IntArray
    blamed: list[str]
    origin: IntArray
    single: list[str]


def changed_column(before: Commands, after: Commands) -> list[str]:
    """Per command the one column that was tampered with; "" where several were. Stated values count if nothing else differs."""
    technique = [name for name in schema.NAMES if name not in schema.STATED]
    differs = np.array([before[name] != after[name] for name in technique])
    stated = np.array([before[name] != after[name] for name in schema.STATED])
    lone = [names_of(schema.STATED, column) for column in stated.T]
    return [names_of(technique, column) if column.any() else lone[row] for row, column in enumerate(differs.T)]


def names_of(names: Sequence[str], chosen: BoolArray) -> str:
    """The name of the only chosen one, or ""."""
    found = np.flatnonzero(chosen)
    return names[found[0]] if len(found) == 1 else ""


def make_anomalies(normals: Commands, seed: int, *, scanner: Scanner | None = None, per_kind: int = 200) -> Anomalies:
    """At most `per_kind` anomalies of every kind from the normals (of that scanner; default the reference scanner)."""
    scanner = scanner or reference_scanner()
    parts, names, classes, blamed, single = [], [], [], [], []
    grades, origins = [], []
    for number, kind in enumerate(KINDS):
        kit = Kit(scanner, np.random.default_rng([seed, number]))
        fits = np.flatnonzero(kind.eligible(normals))
        chosen = kit.rng.permutation(fits)[: 2 * per_kind]
        commands, rows = apply(kind, normals.take(chosen), kit)
        commands, rows = commands.take(np.arange(len(rows))[:per_kind]), rows[:per_kind]
        parts.append(commands)
        names += [kind.name] * len(rows)
        classes += [kind.group] * len(rows)
        lone = changed_column(normals.take(chosen[rows]), commands)
        single += lone
        blamed += [kind.blamed] * len(rows) if kind.blamed else lone
        grades.append(np.full(len(rows), kind.grade, dtype=np.int64))
        origins.append(chosen[rows])
    return Anomalies(Commands.concat(parts), names, classes, np.concatenate(grades), blamed, np.concatenate(origins), single)
