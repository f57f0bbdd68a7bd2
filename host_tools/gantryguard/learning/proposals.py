"""How good the guard's proposals are: the device's own search, on single-field anomalies that the guard refused.

A proposal is usual where the quantity that its field decides (dose for the current, length, or the setting itself) lies between
the 5th and the 95th percentile of normal scans of the objective and mode, given the other fields as they are.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gantryguard.clinic import objectives as tables_of
from gantryguard.clinic import schema
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.learning import ranges
from gantryguard.learning.stats import DIGITS
from gantryguard.learning.trial import Trial
from gantryguard.profiles.profile import Profile
from interposer.core.pipeline import R_COMMAND
from interposer.core.reasons import PASS
from interposer.core.suggestion import Suggestion
from interposer.core.verdict import Judge

COMMAND = "scan_parameters"
ASKED = 3_000
NORMALS = 20_000
SHARES = (5, 95)
DOSE_WITHIN = 0.25
SUBTLE = 4


@dataclass(frozen=True)
class Proposal:
    """A proposal for one anomaly: its field, what the command becomes, and the normal command that it was made from."""

    field: str
    mended: dict[str, float]
    original: dict[str, float]


def measure(profile: Profile, test: Trial, seed: int = 1) -> dict[str, float]:
    """Of refused single-field anomalies of grades 1 to 4: share with a proposal; of these usual, and near the old dose."""
    made = test.anomalies
    single = np.array([bool(name) and name not in schema.CONTEXT for name in made.single])
    turns = made.commands["scan_mode"] != schema.LOCALISER
    rows = np.flatnonzero(single & turns & (made.grades <= SUBTLE))
    rows = np.random.default_rng(seed).permutation(rows)[:ASKED]
    judge = Judge(profile.package)
    refused, found = 0, []
    for row in rows.tolist():
        outcome = _ask(profile, judge, made.commands.row(row), test.sources.row(int(made.origin[row])))
        refused += outcome != "passed"
        if isinstance(outcome, Proposal):
            found.append(outcome)
    usual = [_is_usual(proposal, limits) for proposal, limits in zip(found, _limits_of(found), strict=True)]
    dose = reference_scanner().ctdivol_mgy
    ratio = [float(dose(Commands.from_rows([p.mended]))[0] / dose(Commands.from_rows([p.original]))[0]) for p in found]
    return {
        "refused": refused,
        "proposed": round(len(found) / refused, DIGITS),
        "usual": round(float(np.mean(usual)), DIGITS),
        "dose_within_25_percent": round(float(np.mean(np.abs(np.array(ratio) - 1) <= DOSE_WITHIN)), DIGITS),
    }


def _ask(profile: Profile, judge: Judge, wrong: dict[str, float], original: dict[str, float]) -> Proposal | str:
    """The proposal for a command; "none" where the search finds none, "passed" where the command is not refused."""
    raw = profile.matrix_from({name: [value] for name, value in wrong.items()})[0]
    if np.abs(raw).max() >= 1 << 30:
        return "none"
    judge.exam.trial[:] = array("i", raw.tolist())
    index = profile.command(COMMAND)
    if judge.assess(judge.exam.trial, index) == PASS:
        return "passed"
    search = Suggestion(profile.package, judge)
    judge.result[R_COMMAND] = index
    if not search.start():
        return "none"
    while not search.step():
        pass
    if not search.found:
        return "none"
    field = profile.slot_names[search.slot]
    mended = reference_scanner().restated(Commands.from_rows([wrong | {field: profile.from_raw(field, search.value)}])).row(0)
    return Proposal(field, mended, original)


def _quantity(field: str, commands: Commands, name: str) -> NDArray[np.float64]:
    """What a field decides."""
    if field in ("ma", "rotations"):
        return ranges.dose_ratio(commands, name, tables_of.tables(), reference_scanner())
    if field == "scan_length_mm":
        return ranges.length_ratio(commands, name, tables_of.tables())
    return commands[field]


def _limits_of(found: list[Proposal]) -> list[tuple[float, float]]:
    """The 5th and 95th percentile of what each proposal's field decides."""
    known: dict[tuple[str, str, float], tuple[float, float]] = {}
    limits = []
    for proposal in found:
        name = schema.name_of(schema.OBJECTIVES, proposal.mended["objective"])
        key = (proposal.field, name, proposal.mended["scan_mode"])
        if key not in known:
            normals = generate(NORMALS, scanner=reference_scanner(), seed=3, objectives=(name,), localiser_share=0)
            same = normals.take(normals["scan_mode"] == key[2])
            values = _quantity(proposal.field, same if len(same) else normals, name)
            low, high = np.percentile(values, SHARES)
            known[key] = (float(low), float(high))
        limits.append(known[key])
    return limits


def _is_usual(proposal: Proposal, limits: tuple[float, float]) -> bool:
    if proposal.field in schema.STATED:
        return True  # what the scanner computes is the only right statement
    name = schema.name_of(schema.OBJECTIVES, proposal.mended["objective"])
    value = float(_quantity(proposal.field, Commands.from_rows([proposal.mended]), name)[0])
    return limits[0] * 0.999 <= value <= limits[1] * 1.001
