"""Networks in packages: compiled as trained, asked where declared, turned back into fields, refused where they do not fit."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from profile_bench import INJECTOR, Desk, injector, small_net, spoilt

from gantryguard.errors import UserError
from gantryguard.profiles.nets import TrainedLayer, TrainedNet
from gantryguard.profiles.package import build
from gantryguard.profiles.profile import Profile
from interposer.core.audit import audit
from interposer.core.network import NET_WORDS, O_FIELD, Network, layers
from interposer.core.reasons import ABNORMAL, HOLD, NONE, PASS
from interposer.core.suggestion import Suggestion

PATIENT = {"weight_kg": 70, "agent": "saline"}
LOAD = {"volume_ml": 80, "rate_ml_s": 3, "needle_mm": 1.1, "offset": 0}


def rounding_net() -> TrainedNet:
    """Two layers with biases and signs: what is compiled must be what numpy computes."""
    first = TrainedLayer(np.array([[64, -3], [5, 60], [-128, 127]], np.int8), np.array([100, -40, 7], np.int32), 6)
    second = TrainedLayer(np.array([[50, 9, -4], [-7, 64, 3]], np.int8), np.array([-11, 12], np.int32), 6, -127, 127)
    return TrainedNet("plausible", (first, second), np.array([[100, 1000]] * 3, np.int32), np.array([16, 8], np.int32))


def expected(net: TrainedNet, inputs: list[int]) -> list[int]:
    """Round half to even, saturate."""
    values = np.array(inputs, dtype=np.int64)
    for layer in net.layers:
        total = layer.weights.astype(np.int64) @ values + layer.bias
        values = np.clip(np.round(total / 2.0**layer.shift).astype(np.int64), layer.lowest, layer.highest)
    return [int(value) for value in values]


@pytest.mark.parametrize("inputs", [[0, 0], [127, 127], [1, 126], [63, 64], [40, 2], [127, 0]])
def test_a_compiled_network_computes_what_was_trained(inputs: list[int]) -> None:
    net = rounding_net()
    profile = Profile.load(INJECTOR, [net])
    values = profile.start_values()
    values[profile.slot("in_rate")], values[profile.slot("in_volume")] = inputs
    package: Any = profile.package
    tables = package.table
    engine = Network(tables("nets"), tables("weights"), 3, 1, layers)
    engine.first_suspect(0, 1, values)
    assert list(engine.output()[:2]) == expected(net, inputs)


def test_a_network_is_asked_on_its_command_and_holds() -> None:
    """A network that says what is normal: inputs far from 40 and 32 are none of it."""
    layer = TrainedLayer(np.zeros((2, 2), np.int8), np.array([56, 32], np.int32), 0)
    net = replace(small_net(), layers=(layer,), thresholds=np.array([[400, (1 << 30) - 1]] * 3, np.int32))
    desk = Desk(Profile.load(INJECTOR, [net]))
    assert audit(desk.profile.package) == NONE
    assert desk.send("patient", PATIENT) == PASS
    assert desk.send("load", LOAD) == PASS
    assert desk.send("load", LOAD | {"volume_ml": 200}) == HOLD
    assert (desk.judge.reason, desk.judge.network) == (ABNORMAL, 0)
    assert desk.profile.slot_names[desk.judge.blamed] == "volume_ml"


@pytest.mark.parametrize(("field", "value", "normal"), [("volume_ml", 200, 80), ("rate_ml_s", 0.3, 3.0)])
def test_a_reconstruction_is_turned_back_into_the_field(field: str, value: float, normal: float) -> None:
    """Through a plain sum and through a logarithm: 40 + 10 log2(3) is 56, 0.4 * 80 is 32."""
    layer = TrainedLayer(np.zeros((2, 2), np.int8), np.array([56, 32], np.int32), 0)
    net = replace(small_net(), layers=(layer,), thresholds=np.array([[400, (1 << 30) - 1]] * 3, np.int32))
    desk = Desk(Profile.load(INJECTOR, [net]))
    desk.send("patient", PATIENT)
    suggestion = Suggestion(desk.profile.package, desk.judge)
    assert desk.send("load", LOAD | {field: value}) == HOLD
    assert suggestion.start()
    while not suggestion.step():
        pass
    assert suggestion.found
    assert desk.profile.slot_names[suggestion.slot] == field
    assert desk.profile.from_raw(field, suggestion.value) == pytest.approx(normal, rel=0.05)


BAD_NETS: dict[str, tuple[Callable[[TrainedNet], TrainedNet], str]] = {
    "another name": (lambda net: replace(net, name="other"), "not declared"),
    "too few inputs": (
        lambda net: replace(net, layers=(TrainedLayer(np.zeros((2, 1), np.int8), np.zeros(2, np.int32), 0),)),
        "do not fit trained weights",
    ),
    "too few outputs": (
        lambda net: replace(net, layers=(TrainedLayer(np.zeros((1, 2), np.int8), np.zeros(1, np.int32), 0),)),
        "trained outputs",
    ),
    "no layers": (lambda net: replace(net, layers=()), "trained outputs"),
    "other groups": (lambda net: replace(net, thresholds=net.thresholds[:2]), "thresholds"),
    "hold above block": (lambda net: replace(net, thresholds=net.thresholds[:, ::-1].copy()), "thresholds"),
    "a huge bias": (
        lambda net: replace(net, layers=(replace(net.layers[0], bias=np.array([1 << 24, 0], np.int32)),)),
        "sums reach",
    ),
    "a huge shift": (lambda net: replace(net, layers=(replace(net.layers[0], shift=31),)), "sums reach"),
    "a huge weight": (lambda net: replace(net, output_weights=np.array([1 << 20, 1], np.int32)), "weight"),
}


@pytest.mark.parametrize("name", BAD_NETS)
def test_a_network_that_does_not_fit_is_refused(name: str) -> None:
    spoil, words = BAD_NETS[name]
    with pytest.raises(UserError, match=words) as caught:
        build(INJECTOR, [spoil(small_net())])
    assert caught.value.exit_code == 4


def test_a_network_that_was_not_trained_is_named() -> None:
    with pytest.raises(UserError, match=r"features\.toml.*plausible.*not trained"):
        build(INJECTOR, [])


def test_a_target_without_a_field_blames_nothing(tmp_path: Path) -> None:
    folder = spoilt(INJECTOR, tmp_path / "plain", "features.toml", 'field = "rate_ml_s"\n', "")
    nets = Profile.load(folder, [small_net()]).package.table("nets")
    assert isinstance(nets, array)
    output_at = nets[5]
    assert output_at >= NET_WORDS
    assert nets[output_at + O_FIELD] == -1
    assert injector().package.table("nets")[output_at + O_FIELD] == injector().slot("rate_ml_s")
