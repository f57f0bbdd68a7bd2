"""The same detector in floating point: what turning it into integers costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantryguard.clinic.commands import Commands
from gantryguard.learning import mlp, train
from gantryguard.learning.evaluate import Outcome
from gantryguard.learning.pipeline import Pipeline
from gantryguard.learning.readings import Guards, Table
from gantryguard.learning.reference import ERROR_CAP
from gantryguard.learning.stats import Flags
from gantryguard.learning.trial import Trial
from gantryguard.profiles.nets import TrainedNet
from gantryguard.profiles.package import compile_profile

Real = NDArray[np.float64]


def infer(layers: Sequence[mlp.Dense], inputs: Real) -> Real:
    """Outputs (n, n_out) of a network with real weights and real activations."""
    values = inputs
    for layer in layers:
        total = values @ layer.weights[:, :-1].T + layer.weights[:, -1] * mlp.UNIT
        values = np.clip(total, 0, mlp.HIGHEST)
    return values


def score(net: TrainedNet, targets: Real, outputs: Real) -> Real:
    """As `reference.score`, without rounding."""
    errors = np.minimum(np.abs(targets - outputs) * net.output_weights / 16, ERROR_CAP)
    return np.asarray(np.sum(errors * errors, axis=1))


class FloatDetector:
    """The detector of a profile with real numbers in its networks; thresholds from the same normals and budgets."""

    def __init__(self, folder: Path, nets: Sequence[TrainedNet], seed: int, recipe: train.Recipe, say: mlp.Say) -> None:
        self.guards = Guards.of(folder)
        self.networks = list(compile_profile(folder).networks)
        self.nets = nets
        self.layers = train.train_layers(folder, seed, say, recipe)
        held = list(train.held_out(self.guards, self.networks, seed + train.CALIBRATION_SEED, recipe.held_out))
        self.thresholds = [self._thresholds(index, held, recipe) for index in range(len(nets))]

    def _scores(self, index: int, table: Table) -> Real:
        outputs = infer(self.layers[index], table.inputs.astype(np.float64))
        return score(self.nets[index], table.targets.astype(np.float64), outputs)

    def _thresholds(self, index: int, held: list[train.Held], recipe: train.Recipe) -> Real:
        scores = [self._scores(index, piece.tables[index]) for piece in held]
        return train.thresholds(scores, held, index, self.networks[index], recipe)

    def alarms(self, commands: Commands) -> Flags:
        """Which commands are held or blocked, (n,)."""
        alarm = train.alarms(Pipeline(self.guards.shipped), commands)
        for index, table in enumerate(self.guards.read(self.networks, commands)):
            alarm |= self._scores(index, table) > self.thresholds[index][table.groups]
        return alarm

    def outcome(self, whole: Outcome, tests: Sequence[Trial]) -> Outcome:
        """The integer detector's outcome with this one's alarms instead."""
        normals = np.concatenate([self.alarms(test.normals) for test in tests])
        found = np.concatenate([self.alarms(test.anomalies.commands) for test in tests])
        return replace(whole, normals=replace(whole.normals, alarm=normals), found=replace(whole.found, alarm=found))
