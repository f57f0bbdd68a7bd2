"""Runs on the device: the golden vectors of every network of the package, by both kernels, with and without `Network`."""

import gc
import struct
from array import array

from interposer.core import network, network_thumb
from interposer.core.network import (
    N_GROUP_SLOT,
    N_INPUT_AT,
    N_LAYER_AT,
    N_LAYERS,
    N_OUTPUT_AT,
    NET_WORDS,
    O_TARGET,
    OUTPUT_WORDS,
    Network,
)
from interposer.core.package import P_NETS, P_WIDEST, Package
from interposer.hal import board_record

HEAD = "<4I"  # network, inputs, outputs, rows; a row: inputs, targets, outputs, score, worst output, as int32


def _tables():
    package = Package(open("package.bin", "rb"), board_record.NAME)  # noqa: PTH123, SIM115 - the package keeps its file
    return package.table("params"), array("i", package.table("nets")), package.table("weights")


def _compact(nets, index, inputs, outputs):
    """Let a network read its inputs from the first slots and compare with the ones behind them."""
    net = index * NET_WORDS
    for i in range(inputs):
        nets[nets[net + N_INPUT_AT] + i] = i
    for i in range(outputs):
        nets[nets[net + N_OUTPUT_AT] + i * OUTPUT_WORDS + O_TARGET] = inputs + i
    nets[net + N_GROUP_SLOT] = -1


def _each(check):
    """Ask `check(index, values, inputs, outputs)` of every row for (outputs, score, worst); rows checked."""
    checked = 0
    with open("golden.bin", "rb") as file:  # noqa: PTH123 - no pathlib on the device
        while True:
            head = file.read(16)
            if not head:
                return checked
            index, inputs, outputs, rows = struct.unpack(HEAD, head)
            for _ in range(rows):
                values = array("i", file.read(4 * (inputs + outputs)))
                expected = file.read(4 * outputs)
                score, worst = struct.unpack("<2i", file.read(8))
                given, given_score, given_worst = check(index, values, inputs, outputs)
                assert bytes(given)[: 4 * outputs] == expected, (index, checked)
                assert given_score is None or (given_score, given_worst) == (score, worst), (index, checked)
                checked += 1


def _kernel_alone(kernel):
    params, nets, weights = _tables()
    here = array("i", bytes(4 * params[P_WIDEST]))
    there = array("i", bytes(4 * params[P_WIDEST]))

    def check(index, values, inputs, _outputs):
        for i in range(inputs):
            here[i] = values[i]
        net = index * NET_WORDS
        swapped = kernel(weights, nets, nets[net + N_LAYER_AT], nets[net + N_LAYERS], here, there)
        return (there if swapped else here), None, None

    return _each(check)


def _whole(kernel):
    params, nets, weights = _tables()
    done = set()
    engines = []

    def check(index, values, inputs, outputs):
        if index not in done:
            done.add(index)
            _compact(nets, index, inputs, outputs)
            gc.collect()
            engines[:] = [Network(nets, weights, params[P_WIDEST], params[P_NETS], kernel)]
        engine = engines[0]
        engine.first_suspect(0, 1 << index, values)
        return engine.output(), engine.scores[index], engine.worst()

    return _each(check)


def test_readable_kernel():
    return _kernel_alone(network.layers)


def test_optimised_kernel():
    return _kernel_alone(network_thumb.layers)


def test_readable_network():
    return _whole(network.layers)


def test_optimised_network():
    return _whole(network_thumb.layers)
