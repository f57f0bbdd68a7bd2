"""`[[network]]` entries of `features.toml` and trained networks, compiled into core's tables of networks and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gantryguard.errors import UserError
from gantryguard.profiles.limits import REASONS
from gantryguard.profiles.link import RAW_LIMIT, Command, Link
from gantryguard.profiles.nets import TrainedLayer, TrainedNet
from gantryguard.profiles.rows import Row
from gantryguard.profiles.source import Entry
from gantryguard.profiles.vector import Quantity, Vector
from interposer.core import network as core
from interposer.core import quantities

HIGHEST_INPUT = 127
MOST_OUTPUTS = 32  # 32 * 4095^2 stays below 2^29, as core's score requires
MOST_ACCUMULATED = 1 << 24  # so that float32 runtimes are exact too
MOST_NETS = 16
SCORES = ("reconstruction", "classifier")
SHIFT = 12


@dataclass(frozen=True)
class Target:
    """A row that the network should reproduce; `inverse` (gain, bias, shift, is_log) turns an output into the field.

    `value` is the number of the output that is turned back: the target's own, or another's that says what the field should be.
    """

    row: Quantity
    field: Quantity | None
    inverse: tuple[int, int, int, int]
    value: int


@dataclass(frozen=True)
class Network:
    """A declared network: what it reads, what it should say, and on which commands it is asked."""

    name: str
    score: int
    inputs: tuple[Quantity, ...]
    targets: tuple[Target, ...]
    group: Quantity | None
    groups: int
    reason: int
    commands: tuple[Command, ...]
    entry: Entry

    def accuses(self) -> list[bool]:
        """Per target: whether its output accuses a field, and another's says what the field should be."""
        return [target.value != number for number, target in enumerate(self.targets)]

    def sources(self) -> list[int]:
        """Slots that the network reads."""
        group = [self.group.slot] if self.group else []
        return [q.slot for q in self.inputs] + [target.row.slot for target in self.targets] + group


@dataclass
class NetTables:
    """The nets section, the weights section and the widest layer, while they grow."""

    words: list[int]
    weights: bytearray = field(default_factory=bytearray)
    widest: int = 1

    def add(self, words: Sequence[int]) -> int:
        """Append words; returns their place."""
        self.words.extend(words)
        return len(self.words) - len(words)


def read_networks(root: Entry, vector: Vector, rows: Mapping[int, Row], link: Link) -> list[Network]:
    """Read every `[[network]]`; inputs and targets must be rows clamped to 0..127."""
    networks = [_network(entry, vector, rows, link) for entry in root.items("network")]
    if len(networks) > MOST_NETS or len({network.name for network in networks}) != len(networks):
        root.fail("network", f"has {len(networks)} entries or repeats a name", f"use at most {MOST_NETS}, named apart.")
    root.has("row")
    root.done()
    return networks


def _network(entry: Entry, vector: Vector, rows: Mapping[int, Row], link: Link) -> Network:
    score = SCORES.index(entry.choice("score", SCORES, SCORES[0]))
    inputs = tuple(vector.find(name, entry, "inputs") for name in entry.words("inputs"))
    for quantity in inputs:
        _check_input(quantity, entry, "inputs")
    targets: list[Target] = []
    for item in entry.items("target"):
        targets.append(_target(item, vector, rows, targets))
    group = vector.find(entry.text("group"), entry, "group") if entry.has("group") else None
    if not inputs or len(targets) > MOST_OUTPUTS or (score == core.RECONSTRUCTION) != bool(targets):
        problem = f"has {len(inputs)} inputs and {len(targets)} targets"
        remedy = f"a reconstruction has 1..{MOST_OUTPUTS} [[network.target]], a classifier none."
        entry.fail("inputs", problem, remedy)
    network = Network(
        entry.text("name"),
        score,
        inputs,
        tuple(targets),
        group,
        entry.integer("groups", 1, 1024, 1),
        REASONS[entry.choice("reason", tuple(REASONS), "ABNORMAL")],
        tuple(link.forward(entry, "on")),
        entry,
    )
    entry.text("about", "")
    entry.done()
    return network


def _check_input(quantity: Quantity, entry: Entry, key: str) -> None:
    if quantity.kind != "row" or quantity.low < 0 or quantity.high > HIGHEST_INPUT:
        problem = f"uses {quantity.name!r} ({quantity.kind}, {quantity.low}..{quantity.high})"
        entry.fail(key, problem, f"use rows clamped to 0..{HIGHEST_INPUT}.")


def _target(entry: Entry, vector: Vector, rows: Mapping[int, Row], before: Sequence[Target]) -> Target:
    row = vector.find(entry.text("row"), entry, "row")
    _check_input(row, entry, "row")
    blamed = vector.find(entry.text("field"), entry, "field") if entry.has("field") else None
    value, inverse = len(before), (0, 0, 0, 0)
    if entry.has("value"):
        value = _value(entry, blamed, before)
        inverse = before[value].inverse
    elif blamed is not None:
        found = _inverse(rows[row.slot], blamed, rows)
        if found is None:
            problem = f"{row.name} cannot be turned back into {blamed.name}"
            entry.fail("field", problem, "use a sum of that field or its log2 alone, or leave `field` out.")
        inverse = found
    entry.done()
    return Target(row, blamed, inverse, value)


def _value(entry: Entry, blamed: Quantity | None, before: Sequence[Target]) -> int:
    """The number of the target before this one whose output says what the field should be."""
    name = entry.text("value")
    found = [number for number, target in enumerate(before) if target.row.name == name and target.field == blamed]
    if blamed is None or not found:
        entry.fail("value", f"is {name!r}, no target of the same field before this one", "name the row of one.")
    return found[0]


def _inverse(row: Row, wanted: Quantity, rows: Mapping[int, Row]) -> tuple[int, int, int, int] | None:
    """field = (output * gain + bias) >> shift, for a row that is affine in the field or in its log2."""
    if row.kind != quantities.AFFINE or len(row.terms) != 1 or not row.terms[0][1]:
        return None
    slot, coefficient = row.terms[0]
    through = rows.get(slot)
    is_log = through is not None and through.kind == quantities.LOG2 and through.terms[0][0] == wanted.slot
    if slot != wanted.slot and not is_log:
        return None
    slope = (1 << row.b) / coefficient
    for shift in range(SHIFT, -1, -1):
        gain = round(slope * (1 << shift))
        bias = round(-row.a / coefficient * (1 << shift)) + ((1 << shift) >> 1)
        if abs(gain) * 256 + abs(bias) <= RAW_LIMIT:
            return gain, bias, shift, int(is_log)
    return None


def net_tables(networks: Sequence[Network], nets: Sequence[TrainedNet], name_lines: Sequence[int]) -> NetTables:
    """Compile the trained networks. Raises UserError (exit 4) for one that does not fit its declaration."""
    trained = {net.name: net for net in nets}
    if set(trained) - {network.name for network in networks}:
        extra = sorted(set(trained) - {network.name for network in networks})
        remedy = "declare it as a [[network]] in features.toml."
        raise UserError(f"A network {extra[0]!r} was trained but is not declared.", remedy=remedy, exit_code=4)
    tables = NetTables([0] * (core.NET_WORDS * len(networks)))
    for index, network in enumerate(networks):
        if network.name not in trained:
            network.entry.fail("name", f"({network.name}) was not trained", "train it, or build without networks.")
        words = _net(network, trained[network.name], tables, name_lines[index])
        tables.words[index * core.NET_WORDS : (index + 1) * core.NET_WORDS] = words
    tables.weights.extend(bytes(-len(tables.weights) % 4))
    return tables


def _net(network: Network, net: TrainedNet, tables: NetTables, name_line: int) -> list[int]:
    _check_shapes(network, net)
    words = [0] * core.NET_WORDS
    words[core.N_LAYERS] = len(net.layers)
    words[core.N_LAYER_AT] = tables.add([0] * (core.LAYER_WORDS * len(net.layers)))
    lowest, highest = 0, HIGHEST_INPUT
    for index, layer in enumerate(net.layers):
        _check_layer(network, layer, lowest, highest)
        at = words[core.N_LAYER_AT] + index * core.LAYER_WORDS
        tables.words[at : at + core.LAYER_WORDS] = _layer(layer, tables)
        lowest, highest = layer.lowest, layer.highest
    words[core.N_INPUTS] = len(network.inputs)
    words[core.N_INPUT_AT] = tables.add([quantity.slot for quantity in network.inputs])
    words[core.N_OUTPUTS] = len(network.targets)
    words[core.N_OUTPUT_AT] = tables.add(_outputs(network, net))
    words[core.N_SCORE] = network.score
    words[core.N_THRESHOLD_AT] = tables.add([int(value) for value in net.thresholds.reshape(-1)])
    words[core.N_GROUP_SLOT] = network.group.slot if network.group else -1
    words[core.N_GROUPS] = network.groups
    words[core.N_REASON], words[core.N_NAME] = network.reason, name_line
    return words


def _check_shapes(network: Network, net: TrainedNet) -> None:
    entry = network.entry
    width = len(network.inputs)
    for layer in net.layers:
        if layer.weights.ndim != 2 or layer.weights.shape[1] != width or layer.bias.shape != layer.weights.shape[:1]:
            entry.fail("inputs", f"do not fit trained weights {layer.weights.shape}", "train the network again.")
        width = layer.weights.shape[0]
    outputs = len(network.targets) if network.score == core.RECONSTRUCTION else 1
    if not net.layers or width != outputs or net.output_weights.shape != (len(network.targets),):
        entry.fail("target", f"do not fit the {width} trained outputs", "train the network again.")
    if net.thresholds.shape != (network.groups, 2) or np.any(net.thresholds[:, 0] > net.thresholds[:, 1]):
        entry.fail("groups", "do not fit the thresholds, or one holds above its block", "calibrate again.")


def _check_layer(network: Network, layer: TrainedLayer, lowest: int, highest: int) -> None:
    """Every accumulator, partial sums included, must stay below 2^24 for all inputs in lowest..highest."""
    weights = np.abs(layer.weights.astype(np.int64)).sum(axis=1)
    reach = weights * max(abs(lowest), abs(highest)) + np.abs(layer.bias.astype(np.int64)) + (1 << layer.shift >> 1)
    if int(reach.max()) >= MOST_ACCUMULATED or not 0 <= layer.shift <= 30 or layer.lowest > layer.highest:
        problem = f"({network.name}) has a layer whose sums reach {int(reach.max())} (shift {layer.shift})"
        network.entry.fail("name", problem, "train with smaller weights or biases.")


def _layer(layer: TrainedLayer, tables: NetTables) -> list[int]:
    words = [0] * core.LAYER_WORDS
    words[core.Y_OUT], words[core.Y_IN] = layer.weights.shape
    words[core.Y_WEIGHT_AT] = len(tables.weights)
    tables.weights.extend(np.ascontiguousarray(layer.weights, dtype=np.int8).tobytes())
    words[core.Y_BIAS_AT] = tables.add([int(value) for value in layer.bias])
    words[core.Y_SHIFT] = layer.shift
    words[core.Y_LOWEST], words[core.Y_HIGHEST] = layer.lowest, layer.highest
    tables.widest = max(tables.widest, *layer.weights.shape)
    return words


def _outputs(network: Network, net: TrainedNet) -> list[int]:
    words: list[int] = []
    for target, weight in zip(network.targets, net.output_weights, strict=True):
        one = [0] * core.OUTPUT_WORDS
        one[core.O_TARGET], one[core.O_WEIGHT] = target.row.slot, int(weight)
        one[core.O_FIELD] = target.field.slot if target.field else -1
        one[core.O_GAIN], one[core.O_BIAS], one[core.O_SHIFT], one[core.O_IS_LOG] = target.inverse
        one[core.O_VALUE] = target.value
        if not 0 <= one[core.O_WEIGHT] < 1 << 20:
            network.entry.fail("target", f"{target.row.name} has the weight {weight}", "keep weights below 2^20.")
        words += one
    return words
