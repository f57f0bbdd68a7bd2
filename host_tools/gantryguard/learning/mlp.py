"""Quantisation-aware training of small dense networks, reproducible to the byte on any computer.

The forward pass is the device's own integer arithmetic (int8 weights, activations 0..127, shift, round half to even);
gradients pass straight through the rounding. Sums of floating-point numbers depend on their order, hence on the BLAS
and on the processor; here they cannot, because every sum is exact: activations are integers, weights multiples of
2^-SHIFT, errors are rounded to multiples of 2^-ERROR_BITS, and no sum needs more than the 53 bits of a float64.
Gradients, parameters and Adam's moments are then rounded to lattices as well, so that even disturbed sums come back
to the same points. The rest is multiplication, division and square roots element by element, which IEEE 754 fixes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Whole = NDArray[np.int64]
Say = Callable[[float, str], None]

SHIFT = 6  # weights are multiples of 1/64, up to +-127/64
HIGHEST_WEIGHT = 127
HIGHEST = 127  # activation
UNIT = 64  # the constant input whose weight is the bias
ERROR_BITS = 10  # errors are multiples of 2^-10 ...
LARGEST_ERROR = 2048.0  # ... and no larger than this: 2^21 steps x 2^7 x 2^12 rows of a batch stay below 2^53
LARGEST_BATCH = 4096
LATTICE_BITS = 24  # parameters
MOMENT_BITS = 44  # gradients and moments: the square of a small gradient must not vanish
DECAY, SQUARE_DECAY = 0.9, 0.999
TINY = 2.0**-20
ODDS_STEPS = 16  # an accusing output's unit: this many steps multiply the odds by e
SURE = 4095  # sixteenths of a step: beyond it the probability does not change
ACCUSED = 64.0  # an accusation that is wrong for sure counts as an error of so many steps
# An accusing output where the weighted odds are even: what is less likely, down to 1 in 115, must not all be rectified to 0.
EVEN = 76  # 32 + ODDS_STEPS x ln(`train.Recipe.normal`), so that scores stay as large as where normals weigh 1
CHANCE = np.rint(1024 / (1 + np.exp((np.arange(SURE, -SURE - 1, -1) / 16 + EVEN) / ODDS_STEPS))) / 1024  # as on any computer


@dataclass(frozen=True)
class Plan:
    """How to train: neurons of the hidden layers, passes over the data, rows per step, first step width, seed.

    `passed`: per output the input that reaches it unchanged, so that the network only learns what to add; or nothing.
    """

    hidden: tuple[int, ...]
    epochs: int
    batch: int = 256
    rate: float = 0.004
    seed: int = 1
    passed: tuple[int, ...] = ()


@dataclass
class Dense:
    """A layer in training: `weights` (n_out, n_in + 1), the last column being the bias as the weight of UNIT."""

    weights: Real
    is_output: bool
    frozen: NDArray[np.bool_] | None = None

    def steps(self) -> Real:
        """The weights in whole steps of 2^-SHIFT, as whole numbers in float64; the bias in steps of its own input."""
        steps = np.rint(self.weights * (1 << SHIFT))
        steps[:, :-1] = np.clip(steps[:, :-1], -HIGHEST_WEIGHT, HIGHEST_WEIGHT)
        steps[:, -1] = np.rint(self.weights[:, -1] * ((1 << SHIFT) * UNIT)) / UNIT
        return steps

    def forward(self, source: Real, steps: Real) -> Real:
        """Sums / 2^SHIFT of activations (n, n_in); hidden layers rounded and saturated as the device does it."""
        total: Real = (source @ steps[:, :-1].T + steps[:, -1] * UNIT) / (1 << SHIFT)
        return total if self.is_output else np.clip(np.rint(total), 0, HIGHEST)


def on_lattice(values: Real, bits: int) -> Real:
    """The nearest multiples of 2^-bits."""
    return np.asarray(np.rint(values * float(1 << bits)) / float(1 << bits))


def gradient_sums(errors: Real, source: Real) -> Real:
    """Sum over a batch of error x activation: (n_out, n_in + 1) from (n, n_out) and (n, n_in), exact."""
    sums: Real = np.concatenate([errors.T @ source, errors.sum(axis=0)[:, None] * UNIT], axis=1)
    return sums


def fit(
    inputs: Whole,
    targets: Whole,
    importance: Real,
    plan: Plan,
    say: Say | None = None,
    emphasis: Real | None = None,
    accused: NDArray[np.bool_] | None = None,
) -> list[Dense]:
    """Train a network that gives `targets` (n, n_out) for `inputs` (n, n_in), whole numbers 0..127.

    `importance` (n_out,): weight of each target's error, rounded to sixteenths; `emphasis` (n,) the same for rows.
    `accused` (n, k): truths that k further outputs learn to tell, as logarithms of the odds, EVEN being even (logistic loss);
    rows then weigh at most 32, so that no error is cut off.
    `say(done 0..1, text)` is told of progress.
    Raises ValueError for values or a batch outside what keeps sums exact.
    """
    _check(inputs, targets, plan)
    dice = np.random.Generator(np.random.PCG64(plan.seed))
    truths = np.zeros((len(inputs), 0), dtype=np.bool_) if accused is None else accused
    layers = _fresh((inputs.shape[1], *plan.hidden, targets.shape[1] + truths.shape[1]), dice)
    for index, layer in enumerate(layers):
        pass_through(layer, index, plan.passed)
    adam = [_Moments(layer) for layer in layers]
    steps_in_all = plan.epochs * (len(inputs) // plan.batch)
    weights = on_lattice(np.minimum(importance, LARGEST_ERROR / 256), 4)
    weight_of_row = on_lattice(np.ones(len(inputs)) if emphasis is None else emphasis, 4)
    if accused is not None and weight_of_row.max() * ACCUSED > LARGEST_ERROR:
        raise ValueError(f"a row weighs {weight_of_row.max()}: at most {LARGEST_ERROR / ACCUSED}")
    done = 0
    for epoch in range(plan.epochs):
        order = dice.permutation(len(inputs))
        for start in range(0, len(inputs) - plan.batch + 1, plan.batch):
            rows = order[start : start + plan.batch]
            rate = plan.rate * (1.0 - done / steps_in_all) + plan.rate * 0.01
            seen, wanted = inputs[rows].astype(np.float64), targets[rows].astype(np.float64)
            lesson = _Lesson(seen, wanted, truths[rows], weights, weight_of_row[rows, None])
            _step(layers, adam, lesson, rate)
            done += 1
        if say is not None:
            say((epoch + 1) / plan.epochs, f"pass {epoch + 1} of {plan.epochs}")
    return layers


def _check(inputs: Whole, targets: Whole, plan: Plan) -> None:
    for name, values in (("inputs", inputs), ("targets", targets)):
        if values.ndim != 2 or values.size == 0 or values.min() < 0 or values.max() > HIGHEST:
            raise ValueError(f"{name} must be a table of whole numbers 0..{HIGHEST}")
    if not 1 <= plan.batch <= min(LARGEST_BATCH, len(inputs)):
        raise ValueError(f"a batch of {plan.batch} rows: at most {min(LARGEST_BATCH, len(inputs))}")


def _fresh(widths: tuple[int, ...], dice: np.random.Generator) -> list[Dense]:
    layers = []
    for index, (n_in, n_out) in enumerate(pairwise(widths)):
        reach = float(np.sqrt(6.0 / (n_in + n_out)))
        weights = (dice.random((n_out, n_in + 1)) * 2 - 1) * reach
        weights[:, -1] = 0.25
        layers.append(Dense(on_lattice(weights, LATTICE_BITS), index == len(widths) - 2))
    return layers


def pass_through(layer: Dense, index: int, passed: tuple[int, ...]) -> None:
    """Fix the first neurons of a layer to what they pass on: `passed` inputs, or the first neurons of the layer before."""
    if not passed:
        return
    count = len(passed)
    frozen = np.zeros(layer.weights.shape, dtype=np.bool_)
    if layer.is_output:
        frozen[:, :count] = True  # an output hears its own neuron and no other's
    else:
        frozen[:count] = True
    layer.weights[frozen] = 0.0
    for neuron, source in enumerate(passed):
        layer.weights[neuron, neuron if index else source] = 1.0
    if layer.is_output:
        layer.weights[:, count:] = 0.0  # at first nothing is added
    layer.frozen = frozen


class _Moments:
    """Adam's state of one layer."""

    def __init__(self, layer: Dense) -> None:
        self.mean = np.zeros_like(layer.weights)
        self.square = np.zeros_like(layer.weights)
        self.mean_left = self.square_left = 1.0  # decay to the power of the steps, by multiplication alone

    def update(self, layer: Dense, gradient: Real, rate: float) -> None:
        self.mean_left *= DECAY
        self.square_left *= SQUARE_DECAY
        self.mean = on_lattice(self.mean * DECAY + gradient * (1 - DECAY), MOMENT_BITS)
        self.square = on_lattice(self.square * SQUARE_DECAY + gradient * gradient * (1 - SQUARE_DECAY), MOMENT_BITS)
        spread = np.sqrt(self.square / (1 - self.square_left)) + TINY
        moved = layer.weights - rate * (self.mean / (1 - self.mean_left)) / spread
        reach = HIGHEST_WEIGHT / (1 << SHIFT)
        moved[:, :-1] = np.clip(moved[:, :-1], -reach, reach)
        if layer.frozen is not None:
            moved = np.where(layer.frozen, layer.weights, moved)
        layer.weights = on_lattice(moved, LATTICE_BITS)


class _Lesson(NamedTuple):
    """One batch: inputs (n, n_in), targets (n, n_out), truths (n, k), weights of targets (n_out,) and of rows (n, 1)."""

    inputs: Real
    targets: Real
    truths: NDArray[np.bool_]
    importance: Real
    emphasis: Real

    def errors(self, outputs: Real) -> Real:
        """The loss's slope for each output, (n, n_out + k)."""
        count = self.targets.shape[1]
        errors = (outputs[:, :count] - self.targets) * self.importance
        odds = np.clip(np.rint(outputs[:, count:] * 16), -SURE, SURE).astype(np.int64)
        wrong = (CHANCE[odds + SURE] - self.truths) * ACCUSED
        both = np.concatenate([errors, wrong], axis=1) * self.emphasis
        return np.asarray(np.clip(both, -LARGEST_ERROR, LARGEST_ERROR))


def _step(layers: list[Dense], adam: list[_Moments], lesson: _Lesson, rate: float) -> None:
    """One update by the gradient of the mean loss."""
    steps = [layer.steps() for layer in layers]
    sources = [lesson.inputs]
    for layer, whole in zip(layers, steps, strict=True):
        sources.append(layer.forward(sources[-1], whole))
    errors = lesson.errors(sources[-1])
    for index in reversed(range(len(layers))):
        errors = on_lattice(errors, ERROR_BITS)
        sums = on_lattice(gradient_sums(errors, sources[index]), ERROR_BITS)
        if index:
            inside = (sources[index] > 0) & (sources[index] < HIGHEST)
            back = errors @ (steps[index][:, :-1] / (1 << SHIFT))
            errors = np.where(inside, np.clip(back, -LARGEST_ERROR, LARGEST_ERROR), 0.0)
        adam[index].update(layers[index], on_lattice(sums / (len(errors) * HIGHEST), MOMENT_BITS), rate)
