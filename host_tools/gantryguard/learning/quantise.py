"""From a trained network to the integers of the device, with a proof that they fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gantryguard.errors import UserError
from gantryguard.learning import mlp
from gantryguard.profiles.nets import TrainedLayer, TrainedNet
from gantryguard.profiles.networks import HIGHEST_INPUT, MOST_ACCUMULATED

SIGNED = (-128, 127)
RECTIFIED = (0, 127)
MOST_SHIFT = 30


def quantise(layers: Sequence[mlp.Dense]) -> tuple[TrainedLayer, ...]:
    """Integer layers that compute what the trained ones do; the last one's outputs are whole numbers 0..127."""
    low, high = RECTIFIED
    whole = []
    for layer in layers:
        steps = layer.steps()
        bias = np.rint(steps[:, -1] * mlp.UNIT).astype(np.int32)
        whole.append(TrainedLayer(steps[:, :-1].astype(np.int8), bias, mlp.SHIFT, low, high))
    return tuple(whole)


def reach(layer: TrainedLayer, lowest: int, highest: int) -> int:
    """Largest magnitude of any partial sum of a layer whose activations lie in lowest..highest, rounding included."""
    weights = layer.weights.astype(np.int64)
    up = np.maximum(weights * lowest, weights * highest).clip(min=0).sum(axis=1)
    down = np.minimum(weights * lowest, weights * highest).clip(max=0).sum(axis=1)
    half = 1 << layer.shift >> 1
    bias = layer.bias.astype(np.int64)
    return int(max(np.abs(bias + up + half).max(), np.abs(bias + down).max(), np.abs(bias).max()))


def prove(net: TrainedNet) -> None:
    """Check that no accumulator of a network can reach 2^24, below which float32 and int32 are both exact.

    Raises UserError (exit 4) for accumulators, shifts or bounds that the device or a float runtime could not hold.
    """
    lowest, highest = 0, HIGHEST_INPUT
    for index, layer in enumerate(net.layers):
        bounds = (layer.lowest, layer.highest)
        fits = 0 <= layer.shift <= MOST_SHIFT and bounds in (SIGNED, RECTIFIED)
        reached = reach(layer, lowest, highest) if fits else 0
        if not fits or reached >= MOST_ACCUMULATED:
            raise UserError(
                f"Layer {index + 1} of network {net.name} has sums up to {reached}, shift {layer.shift}, bounds {bounds}.",
                remedy=f"Train it with sums below {MOST_ACCUMULATED}, shift 0..{MOST_SHIFT}, bounds {SIGNED} or {RECTIFIED}.",
                exit_code=4,
            )
        lowest, highest = bounds


def error_weights(errors: NDArray[np.int64], unit: int, share: float) -> NDArray[np.int32]:
    """Weights in sixteenths (n_out,) that scale each output's error at the quantile `share` to `unit`.

    `errors` int64 (n, n_out): output - target of normal commands. An error of less than one step counts as one step.
    """
    ranked = np.sort(np.abs(errors), axis=0)
    typical = np.maximum(ranked[min(int(len(ranked) * share), len(ranked) - 1)], 1)
    return np.asarray((unit * 16 + typical // 2) // typical, dtype=np.int32)
