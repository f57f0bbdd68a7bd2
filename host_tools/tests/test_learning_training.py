"""The trainer: learns, is reproducible to the byte, and shrugs off the last bits of a sum."""

from __future__ import annotations

import numpy as np
import pytest

from gantryguard.learning import mlp, quantise, reference
from gantryguard.profiles.nets import TrainedNet

PLAN = mlp.Plan(hidden=(12, 4, 12), epochs=6, batch=64, seed=3)


def data(rows: int = 4000) -> np.ndarray:
    """Eight columns that follow two hidden ones."""
    dice = np.random.default_rng(5)
    hidden = dice.integers(0, 128, (rows, 2))
    mixed = [hidden[:, 0], hidden[:, 1], hidden.sum(axis=1) // 2, 127 - hidden[:, 0]]
    return np.stack(mixed + mixed[::-1], axis=1).astype(np.int64)


def train(rows: np.ndarray, plan: mlp.Plan = PLAN) -> list[mlp.Dense]:
    return mlp.fit(rows, rows, np.ones(rows.shape[1]), plan)


def content(layers: list[mlp.Dense]) -> bytes:
    return b"".join(layer.weights.tobytes() for layer in layers)


def as_net(layers: list[mlp.Dense]) -> TrainedNet:
    width = len(layers[-1].weights)
    return TrainedNet("net", quantise.quantise(layers), np.array([[0, 1]], np.int32), np.full(width, 16, np.int32))


def test_learns_to_reconstruct() -> None:
    rows = data()
    outputs = reference.infer(as_net(train(rows, mlp.Plan((12, 4, 12), 20, 64, seed=3))), rows)
    assert np.abs(outputs - rows).mean() < 0.25 * np.abs(rows - rows.mean(axis=0)).mean()


def test_learns_to_mend() -> None:
    """With spoilt inputs the network gives what the field should have been."""
    rows = data()
    dice = np.random.default_rng(6)
    spoilt = np.where(dice.random(rows.shape) < 0.1, dice.permutation(rows), rows)
    layers = mlp.fit(spoilt, rows, np.ones(8), mlp.Plan((16, 6, 16), 30, 64, seed=3))
    wrong = rows.copy()
    wrong[:, 0] = 127 - wrong[:, 0]
    mended = reference.infer(as_net(layers), wrong)[:, 0]
    assert np.abs(mended - rows[:, 0]).mean() < 0.5 * np.abs(wrong[:, 0] - rows[:, 0]).mean()


def test_a_network_that_passes_its_inputs_on_learns_only_what_to_add() -> None:
    """Untrained it repeats them; trained it changes the one that is wrong; the fixed weights stay as they are."""
    rows = data()
    wrong = rows.copy()
    wrong[::3, 0] = 127 - wrong[::3, 0]
    plan = mlp.Plan((20, 14), 0, 64, seed=3, passed=tuple(range(8)))
    ones = np.ones(8)
    assert np.array_equal(reference.infer(as_net(mlp.fit(wrong, rows, ones, plan)), wrong), wrong)
    layers = mlp.fit(wrong, rows, ones, mlp.Plan((20, 14), 20, 64, 0.001, 3, tuple(range(8))))
    outputs = reference.infer(as_net(layers), wrong)
    assert np.abs(outputs - rows)[::3, 0].mean() < 0.5 * np.abs(wrong - rows)[::3, 0].mean()
    for layer in layers:
        assert layer.frozen is not None
        assert set(layer.weights[layer.frozen].tolist()) == {0.0, 1.0}


def test_rows_of_more_weight_are_learnt_better() -> None:
    rows = data()
    targets = rows.copy()
    targets[::2] = 127 - targets[::2]
    for chosen in (0, 1):
        emphasis = np.where(np.arange(len(rows)) % 2 == chosen, 8.0, 0.5)
        outputs = reference.infer(as_net(mlp.fit(rows, targets, np.ones(8), PLAN, emphasis=emphasis)), rows)
        errors = np.abs(outputs - targets).mean(axis=1)
        assert errors[chosen::2].mean() < errors[1 - chosen :: 2].mean()


def test_outputs_learn_to_accuse_by_the_odds() -> None:
    """Truths that follow from the inputs with a known chance: the output over its unit is the logarithm of the odds."""
    rows = data()
    dice = np.random.default_rng(6)
    chance = np.where(rows[:, 0] > 64, 0.9, 0.2)
    truths = (dice.random(len(rows)) < chance)[:, None]
    layers = mlp.fit(rows, rows[:, :2], np.full(2, 0.25), mlp.Plan((16, 8), 30, 64, 0.002, 3), accused=truths)
    values = rows.astype(np.float64)
    for layer in layers:
        values = layer.forward(values, layer.steps())
    assert values.shape == (len(rows), 3)
    for high, expected in ((True, 0.9), (False, 0.2)):
        odds = (np.median(values[(rows[:, 0] > 80) if high else (rows[:, 0] < 48), 2]) - mlp.EVEN) / mlp.ODDS_STEPS
        assert 1 / (1 + np.exp(-odds)) == pytest.approx(expected, abs=0.08)


def test_integers_equal_the_training_arithmetic() -> None:
    """What was trained is what runs, but for the rounding of the last layer."""
    rows = data(500)
    layers = train(rows)
    values = rows.astype(np.float64)
    for layer in layers:
        values = layer.forward(values, layer.steps())
    assert np.array_equal(reference.infer(as_net(layers), rows), np.clip(np.rint(values), 0, 127))


def test_same_seed_same_bytes() -> None:
    rows = data()
    assert content(train(rows)) == content(train(rows))
    other = mlp.Plan(PLAN.hidden, PLAN.epochs, PLAN.batch, seed=4)
    assert content(train(rows)) != content(train(rows, other))


def test_last_bits_of_sums_die_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another BLAS or processor may add in another order: relative noise of 1e-15 on every gradient sum changes nothing."""
    rows = data()
    plain = content(train(rows))
    exact = mlp.gradient_sums
    dice = np.random.default_rng(1)

    def disturbed(errors: mlp.Real, source: mlp.Real) -> mlp.Real:
        sums = exact(errors, source)
        return sums * (1 + 1e-15 * dice.choice([-1.0, 1.0], sums.shape))

    monkeypatch.setattr(mlp, "gradient_sums", disturbed)
    assert content(train(rows)) == plain
    monkeypatch.setattr(mlp, "gradient_sums", lambda errors, source: exact(errors, source) * (1 + 1e-3))
    assert content(train(rows)) != plain


def test_every_sum_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums over shuffled and reversed rows are equal to the bit, so the order of addition cannot matter."""
    rows = data()
    exact = mlp.gradient_sums

    def reordered(errors: mlp.Real, source: mlp.Real) -> mlp.Real:
        order = np.random.default_rng(len(errors)).permutation(len(errors))
        sums = exact(errors, source)
        assert np.array_equal(sums, exact(errors[order], source[order]))
        return sums

    monkeypatch.setattr(mlp, "gradient_sums", reordered)
    train(rows, mlp.Plan(PLAN.hidden, 1, 64, seed=3))


def test_progress_is_told() -> None:
    told: list[float] = []
    rows = data(200)
    mlp.fit(rows, rows, np.ones(8), PLAN, lambda done, _text: told.append(done))
    assert told == [pytest.approx((epoch + 1) / PLAN.epochs) for epoch in range(PLAN.epochs)]


@pytest.mark.parametrize("bad", [np.full((300, 2), 128), np.full((300, 2), -1), np.zeros((0, 2), int), np.zeros(300, int)])
def test_refuses_what_is_no_activation(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        mlp.fit(bad, bad, np.ones(2), PLAN)


def test_refuses_a_batch_that_is_too_large() -> None:
    rows = data(100)
    with pytest.raises(ValueError, match="at most 100"):
        train(rows, mlp.Plan((4,), 1, batch=101))


def test_refuses_weights_at_which_errors_of_accusations_are_cut_off() -> None:
    rows, accused = data(100), np.zeros((100, 1), dtype=np.bool_)
    plan = mlp.Plan((4,), 1, batch=50)
    emphasis = np.concatenate([np.ones(99), [32.0]])
    mlp.fit(rows, rows, np.ones(8), plan, emphasis=emphasis, accused=accused)
    with pytest.raises(ValueError, match=r"a row weighs 33\.0: at most 32"):
        mlp.fit(rows, rows, np.ones(8), plan, emphasis=emphasis + (emphasis == 32), accused=accused)


def test_weights_of_errors_scale_the_quantile() -> None:
    errors = np.array([[0, 1], [0, -2], [0, 3], [0, -40]])
    assert quantise.error_weights(errors, 64, 0.5).tolist() == [64 * 16, (64 * 16 + 1) // 3]
