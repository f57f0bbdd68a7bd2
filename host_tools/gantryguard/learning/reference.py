"""Integer inference and scores of many rows at once, equal to `interposer.core.network` bit for bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gantryguard.profiles.nets import TrainedLayer, TrainedNet

Whole = NDArray[np.int64]
ERROR_CAP = 4095  # as core's `error_score`; 32 outputs of it stay below 2^29


def dense(layer: TrainedLayer, source: Whole) -> Whole:
    """One layer for activations int64 (n, n_in): int64 (n, n_out)."""
    # float64 holds every sum exactly (below 2^24) and is many times faster than integers in numpy.
    sums = source.astype(np.float64) @ layer.weights.astype(np.float64).T
    total: Whole = sums.astype(np.int64) + layer.bias
    if layer.shift:
        total = (total + (1 << (layer.shift - 1)) - 1 + ((total >> layer.shift) & 1)) >> layer.shift
    return np.clip(total, layer.lowest, layer.highest)


def infer(net: TrainedNet, inputs: NDArray[np.integer]) -> Whole:
    """Outputs int64 (n, n_out) of a network for inputs 0..127 of shape (n, n_in)."""
    values = np.asarray(inputs, dtype=np.int64)
    for layer in net.layers:
        values = dense(layer, values)
    return values


def score(net: TrainedNet, targets: NDArray[np.integer], outputs: NDArray[np.integer]) -> tuple[Whole, Whole]:
    """(scores, number of the worst output), each int64 (n,), of a reconstruction; targets and outputs (n, n_out)."""
    errors = np.abs(np.asarray(targets, dtype=np.int64) - outputs) * net.output_weights.astype(np.int64) >> 4
    capped = np.minimum(errors, ERROR_CAP)
    return np.sum(capped * capped, axis=1), np.argmax(errors, axis=1)
