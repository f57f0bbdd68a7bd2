"""A trained, quantised network as the compiler takes it from the learning engine."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]


@dataclass(frozen=True)
class TrainedLayer:
    """One dense layer: target = saturate(round_half_even((bias + weights . source) / 2^shift), lowest, highest).

    `weights` int8 (n_out, n_in), `bias` int32 (n_out,), `shift` 0..30. A layer with ReLU has `lowest` 0 and `highest` 127.
    """

    weights: Int8
    bias: Int32
    shift: int
    lowest: int = 0
    highest: int = 127


@dataclass(frozen=True)
class TrainedNet:
    """A network whose inputs and targets are named by the `[[network]]` entry of the same name in `features.toml`.

    `output_weights` int32 (n_targets,): weight of each target's error, in sixteenths (16 is 1.0). `thresholds` int32
    (groups, 2): (hold, block) by group; a score above a threshold counts. Empty `output_weights` for a classifier.
    """

    name: str
    layers: tuple[TrainedLayer, ...]
    thresholds: Int32
    output_weights: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))

    @property
    def macs(self) -> int:
        """Multiplications of one inference."""
        return sum(layer.weights.size for layer in self.layers)
