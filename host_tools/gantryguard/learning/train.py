"""Trains the networks of a profile on generated commands, and sets their thresholds.

The context-free network is a denoising autoencoder: it sees normal commands, perhaps spoilt (`spoil`), and gives the normal
one; it never sees an anomaly. The context-sensitive one also sees objective and patient and learns from generated anomalies
too (`lessons`) what a command should have been; what it reads reaches its outputs unchanged, so that it only learns what to
mend. A command's score is how far it is from what the network says; the largest weighted error names the blamed field. Data,
order, weights and thresholds follow from the seed. About two minutes on one core.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantryguard.clinic import patients
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.errors import UserError
from gantryguard.learning import lessons, mlp, quantise, reference
from gantryguard.learning.features import CONTEXT_FREE, LARGE_CM
from gantryguard.learning.pipeline import Pipeline
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
LARGE_SEARCH = 6  # times as many normals are looked through for large patients
CALIBRATION_SEED = 1000  # added to the seed of training
FEWEST = 2_000  # normals that a group needs for a threshold of its own


FREE = mlp.Plan((20, 8, 20), epochs=20, rate=0.004)
MEND = mlp.Plan((60, 26), epochs=60, rate=0.001)


@dataclass(frozen=True)
class Recipe:
    """How much data, and how each network is built. Budgets: the share of held-out normals that a network may hold."""

    normals: int = 120_000
    lesson: lessons.Amounts = field(default_factory=lessons.Amounts)
    held_out: int = 720_000
    free: mlp.Plan = FREE
    mend: mlp.Plan = MEND
    free_budget: float = 0.00003
    mend_budget: float = 0.00025
    margin: float = 1.02
    normal_emphasis: float = 2.0

    def budget(self, name: str) -> float:
        """The budget of a network."""
        return self.free_budget if name == CONTEXT_FREE else self.mend_budget


def train_profile(folder: Path, seed: int, say: mlp.Say | None = None, recipe: Recipe | None = None) -> list[TrainedNet]:
    """Train every network that the profile declares, in order. Raises UserError (exit 4) if one does not fit the device."""
    recipe = recipe or Recipe()
    profile = Profile.load(folder)
    networks = list(compile_profile(folder).networks)
    layers = train_layers(folder, seed, say, recipe)
    nets = [_finished(network, one) for network, one in zip(networks, layers, strict=True)]
    nets = calibrate(profile, networks, nets, seed + CALIBRATION_SEED, recipe)
    check_size(nets)
    if say is not None:
        say(1.0, "networks trained")
    return nets


def train_layers(folder: Path, seed: int, say: mlp.Say | None, recipe: Recipe) -> list[list[mlp.Dense]]:
    """The layers of both networks as training leaves them, before they become integers."""
    profile = Profile.load(folder)
    free, mender = compile_profile(folder).networks
    return [
        _denoiser(profile, free, seed, recipe, _Part(say, 0.0, 0.1, free.name)),
        _mender(profile, mender, seed, recipe, _Part(say, 0.1, 0.7, mender.name)),
    ]


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


def _denoiser(profile: Profile, network: Network, seed: int, recipe: Recipe, say: mlp.Say) -> list[mlp.Dense]:
    """The context-free network, from normal commands alone."""
    clean = generate(recipe.normals, scanner=reference_scanner(), seed=seed)
    spoilt = spoil(clean, np.random.Generator(np.random.PCG64(seed)))
    wanted = gathered(profile, [network], clean)[0].targets.astype(np.int64)
    inputs = gathered(profile, [network], spoilt)[0].inputs.astype(np.int64)
    plan = replace(recipe.free, seed=seed)
    return mlp.fit(inputs, wanted, _importance(wanted), plan, None, say)


def _mender(profile: Profile, network: Network, seed: int, recipe: Recipe, say: mlp.Say) -> list[mlp.Dense]:
    """The context-sensitive network, from normals and from anomalies that no limit refuses."""
    taught = lessons.lesson(recipe.lesson, reference_scanner(), seed)
    seen = gathered(profile, [network], taught.seen)[0]
    meant = gathered(profile, [network], taught.meant)[0]
    pipeline = Pipeline(profile)
    keep = taught.is_normal | ~alarms(pipeline, taught.seen)
    inputs, wanted = seen.inputs[keep].astype(np.int64), meant.targets[keep].astype(np.int64)
    slots = [quantity.slot for quantity in network.inputs]
    passed = tuple(slots.index(target.row.slot) for target in network.targets)
    plan = replace(recipe.mend, seed=seed + 1, passed=passed)
    emphasis = np.where(taught.is_normal[keep], recipe.normal_emphasis, 1.0)
    return mlp.fit(inputs, wanted, np.ones(wanted.shape[1]), plan, None, say, emphasis)


def alarms(pipeline: Pipeline, commands: Commands) -> NDArray[np.bool_]:
    """Which commands the profile holds or blocks, (n,)."""
    rows = range(0, len(commands), CHUNK)
    parts = [pipeline.judge(commands.take(np.arange(at, min(at + CHUNK, len(commands))))).is_alarm() for at in rows]
    return np.concatenate(parts)


def _finished(network: Network, layers: list[mlp.Dense]) -> TrainedNet:
    """A trained network as integers, with thresholds still to be set."""
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
    pieces = list(held_out(profile, networks, seed, recipe.held_out))
    return [_calibrated(net, [piece[index] for piece in pieces], recipe) for index, net in enumerate(nets)]


def held_out(profile: Profile, networks: list[Network], seed: int, count: int) -> Iterator[list[Table]]:
    """Normals in pieces, objectives in equal numbers, so that rare ones are known as well; then large patients."""
    objectives = list(profile.codes("objective"))
    share = count // len(objectives)
    scanner = reference_scanner()
    for number, name in enumerate(objectives):
        yield gathered(profile, networks, generate(share, scanner=scanner, seed=seed + number, objectives=(name,)))
    for number, name in enumerate(objectives):
        more = generate(LARGE_SEARCH * share, scanner=scanner, seed=seed + 100 + number, objectives=(name,), localiser_share=0)
        size = patients.diameter_cm("abdomen", more["weight_kg"], more["height_cm"], more["age_years"])
        if (size >= LARGE_CM).any():
            yield gathered(profile, networks, more.take(size >= LARGE_CM))


def _calibrated(net: TrainedNet, pieces: list[Table], recipe: Recipe) -> TrainedNet:
    outputs = [reference.infer(net, piece.inputs) for piece in pieces]
    errors = np.concatenate([out - piece.targets.astype(np.int64) for out, piece in zip(outputs, pieces, strict=True)])
    weights = quantise.error_weights(errors, ERROR_UNIT, ERROR_QUANTILE)
    weighed = TrainedNet(net.name, net.layers, net.thresholds, weights)
    scores = np.concatenate([reference.score(weighed, p.targets, out)[0] for out, p in zip(outputs, pieces, strict=True)])
    groups = np.concatenate([piece.groups for piece in pieces])
    thresholds = net.thresholds.copy()
    budget = recipe.budget(net.name)
    thresholds[:, 0] = threshold_of(scores, budget, recipe.margin)
    for group in known_groups(groups, len(thresholds)):
        thresholds[group, 0] = threshold_of(scores[groups == group], budget, recipe.margin)
    return TrainedNet(net.name, net.layers, thresholds, weights)


def known_groups(groups: Whole, count: int) -> Whole:
    """The groups, of `count`, with enough normals for a threshold of their own."""
    fewest = max(min(FEWEST, len(groups) // (4 * count)), 1)
    return np.flatnonzero(np.bincount(groups) >= fewest)


def threshold_of(scores: Whole, budget: float, margin: float) -> int:
    """The score that at most the budget's share of these normals exceeds, with a margin for those not seen."""
    ranked = np.sort(scores)[::-1]
    return int(ranked[min(int(len(ranked) * budget), len(ranked) - 1)] * margin)


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
