"""The budget of a verdict by stage: every stage timed on the device, and the whole what its parts make."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantryguard.benchmarks.stages import MEASURED, Stages, measure_stages
from gantryguard.profiles.profile import Profile
from interposer.core.network import LAYER_WORDS, N_LAYER_AT, N_LAYERS, NET_WORDS, Y_IN, Y_OUT

FEWEST_CYCLES_PER_MAC = 1.6  # the floor of this processor with two products per multiplication


@pytest.fixture(scope="module")
def stages(micropython_uf2: Path, ct: Profile) -> Stages:
    measured = measure_stages(ct, micropython_uf2)
    print(measured)
    return measured


def test_every_stage_takes_its_time(stages: Stages, ct: Profile) -> None:
    cycles = stages.stages_cycles
    assert {"check", "decode", "features", "limits", "verdict", "total"} < set(cycles)
    assert all(value > 0 for value in cycles.values())
    besides = sum(cycles[name] for name in ("check", "decode", "features", "limits", "verdict"))
    networks = sum(cycles[f"network {name}"] for name in ct.network_names)
    layers = sum(value for name, value in cycles.items() if ", layer" in name)
    assert layers < cycles["total"] - besides < networks  # asked together they share one call


def test_layers_make_up_most_of_their_network(stages: Stages, ct: Profile) -> None:
    nets = ct.package.table("nets")
    for index, name in enumerate(ct.network_names):
        first, count = nets[index * NET_WORDS + N_LAYER_AT], nets[index * NET_WORDS + N_LAYERS]
        layers = [stages.stages_cycles[f"network {name}, layer {number + 1}"] for number in range(count)]
        network = stages.stages_cycles[f"network {name}"]
        assert network / 2 < sum(layers) < network
        for number, cycles in enumerate(layers):
            at = first + number * LAYER_WORDS
            assert cycles > FEWEST_CYCLES_PER_MAC * nets[at + Y_IN] * nets[at + Y_OUT]


def test_kernels_stand_beside_their_peers(stages: Stages) -> None:
    own = [kernel for kernel in stages.kernels if kernel["source"] == MEASURED]
    peers = [kernel for kernel in stages.kernels if kernel["source"] != MEASURED]
    assert len(own) == 2
    assert len(peers) >= 4
    assert all(isinstance(kernel["cycles_per_mac"], float) and kernel["source"] for kernel in stages.kernels)
    dual, plain = (float(kernel["cycles_per_mac"]) for kernel in own)
    assert FEWEST_CYCLES_PER_MAC < dual < plain


def test_what_a_start_leaves(stages: Stages) -> None:
    assert 0 < stages.free_heap_bytes < 240_000
    assert 0 < stages.free_flash_bytes < 352 * 4096
