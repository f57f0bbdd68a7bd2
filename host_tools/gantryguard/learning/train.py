"""Trains the networks of a profile on generated commands, and sets their thresholds.

The context-free network is a denoising autoencoder: it sees normal commands, perhaps spoilt (`spoil`), and gives the normal
one; it never sees an anomaly. Its score is how far a command is from what the network says, and the largest weighted error
names the blamed field. The context-sensitive one also sees objective and patient and learns from generated anomalies too
(`lessons`): some outputs accuse a field each and make its score, the others say what the fields should have been, for the
proposal. It learns every command with the usual dose of its own site, as after commissioning, and one in a few with that of
all sites as well, as before. Data, order, weights and thresholds follow from the seed. Some six minutes on one core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantryguard.clinic import objectives
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.clinic.schema import OBJECTIVES
from gantryguard.errors import UserError
from gantryguard.learning import lessons, mlp, quantise, reference
from gantryguard.learning.features import CONTEXT_FREE, LARGE, SLIM, trunk_groups
from gantryguard.learning.pipeline import Pipeline
from gantryguard.learning.readings import CHUNK, Guards, Table
from gantryguard.learning.spoil import spoil
from gantryguard.profiles.nets import TrainedNet
from gantryguard.profiles.networks import Network
from gantryguard.profiles.package import compile_profile

Whole = NDArray[np.int64]
Real = NDArray[np.float64]
NEVER = (1 << 30) - 1  # above every score: no block; the largest small integer of the device
MOST_MACS, MOST_BYTES = 6000, 16384
ERROR_UNIT = 64  # the error that output weights give to an error at the quantile below
ERROR_QUANTILE = 0.999
UNWEIGHTED = 16  # sixteenths
BIAS_BYTES = 4
CALIBRATION_SEED = 1000  # added to the seed of training
FEWEST = 2_000  # normals that a group or a pool needs for a threshold of its own


FREE = mlp.Plan((20, 8, 20), epochs=20, rate=0.004)
SENSITIVE = mlp.Plan((60, 32), epochs=200, batch=1024, rate=0.002)


@dataclass(frozen=True)
class Pool:
    """Groups with one threshold: shares of their held-out normals that a network may hold, of all together and of any one.

    The share of all together is held exactly, so that their threshold may lie below that of the groups of no pool.
    """

    groups: frozenset[int]
    share: float
    most: float


@dataclass(frozen=True)
class Budget:
    """Shares of held-out normals that a network may hold: of all, of any group at most, and of some groups (disjoint pools)."""

    overall: float
    most: float
    pools: tuple[Pool, ...] = ()

    def bounds(self, groups: Whole, scores: Whole | Real, common: float, margin: float) -> dict[int, float]:
        """Threshold by group. `groups` and `scores` (n,) are of held-out normals, `common` is for the groups of no pool.

        A group with too few normals to be checked gets the higher one of `common` and of its pool's threshold.
        """
        floors = {int(one): common for one in np.unique(groups)}
        most = dict.fromkeys(floors, self.most)
        for pool in self.pools:
            inside = np.isin(groups, list(pool.groups))
            if inside.sum() >= FEWEST:
                together = threshold_of(scores[inside], pool.share, margin)
                floors |= dict.fromkeys(pool.groups & floors.keys(), together)
                most |= dict.fromkeys(pool.groups & floors.keys(), pool.most)
        found = {}
        for one, floor in floors.items():
            own = scores[groups == one]
            checked = threshold_of(own, most[one], margin) if len(own) >= FEWEST else common
            found[one] = max(floor, checked)
        return found


def _trunks(size: int, share: float, most: float, *, known: bool) -> Pool:
    """The trunks of a size of patients."""
    return Pool(frozenset(trunk_groups(objectives.tables(), size, known=known)), share, most)


FREE_BUDGET = Budget(0.00003, 0.00003)
SHIPPED = Budget(0.0011, 0.0018, (_trunks(LARGE, 0.0016, 0.0024, known=False), _trunks(SLIM, 0.002, 0.0028, known=False)))
COMMISSIONED = Budget(0.0005, 0.0015, (_trunks(LARGE, 0.0008, 0.0025, known=True), _trunks(SLIM, 0.0032, 0.006, known=True)))


@dataclass(frozen=True)
class Recipe:
    """How much data, and how each network is built."""

    normals: int = 120_000
    lesson: lessons.Amounts = field(default_factory=lessons.Amounts)
    held_out: int = 720_000
    free: mlp.Plan = FREE
    sensitive: mlp.Plan = SENSITIVE
    shipped: Budget = SHIPPED  # of the context-sensitive network, where the site is unknown
    commissioned: Budget = COMMISSIONED  # and where it is known
    margin: float = 1.02
    mending: float = 0.25  # weight of what fields should have been, beside which of them are wrong
    gross: float = 4.0  # weight of anomalies of grades 1 to 3 that no limit refuses
    normal: float = 16.0  # weight of normals: the odds are then even near the thresholds, where training is most exact
    unknown_of: int = 4  # one in so many commands is taught where the site is unknown as well
    refused_of: int = 8  # one in so many anomalies is taught though a limit refuses it: a proposal for it is wanted as well

    def budget(self, name: str, *, known: bool) -> Budget:
        """The budget of a network at known sites or at unknown ones."""
        if name == CONTEXT_FREE:
            return FREE_BUDGET
        return self.commissioned if known else self.shipped


def train_profile(folder: Path, seed: int, say: mlp.Say | None = None, recipe: Recipe | None = None) -> list[TrainedNet]:
    """Train every network that the profile declares, in order. Raises UserError (exit 4) if one does not fit the device."""
    recipe = recipe or Recipe()
    networks = list(compile_profile(folder).networks)
    layers = train_layers(folder, seed, say, recipe)
    nets = [_finished(network, one) for network, one in zip(networks, layers, strict=True)]
    nets = calibrate(Guards.of(folder), networks, nets, seed + CALIBRATION_SEED, recipe)
    check_size(nets)
    if say is not None:
        say(1.0, "networks trained")
    return nets


def train_layers(folder: Path, seed: int, say: mlp.Say | None, recipe: Recipe) -> list[list[mlp.Dense]]:
    """The layers of both networks as training leaves them, before they become integers."""
    guards = Guards.of(folder)
    free, sensitive = compile_profile(folder).networks
    return [
        _denoiser(guards, free, seed, recipe, _Part(say, 0.0, 0.1, free.name)),
        _accuser(guards, sensitive, seed, recipe, _Part(say, 0.1, 0.7, sensitive.name)),
    ]


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


def _denoiser(guards: Guards, network: Network, seed: int, recipe: Recipe, say: mlp.Say) -> list[mlp.Dense]:
    """The context-free network, from normal commands alone."""
    clean = generate(recipe.normals, scanner=reference_scanner(), seed=seed)
    spoilt = spoil(clean, np.random.Generator(np.random.PCG64(seed)))
    wanted = guards.read([network], clean)[0].targets.astype(np.int64)
    inputs = guards.read([network], spoilt)[0].inputs.astype(np.int64)
    plan = replace(recipe.free, seed=seed)
    return mlp.fit(inputs, wanted, _importance(wanted), plan, say)


def _accuser(guards: Guards, network: Network, seed: int, recipe: Recipe, say: mlp.Say) -> list[mlp.Dense]:
    """The context-sensitive network, from normals and from anomalies, most of which no limit refuses."""
    mended = [target for target, accuses in zip(network.targets, network.accuses(), strict=True) if not accuses]
    fields = [target.field.name for target in mended if target.field]
    taught = lessons.lesson(recipe.lesson, reference_scanner(), seed, fields)
    is_normal = taught.is_normal()
    refused = alarms(Pipeline(guards.shipped), taught.seen.commands) & ~is_normal
    keep = ~refused
    keep[:: recipe.refused_of] = True
    seen, accused = taught.seen.take(keep), taught.accused[keep]
    wanted = guards.read([network], taught.meant.take(keep))[0].targets[:, : len(mended)].astype(np.int64)
    rows = np.arange(len(accused))
    unknown = rows[:: recipe.unknown_of]
    before = guards.read([network], seen.commands.take(unknown))[0].inputs
    after = guards.read([network], seen.commands, seen.level)[0].inputs
    told = np.concatenate([unknown, rows])
    slots = [quantity.slot for quantity in network.inputs]
    passed = tuple(slots.index(target.row.slot) for target in mended)
    plan = replace(recipe.sensitive, seed=seed + 1, passed=passed)
    weights = np.select([is_normal, taught.is_gross & ~refused], [recipe.normal, recipe.gross], 1.0)
    return mlp.fit(
        np.concatenate([before, after]),
        wanted[told],
        np.full(len(mended), recipe.mending),
        plan,
        say=say,
        emphasis=(taught.emphasis * weights)[keep][told],
        accused=accused[told],
    )


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


def _importance(targets: Whole) -> Real:
    """Weights of the training errors: small where a target varies much."""
    spread = np.sort(np.abs(targets - np.median(targets, axis=0)), axis=0)[int(len(targets) * 0.8)]
    return np.asarray(np.clip(16.0 / np.maximum(spread, 4), 0.5, 4.0), dtype=np.float64)


@dataclass(frozen=True)
class Held:
    """Tables of normals that nothing was trained on, one per network.

    `is_extra`: of patients whose groups would be too small otherwise, so that their share says nothing.
    `at_known_sites`: as a commissioned guard sees them.
    """

    tables: list[Table]
    is_extra: bool
    at_known_sites: bool


def calibrate(guards: Guards, networks: list[Network], nets: list[TrainedNet], seed: int, recipe: Recipe) -> list[TrainedNet]:
    """Weights of the errors and thresholds by group, from normals that the training never saw."""
    held = list(held_out(guards, networks, seed, recipe.held_out))
    return [
        _calibrated(network, net, held, index, recipe) for index, (network, net) in enumerate(zip(networks, nets, strict=True))
    ]


def held_out(guards: Guards, networks: list[Network], seed: int, count: int) -> Iterator[Held]:
    """Normals, objectives in equal numbers so that rare ones are known as well, at unknown and at known sites."""
    share = count // len(OBJECTIVES)
    scanner = reference_scanner()
    for number, name in enumerate(OBJECTIVES):
        plain = generate(share, scanner=scanner, seed=seed + number, objectives=(name,))
        yield Held(guards.read(networks, plain), is_extra=False, at_known_sites=False)
        placed = lessons.at_sites(share, name, scanner, seed + 100 + number, seed + 60_000)
        yield Held(guards.read(networks, placed.commands, placed.level), is_extra=False, at_known_sites=True)
        more = lessons.unusual_patients(share, name, scanner, seed + 300 + number, seed + 60_000)
        if len(more.commands):
            yield Held(guards.read(networks, more.commands), is_extra=True, at_known_sites=False)
            yield Held(guards.read(networks, more.commands, more.level), is_extra=True, at_known_sites=True)


def _calibrated(network: Network, net: TrainedNet, held: list[Held], index: int, recipe: Recipe) -> TrainedNet:
    pieces = [piece.tables[index] for piece in held]
    outputs = [reference.infer(net, piece.inputs) for piece in pieces]
    weighed = replace(net, output_weights=_output_weights(network, outputs, pieces))
    scores = [reference.score(weighed, piece.targets, out)[0] for piece, out in zip(pieces, outputs, strict=True)]
    found = net.thresholds.copy()
    found[:, 0] = thresholds(scores, held, index, network, recipe)
    return replace(weighed, thresholds=found)


def _output_weights(network: Network, outputs: list[Whole], pieces: list[Table]) -> NDArray[np.int32]:
    """Errors of a plain reconstruction weigh by how rare they are; where outputs accuse, only these count, all alike."""
    accuses = np.array(network.accuses())
    if accuses.any():
        return np.where(accuses, UNWEIGHTED, 0).astype(np.int32)
    errors = np.concatenate([out - piece.targets.astype(np.int64) for out, piece in zip(outputs, pieces, strict=True)])
    return quantise.error_weights(errors, ERROR_UNIT, ERROR_QUANTILE)


def thresholds(scores: Sequence[Whole | Real], held: list[Held], index: int, network: Network, recipe: Recipe) -> Real:
    """Thresholds by group, (groups,), from scores of the held-out pieces.

    One threshold for all groups finds most for a share of false alarms; a group of which it would hold too many gets another,
    and so do the groups of a pool together.
    """
    found = np.full(network.groups, NEVER, dtype=np.float64)
    for known in (True, False):  # the unknown sites last: localisers are of no site
        budget = recipe.budget(network.name, known=known)
        chosen = [number for number, piece in enumerate(held) if piece.at_known_sites == known]
        plain = np.concatenate([scores[number] for number in chosen if not held[number].is_extra])
        common = threshold_of(plain, budget.overall, recipe.margin)
        group = np.concatenate([held[number].tables[index].groups for number in chosen])
        score = np.concatenate([scores[number] for number in chosen])
        for one, bound in budget.bounds(group, score, common, recipe.margin).items():
            found[one] = bound
    return np.where(found == NEVER, found[found < NEVER].max(), found)


def threshold_of(scores: Whole | Real, budget: float, margin: float) -> float:
    """The score that at most the budget's share of these normals exceeds, with a margin for those not seen."""
    ranked = np.sort(scores)[::-1]
    return float(np.floor(ranked[min(int(len(ranked) * budget), len(ranked) - 1)] * margin))


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
