"""The three runtimes of a network agree to the bit: onnxruntime, numpy and the device's own code on CPython."""

from __future__ import annotations

from array import array
from itertools import pairwise

import numpy as np
import pytest

from gantryguard.errors import UserError
from gantryguard.learning import onnx_graph, quantise, reference
from gantryguard.profiles.nets import TrainedLayer, TrainedNet
from interposer.core import network as core

WIDTHS = (24, 32, 9, 17)
INPUTS = 10_000


def random_net(seed: int, widths: tuple[int, ...] = WIDTHS, last: tuple[int, int] = quantise.RECTIFIED) -> TrainedNet:
    """Weights of the whole int8 range, biases and shifts that leave some outputs inside and saturate others."""
    dice = np.random.default_rng(seed)
    layers = []
    for index, (n_in, n_out) in enumerate(pairwise(widths)):
        weights = dice.integers(-128, 128, (n_out, n_in)).astype(np.int8)
        weights[0], weights[-1] = -128, 127
        bias = dice.integers(-200_000, 200_000, n_out).astype(np.int32)
        bounds = last if index == len(widths) - 2 else quantise.RECTIFIED
        layers.append(TrainedLayer(weights, bias, int(dice.integers(0, 14)), *bounds))
    outputs = widths[-1]
    weights_of_errors = dice.integers(0, 1 << 12, outputs).astype(np.int32)
    return TrainedNet(f"net{seed}", tuple(layers), np.array([[0, 1]], np.int32), weights_of_errors)


def inputs_for(seed: int, width: int, count: int = INPUTS) -> np.ndarray:
    """Random inputs, and in every fourth row nothing but the ends of the range, and all-0 and all-127."""
    dice = np.random.default_rng(seed + 1000)
    rows = dice.integers(0, 128, (count, width))
    rows[::4] = dice.integers(0, 2, (len(rows[::4]), width)) * 127
    rows[0], rows[1] = 0, 127
    return rows


def tables(net: TrainedNet) -> tuple[array, bytes]:
    """Layer records, biases and outputs as core reads them."""
    words = [0] * (core.LAYER_WORDS * len(net.layers))
    weights = b""
    for index, layer in enumerate(net.layers):
        at = index * core.LAYER_WORDS
        words[at + core.Y_OUT], words[at + core.Y_IN] = layer.weights.shape
        words[at + core.Y_WEIGHT_AT], words[at + core.Y_BIAS_AT] = len(weights), len(words)
        words[at + core.Y_SHIFT], words[at + core.Y_LOWEST], words[at + core.Y_HIGHEST] = (
            layer.shift,
            layer.lowest,
            layer.highest,
        )
        words += [int(value) for value in layer.bias]
        weights += layer.weights.tobytes()
    return array("i", words), weights


def by_core(net: TrainedNet, rows: np.ndarray) -> list[list[int]]:
    words, weights = tables(net)
    result = []
    for row in rows:
        here = array("i", [int(value) for value in row])
        for index, layer in enumerate(net.layers):
            at = index * core.LAYER_WORDS
            there = array("i", bytes(4 * len(layer.bias)))
            core.dense(weights, words[at + core.Y_WEIGHT_AT], words, at, here, there)
            here = there
        result.append(list(here))
    return result


@pytest.mark.parametrize("last", [quantise.RECTIFIED, quantise.SIGNED], ids=["rectified", "signed"])
@pytest.mark.parametrize("seed", range(8))
def test_onnxruntime_equals_reference(seed: int, last: tuple[int, int]) -> None:
    net = random_net(seed, last=last)
    rows = inputs_for(seed, WIDTHS[0])
    expected = reference.infer(net, rows)
    assert (expected == last[1]).any() or (expected == last[0]).any()
    model = onnx_graph.export(net)
    assert np.array_equal(onnx_graph.run(model, rows), expected)
    assert np.array_equal(onnx_graph.run(model, rows, optimise=False), expected)


@pytest.mark.parametrize("last", [quantise.RECTIFIED, quantise.SIGNED], ids=["rectified", "signed"])
def test_core_equals_reference(last: tuple[int, int]) -> None:
    net = random_net(100, last=last)
    rows = inputs_for(100, WIDTHS[0], 1200)
    assert by_core(net, rows) == reference.infer(net, rows).tolist()


@pytest.mark.parametrize("widths", [(1, 1), (1, 5, 1), (3, 2), (40, 40)])
def test_odd_shapes_agree(widths: tuple[int, ...]) -> None:
    for seed in range(4):
        net = random_net(seed, widths)
        rows = inputs_for(seed, widths[0], 130)
        expected = reference.infer(net, rows)
        assert np.array_equal(onnx_graph.run(onnx_graph.export(net), rows), expected)
        assert by_core(net, rows) == expected.tolist()


def test_scores_equal_core() -> None:
    net = random_net(7)
    outputs = reference.infer(net, inputs_for(7, WIDTHS[0], 2000))
    targets = inputs_for(8, WIDTHS[-1], 2000)
    targets[5] = outputs[5]
    scores, worst = reference.score(net, targets, outputs)
    words = array("i", bytes(4 * core.OUTPUT_WORDS * len(net.output_weights)))
    for index, weight in enumerate(net.output_weights):
        words[index * core.OUTPUT_WORDS + core.O_TARGET] = index
        words[index * core.OUTPUT_WORDS + core.O_WEIGHT] = int(weight)
    cell = array("i", [0])
    for row in range(len(targets)):
        values = array("i", [int(value) for value in targets[row]])
        output = array("i", [int(value) for value in outputs[row]])
        assert core.error_score(values, words, 0, len(output), output, cell) == scores[row]
        assert cell[0] == worst[row]


def test_export_is_deterministic() -> None:
    assert onnx_graph.export(random_net(3)) == onnx_graph.export(random_net(3))
    assert onnx_graph.export(random_net(3)) != onnx_graph.export(random_net(4))


def one_layer(bias: int, shift: int = 6, bounds: tuple[int, int] = quantise.RECTIFIED) -> TrainedNet:
    layer = TrainedLayer(np.array([[127, -128]], np.int8), np.array([bias], np.int32), shift, *bounds)
    return TrainedNet("one", (layer,), np.array([[0, 1]], np.int32), np.array([16], np.int32))


def test_proof_is_tight() -> None:
    """The largest sum is bias + 127 * 127 + half a step."""
    most = (1 << 24) - 1 - 127 * 127 - 32
    quantise.prove(one_layer(most))
    with pytest.raises(UserError, match="sums up to 16777216"):
        quantise.prove(one_layer(most + 1))
    with pytest.raises(UserError, match="sums up to"):
        quantise.prove(one_layer(-(1 << 24) + 100))


@pytest.mark.parametrize(("shift", "bounds"), [(31, (0, 127)), (-1, (0, 127)), (6, (0, 255)), (6, (-127, 127))])
def test_proof_refuses_what_the_device_cannot_do(shift: int, bounds: tuple[int, int]) -> None:
    with pytest.raises(UserError):
        quantise.prove(one_layer(0, shift, bounds))
    with pytest.raises(UserError):
        onnx_graph.export(one_layer(0, shift, bounds))
