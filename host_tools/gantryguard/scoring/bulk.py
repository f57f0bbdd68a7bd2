"""The device's judgement of many exams at once: a context command and the scan parameters after it, on a fresh exam.

Ranges of fields, latches, derived rows, limits and networks in the order of `interposer.core.verdict`, from the tables of
the package; `parity.py` compares it with core itself and with onnxruntime. Of the two commands the first that does not
pass gives the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantryguard.clinic.commands import FloatArray
from gantryguard.errors import UserError
from gantryguard.learning import reference
from gantryguard.learning.pipeline import PackedNet, packed_net
from gantryguard.profiles.profile import Profile
from interposer.core import codec
from interposer.core import limits as limit_words
from interposer.core import network as core
from interposer.core.package import DERIVED_WORDS, LATCH_WORDS
from interposer.core.reasons import BAD_FIELD, BLOCK, HOLD, NONE, PASS

Whole = NDArray[np.int64]
NOBODY = -1
CONTEXT, PARAMETERS = "context", "parameters"  # roles of the two commands


@dataclass
class Findings:
    """Results of n rows, int64 (n,) each but for the last three.

    `blamed`, `limit` and `network` are -1 where there is none. `command` is the index of the command that the result is about.
    `scores` and `holds` are (n, networks) of the parameters, whatever the verdict is about (0 where the wire could not carry a
    value); `outputs` are what each network that was asked said, (n, n_out).
    """

    command: Whole
    verdict: Whole
    reason: Whole
    blamed: Whole
    limit: Whole
    network: Whole
    scores: Whole
    holds: Whole
    outputs: dict[int, Whole]

    @classmethod
    def of(cls, rows: int, networks: int, command: int) -> Findings:
        """Nothing found yet."""
        numbers = {name: np.full(rows, NOBODY, np.int64) for name in ("blamed", "limit", "network")}
        return cls(
            command=np.full(rows, command, np.int64),
            verdict=np.full(rows, PASS, np.int64),
            reason=np.full(rows, NONE, np.int64),
            scores=np.zeros((rows, networks), np.int64),
            holds=np.zeros((rows, networks), np.int64),
            outputs={},
            **numbers,
        )

    def take_over(self, other: Findings, where: NDArray[np.bool_]) -> None:
        """Results of another command instead, where it says so; the scores stay."""
        for name in ("command", "verdict", "reason", "blamed", "limit", "network"):
            getattr(self, name)[where] = getattr(other, name)[where]


class BulkJudge:
    """Judges rows by one package. Value vectors are int64 (n, slots)."""

    def __init__(self, profile: Profile) -> None:
        tables: Any = profile.package.table
        self.profile = profile
        self.context, self.parameters = (_command_of(profile, role) for role in (CONTEXT, PARAMETERS))
        self.nets = [packed_net(profile, index) for index in range(len(profile.network_names))]
        self.words = np.array(tables("nets"), dtype=np.int64)
        self.commands = np.array(tables("commands"), dtype=np.int64).reshape(-1, codec.COMMAND_WORDS)
        self.limits = np.array(tables("limits"), dtype=np.int64).reshape(-1, limit_words.LIMIT_WORDS)
        self.ranges = np.array(tables("ranges"), dtype=np.int64).reshape(-1, codec.RANGE_WORDS)
        self.latches = np.array(tables("latches"), dtype=np.int64).reshape(-1, LATCH_WORDS)
        self.derived = np.array(tables("derived"), dtype=np.int64).reshape(-1, DERIVED_WORDS)

    def values(self, columns: dict[str, FloatArray]) -> Whole:
        """Value vectors of a fresh exam after its context was let through. NaN in a stated value: what the rest gives."""
        matrix = self.profile.matrix_from(columns)
        self.evaluate(matrix, self.context)
        first, count = self.commands[self.context, [codec.C_LATCH, codec.C_LATCHES]]
        for target, source in self.latches[first : first + count, :2]:
            matrix[:, target] = matrix[:, source]
        self.evaluate(matrix, self.parameters)
        self._state(matrix, columns)
        return matrix

    def _state(self, matrix: Whole, columns: dict[str, FloatArray]) -> None:
        """Give stated values that are not known what the guard computes, and evaluate again where that changed anything."""
        changed = np.zeros(len(matrix), np.bool_)
        for target, source in self.derived[:, :2]:
            column = columns.get(self.profile.slot_names[target])
            if column is not None:
                empty = np.isnan(column)
                matrix[empty, target] = matrix[empty, source]
                changed |= empty
        if changed.any():
            fresh = matrix[changed]
            self.evaluate(fresh, self.parameters)
            matrix[changed] = fresh

    def judge(self, matrix: Whole) -> Findings:
        """Verdicts on value vectors as `values` gives them."""
        result = self.assess(matrix, self.parameters)
        self._refuse_fields(matrix, self.parameters, result)
        context = self.assess(self._fresh(matrix.copy()), self.context)
        self._refuse_fields(matrix, self.context, context)
        result.take_over(context, context.verdict != PASS)
        return result

    def assess(self, matrix: Whole, command: int) -> Findings:
        """Limits and networks on evaluated value vectors."""
        result = Findings.of(len(matrix), len(self.nets), command)
        self._ask_limits(matrix, command, result)
        for index, packed in enumerate(self.nets):
            if self.commands[command, codec.C_NETS] >> index & 1:
                self._ask(index, packed, matrix, result)
        return result

    def reassess(self, matrix: Whole, command: int) -> Findings:
        """As `assess`, with the command's rows evaluated anew, in place."""
        self.evaluate(matrix, command)
        return self.assess(matrix, command)

    def corrected(self, matrix: Whole, slots: Whole, values: Whole, command: int) -> Whole:
        """Copies with one field each set to another value and the stated values to what then follows."""
        probe = matrix.copy()
        rows = np.arange(len(probe))
        probe[rows, slots] = values
        self.evaluate(probe, command)
        for target, source in self.derived[:, :2]:
            follows = slots != target
            probe[follows, target] = probe[follows, source]
        return probe

    def evaluate(self, matrix: Whole, command: int) -> None:
        """Evaluate a command's rows in place."""
        self.profile.evaluate(matrix, self.profile.command_names[command])

    def _fresh(self, matrix: Whole) -> Whole:
        """The same context on the exam before it: memory as after power-on, rows evaluated."""
        start = np.array(self.profile.start_values(), dtype=np.int64)
        first, count = self.commands[self.context, [codec.C_LATCH, codec.C_LATCHES]]
        targets = self.latches[first : first + count, 0]
        matrix[:, targets] = start[targets]
        self.evaluate(matrix, self.context)
        return matrix

    def _refuse_fields(self, matrix: Whole, command: int, result: Findings) -> None:
        for name in reversed(self.profile.fields_of(self.profile.command_names[command])):
            slot = self.profile.slot(name)
            bad = (matrix[:, slot] < self.ranges[slot, 0]) | (matrix[:, slot] > self.ranges[slot, 1])
            for field, value in (("verdict", BLOCK), ("reason", BAD_FIELD), ("blamed", slot)):
                getattr(result, field)[bad] = value
            for field in ("limit", "network"):
                getattr(result, field)[bad] = NOBODY
            result.scores[bad] = 0

    def _ask_limits(self, matrix: Whole, command: int, result: Findings) -> None:
        first, count = self.commands[command, [codec.C_LIMIT, codec.C_LIMITS]]
        for index in range(first, first + count):
            limit = self.limits[index]
            value = matrix[:, limit[limit_words.L_SOURCE]]
            broken = (value < limit[limit_words.L_LOWEST]) | (value > limit[limit_words.L_HIGHEST])
            if limit[limit_words.L_CONDITION] >= 0:
                broken &= matrix[:, limit[limit_words.L_CONDITION]] != 0
            broken &= limit[limit_words.L_VERDICT] > result.verdict
            result.limit[broken] = index
            result.verdict[broken] = limit[limit_words.L_VERDICT]
            result.reason[broken] = limit[limit_words.L_REASON]
            result.blamed[broken] = limit[limit_words.L_BLAMED]

    def _ask(self, index: int, packed: PackedNet, matrix: Whole, result: Findings) -> None:
        net = self.words[index * core.NET_WORDS : (index + 1) * core.NET_WORDS]
        outputs = result.outputs[index] = reference.infer(packed.net, matrix[:, packed.inputs])
        scores, worst = outputs[:, 0], np.full(len(matrix), NOBODY, np.int64)
        if net[core.N_SCORE] != core.CLASSIFIER:
            scores, worst = reference.score(packed.net, matrix[:, packed.targets], outputs)
        pairs = self._thresholds(net, matrix)
        verdict = np.where(scores > pairs[:, 1], BLOCK, np.where(scores > pairs[:, 0], HOLD, PASS))
        result.scores[:, index], result.holds[:, index] = scores, pairs[:, 0]
        stricter = verdict > result.verdict
        result.verdict[stricter], result.reason[stricter] = verdict[stricter], net[core.N_REASON]
        result.network[stricter], result.limit[stricter] = index, NOBODY
        result.blamed[stricter] = NOBODY
        named = stricter & (worst >= 0)
        result.blamed[named] = self.words[net[core.N_OUTPUT_AT] + worst[named] * core.OUTPUT_WORDS + core.O_FIELD]

    def _thresholds(self, net: Whole, matrix: Whole) -> Whole:
        """(hold, block) of each row's group."""
        at, slot, groups = net[core.N_THRESHOLD_AT], net[core.N_GROUP_SLOT], net[core.N_GROUPS]
        pairs = self.words[at : at + 2 * max(groups, 1)].reshape(-1, 2)
        group = matrix[:, slot] if slot >= 0 else np.zeros(len(matrix), np.int64)
        chosen: Whole = pairs[np.where((group >= 0) & (group < groups), group, 0)]
        return chosen


def _command_of(profile: Profile, role: str) -> int:
    if role not in profile.roles:
        raise UserError(
            f"The link of {profile.name} has no command of the role {role!r}.",
            remedy="Score with a package whose exams have a context and scan parameters.",
            exit_code=5,
        )
    return profile.roles.index(role)
