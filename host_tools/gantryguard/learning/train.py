"""Trains the networks of a profile on generated normal commands, and sets their thresholds.

A network that sees what it is to say is a denoising autoencoder: it sees a command, perhaps spoilt (`spoil`), and gives
the normal one. One that does not see it predicts it from the context. Either way a command's score is how far it is from
what the network says; the largest weighted error names the blamed field. No network ever sees an anomaly. Data, order,
weights and thresholds follow from the seed. About half a minute on one core.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.errors import UserError
from gantryguard.learning import mlp, quantise, reference
from gantryguard.learning.spoil import spoil
from gantryguard.profiles.nets import TrainedNet
from gantryguard.profiles.networks import Network
from gantryguard.profiles.package import compile_profile
from gantryguard.profiles.profile import Profile

Whole = NDArray[np.int64]
Bytes = NDArray[np.uint8]
COMMAND = "scan_parameters"
CHUNK = 25_000
NEVER = (1 << 30) - 1  # above every score: no block; the largest small integer of the device
MOST_MACS, MOST_BYTES = 6000, 16384
ERROR_UNIT = 64  # the error that output weights give to an error at the quantile below
ERROR_QUANTILE = 0.999
BIAS_BYTES = 4


@dataclass(frozen=True)
class Recipe:
    """How much data, and how each network is built. `budget` is the share of held-out normals that one network may hold."""

    normals: int = 120_000
    held_out: int = 720_000
    budget: float = 0.00003
    margin: float = 1.05
    denoising: tuple[int, ...] = (20, 8, 20)
    predicting: tuple[int, ...] = (24,)
    epochs: int = 20
    batch: int = 256
    rate: float = 0.008

    def neurons(self, network: Network) -> tuple[int, ...]:
        """Neurons of the hidden layers of a network."""
        return self.denoising if is_denoising(network) else self.predicting


def train_profile(folder: Path, seed: int, say: mlp.Say | None = None, recipe: Recipe | None = None) -> list[TrainedNet]:
    """Train every network that the profile declares, in order. Raises UserError (exit 4) if one does not fit the device."""
    recipe = recipe or Recipe()
    profile = Profile.load(folder)
    networks = list(compile_profile(folder).networks)
    clean = generate(recipe.normals, scanner=reference_scanner(), seed=seed)
    spoilt = spoil(clean, np.random.Generator(np.random.PCG64(seed)))
    tables = [gathered(profile, networks, part) for part in (clean, spoilt)]
    nets = []
    for number, network in enumerate(networks):
        part = _Part(say, 0.8 * number / len(networks), 0.8 / len(networks), network.name)
        inputs = tables[1 if is_denoising(network) else 0][number].inputs
        nets.append(_train(network, inputs, tables[0][number].targets, seed + number, recipe, part))
    nets = calibrate(profile, networks, nets, seed + 1000, recipe)
    check_size(nets)
    if say is not None:
        say(1.0, "networks trained")
    return nets


@dataclass(frozen=True)
class Table:
    """What one network reads of n commands: inputs (n, n_in), targets (n, n_out) and groups (n,)."""

    inputs: Bytes
    targets: Bytes
    groups: Whole


@dataclass(frozen=True)
class _Part:
    """Progress of one part of the work."""

    say: mlp.Say | None
    start: float
    share: float
    name: str

    def __call__(self, done: float, text: str) -> None:
        if self.say is not None:
            self.say(self.start + self.share * done, f"{self.name}: {text}")


def gathered(profile: Profile, networks: list[Network], commands: Commands) -> list[Table]:
    """The tables of all networks; rows are evaluated piece by piece to bound the memory."""
    pieces: list[list[Table]] = [[] for _ in networks]
    for start in range(0, len(commands), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(commands)))
        matrix = profile.matrix_from({name: column[rows] for name, column in commands.columns.items()})
        profile.evaluate(matrix, COMMAND)
        for held, network in zip(pieces, networks, strict=True):
            held.append(_table(network, matrix))
    return [
        Table(*(np.concatenate([getattr(piece, name) for piece in held]) for name in ("inputs", "targets", "groups")))
        for held in pieces
    ]


def _table(network: Network, matrix: Whole) -> Table:
    inputs = matrix[:, [quantity.slot for quantity in network.inputs]].astype(np.uint8)
    targets = matrix[:, [target.row.slot for target in network.targets]].astype(np.uint8)
    group = matrix[:, network.group.slot] if network.group else np.zeros(len(matrix), np.int64)
    return Table(inputs, targets, group)


def is_denoising(network: Network) -> bool:
    """Whether a network sees what it is to say; then it is trained on spoilt commands."""
    return bool({quantity.slot for quantity in network.inputs} & {target.row.slot for target in network.targets})


def _train(network: Network, inputs: Bytes, targets: Bytes, seed: int, recipe: Recipe, say: mlp.Say) -> TrainedNet:
    plan = mlp.Plan(recipe.neurons(network), recipe.epochs, recipe.batch, recipe.rate, seed)
    wanted = targets.astype(np.int64)
    layers = mlp.fit(inputs.astype(np.int64), wanted, _importance(wanted), plan, None, say)
    blank = np.full((network.groups, 2), NEVER, np.int32)
    net = TrainedNet(network.name, quantise.quantise(layers), blank, np.zeros(len(network.targets), np.int32))
    quantise.prove(net)
    return net


def _importance(targets: Whole) -> mlp.Real:
    """Weights of the training errors: small where a target varies much."""
    spread = np.sort(np.abs(targets - np.median(targets, axis=0)), axis=0)[int(len(targets) * 0.8)]
    return np.asarray(np.clip(16.0 / np.maximum(spread, 4), 0.5, 4.0), dtype=np.float64)


def calibrate(profile: Profile, networks: list[Network], nets: list[TrainedNet], seed: int, recipe: Recipe) -> list[TrainedNet]:
    """Weights of the errors and thresholds by group, from normals that the training never saw."""
    pieces = list(_held_out(profile, networks, seed, recipe.held_out))
    return [_calibrated(net, [piece[index] for piece in pieces], recipe) for index, net in enumerate(nets)]


def _held_out(profile: Profile, networks: list[Network], seed: int, count: int) -> Iterator[list[Table]]:
    """Normals in pieces, objectives in equal numbers, so that rare ones are known as well as frequent ones."""
    objectives = list(profile.codes("objective"))
    for number, name in enumerate(objectives):
        share = count // len(objectives)
        commands = generate(share, scanner=reference_scanner(), seed=seed + number, objectives=(name,))
        yield gathered(profile, networks, commands)


def _calibrated(net: TrainedNet, pieces: list[Table], recipe: Recipe) -> TrainedNet:
    outputs = [reference.infer(net, piece.inputs) for piece in pieces]
    errors = np.concatenate([out - piece.targets.astype(np.int64) for out, piece in zip(outputs, pieces, strict=True)])
    weights = quantise.error_weights(errors, ERROR_UNIT, ERROR_QUANTILE)
    weighed = TrainedNet(net.name, net.layers, net.thresholds, weights)
    scores = np.concatenate([reference.score(weighed, p.targets, out)[0] for out, p in zip(outputs, pieces, strict=True)])
    groups = np.concatenate([piece.groups for piece in pieces])
    thresholds = net.thresholds.copy()
    thresholds[:, 0] = _threshold(scores, recipe)
    for group in np.unique(groups):
        thresholds[group, 0] = _threshold(scores[groups == group], recipe)
    return TrainedNet(net.name, net.layers, thresholds, weights)


def _threshold(scores: Whole, recipe: Recipe) -> int:
    """The score that at most the budget's share of these normals exceeds, with a margin for those not seen."""
    ranked = np.sort(scores)[::-1]
    return int(ranked[min(int(len(ranked) * recipe.budget), len(ranked) - 1)] * recipe.margin)


def check_size(nets: list[TrainedNet]) -> None:
    """Refuse networks beyond the device's time and memory. Raises UserError (exit 4)."""
    macs = sum(net.macs for net in nets)
    size = macs + BIAS_BYTES * sum(len(layer.bias) for net in nets for layer in net.layers)
    if macs > MOST_MACS or size > MOST_BYTES:
        raise UserError(
            f"The networks have {macs} multiplications and {size} bytes.",
            remedy=f"Keep them at {MOST_MACS} multiplications and {MOST_BYTES} bytes.",
            exit_code=4,
        )
