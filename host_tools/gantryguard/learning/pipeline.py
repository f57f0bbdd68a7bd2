"""The device's whole judgement of a command, for many commands at once, from the tables of a package.

Ranges of fields, derived rows, limits and networks in the order of `interposer.core.verdict`, and equal to it bit for bit.
What only a sequence of frames can show (freshness, order, rate, repetition) is not asked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gantryguard.clinic.commands import Commands
from gantryguard.learning import reference
from gantryguard.profiles.nets import TrainedLayer, TrainedNet
from gantryguard.profiles.profile import Profile
from interposer.core import codec
from interposer.core import limits as limit_words
from interposer.core import network as core
from interposer.core.reasons import BAD_FIELD, BLOCK, HOLD, NONE, PASS

Whole = NDArray[np.int64]
NOBODY = -1


@dataclass(frozen=True)
class PackedNet:
    """A network as a package holds it, with the slots that it reads, compares with and blames."""

    net: TrainedNet
    inputs: Whole
    targets: Whole
    fields: Whole
    group: int
    reason: int


@dataclass
class Assessment:
    """Results of n commands: verdict, reason, slot of the blamed field or -1, each (n,); scores and thresholds (n, nets)."""

    verdict: Whole
    reason: Whole
    blamed: Whole
    scores: Whole
    thresholds: Whole

    def is_alarm(self) -> NDArray[np.bool_]:
        """Held or blocked, (n,)."""
        return np.asarray(self.verdict != PASS, dtype=np.bool_)


class Pipeline:
    """Judges commands of one kind by a compiled profile."""

    def __init__(self, profile: Profile, command: str = "scan_parameters") -> None:
        self.profile = profile
        self.command = command
        tables: Any = profile.package.table
        at = profile.command(command) * codec.COMMAND_WORDS
        commands = tables("commands")
        self._first_limit, self._limits = commands[at + codec.C_LIMIT], commands[at + codec.C_LIMITS]
        asked = commands[at + codec.C_NETS]
        self.nets = [packed_net(profile, index) for index in range(len(profile.network_names)) if asked >> index & 1]

    def values(self, commands: Commands) -> Whole:
        """Value vectors (n, slots) with every row evaluated."""
        matrix = self.profile.matrix_from(commands.columns)
        self.profile.evaluate(matrix, self.command)
        return matrix

    def judge(self, commands: Commands) -> Assessment:
        """Judge commands with physical columns. A value that the wire cannot carry is blocked as a bad field."""
        matrix = self.values(commands)
        result = self.assess(matrix)
        ranges = np.array(self.profile.package.table("ranges"), dtype=np.int64).reshape(-1, codec.RANGE_WORDS)
        for name in reversed(self.profile.fields_of(self.command)):
            slot = self.profile.slot(name)
            bad = (matrix[:, slot] < ranges[slot, 0]) | (matrix[:, slot] > ranges[slot, 1])
            result.verdict[bad], result.reason[bad], result.blamed[bad] = BLOCK, BAD_FIELD, slot
        return result

    def assess(self, matrix: Whole) -> Assessment:
        """Limits and networks on evaluated value vectors (n, slots)."""
        rows = len(matrix)
        nets = len(self.nets)
        result = Assessment(
            np.full(rows, PASS, np.int64),
            np.full(rows, NONE, np.int64),
            np.full(rows, NOBODY, np.int64),
            np.zeros((rows, nets), np.int64),
            np.zeros((rows, nets), np.int64),
        )
        self._ask_limits(matrix, result)
        for index, packed in enumerate(self.nets):
            _ask(packed, matrix, result, index)
        return result

    def _ask_limits(self, matrix: Whole, result: Assessment) -> None:
        words = np.array(self.profile.package.table("limits"), dtype=np.int64).reshape(-1, limit_words.LIMIT_WORDS)
        for limit in words[self._first_limit : self._first_limit + self._limits]:
            value = matrix[:, limit[limit_words.L_SOURCE]]
            broken = (value < limit[limit_words.L_LOWEST]) | (value > limit[limit_words.L_HIGHEST])
            if limit[limit_words.L_CONDITION] >= 0:
                broken &= matrix[:, limit[limit_words.L_CONDITION]] != 0
            broken &= limit[limit_words.L_VERDICT] > result.verdict
            result.verdict[broken] = limit[limit_words.L_VERDICT]
            result.reason[broken] = limit[limit_words.L_REASON]
            result.blamed[broken] = limit[limit_words.L_BLAMED]


def _ask(packed: PackedNet, matrix: Whole, result: Assessment, index: int) -> None:
    outputs = reference.infer(packed.net, matrix[:, packed.inputs])
    scores, worst = reference.score(packed.net, matrix[:, packed.targets], outputs)
    group = matrix[:, packed.group] if packed.group >= 0 else np.zeros(len(matrix), np.int64)
    group = np.where((group >= 0) & (group < len(packed.net.thresholds)), group, 0)
    pairs = packed.net.thresholds.astype(np.int64)[group]
    verdict = np.where(scores > pairs[:, 1], BLOCK, np.where(scores > pairs[:, 0], HOLD, PASS))
    stricter = verdict > result.verdict
    result.scores[:, index], result.thresholds[:, index] = scores, pairs[:, 0]
    result.verdict[stricter] = verdict[stricter]
    result.reason[stricter] = packed.reason
    result.blamed[stricter] = packed.fields[worst][stricter]


def packed_net(profile: Profile, index: int) -> PackedNet:
    """Network `index` of a package, read back from its tables. Reconstructions only."""
    words = np.array(profile.package.table("nets"), dtype=np.int64)
    weights = np.frombuffer(profile.package.table("weights"), dtype=np.int8)
    net = words[index * core.NET_WORDS : (index + 1) * core.NET_WORDS]
    first = int(net[core.N_LAYER_AT])
    layers = tuple(_layer(words, weights, first + i * core.LAYER_WORDS) for i in range(net[core.N_LAYERS]))
    inputs = words[net[core.N_INPUT_AT] : net[core.N_INPUT_AT] + net[core.N_INPUTS]]
    ends = net[core.N_OUTPUT_AT], net[core.N_OUTPUT_AT] + net[core.N_OUTPUTS] * core.OUTPUT_WORDS
    outputs = words[ends[0] : ends[1]].reshape(-1, core.OUTPUT_WORDS)
    thresholds = words[net[core.N_THRESHOLD_AT] : net[core.N_THRESHOLD_AT] + 2 * net[core.N_GROUPS]].reshape(-1, 2)
    trained = TrainedNet(
        profile.network_names[index], layers, thresholds.astype(np.int32), outputs[:, core.O_WEIGHT].astype(np.int32)
    )
    group, reason = int(net[core.N_GROUP_SLOT]), int(net[core.N_REASON])
    return PackedNet(trained, inputs, outputs[:, core.O_TARGET], outputs[:, core.O_FIELD], group, reason)


def nets_of(profile: Profile) -> list[TrainedNet]:
    """Every network of a package, ready to be built into another one: no training needed when only the sources change."""
    return [packed_net(profile, index).net for index in range(len(profile.network_names))]


def _layer(words: Whole, weights: NDArray[np.int8], at: int) -> TrainedLayer:
    n_in, n_out = int(words[at + core.Y_IN]), int(words[at + core.Y_OUT])
    start, bias = int(words[at + core.Y_WEIGHT_AT]), int(words[at + core.Y_BIAS_AT])
    return TrainedLayer(
        weights[start : start + n_in * n_out].reshape(n_out, n_in),
        words[bias : bias + n_out].astype(np.int32),
        int(words[at + core.Y_SHIFT]),
        int(words[at + core.Y_LOWEST]),
        int(words[at + core.Y_HIGHEST]),
    )
