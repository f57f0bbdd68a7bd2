"""The budget of a verdict by stage: every stage timed on the device, and what a start leaves free."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantryguard.benchmarks import clock_mhz
from gantryguard.benchmarks.stages import Stages, measure_stages
from gantryguard.profiles.profile import Profile
from interposer.core.network import LAYER_WORDS, N_LAYER_AT, N_LAYERS, NET_WORDS, Y_IN, Y_OUT

FEWEST_CYCLES_PER_MAC = 1.6  # the floor of this processor with two products per multiplication
SEND_US = 40.0  # as if seen from the line
MOST_VERDICT_US = 250  # from the last byte on
HEAP_BYTES = 240_000
LEAST_PIECE_BYTES = 20_000  # an update needs code and buffers of some kilobytes each
FLASH_BYTES = 352 * 4096

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def stages(micropython_uf2: Path, ct: Profile) -> Stages:
    measured = measure_stages(ct, micropython_uf2, SEND_US)
    print(measured)
    return measured


def test_the_stages_make_up_the_whole(stages: Stages) -> None:
    cycles = dict(stages.stages_cycles)
    total = cycles.pop("total")
    assert all(value > 0 for value in cycles.values())
    assert sum(cycles.values()) == pytest.approx(total, abs=len(cycles))
    assert cycles["send"] == SEND_US * clock_mhz()
    assert total - cycles["send"] <= MOST_VERDICT_US * clock_mhz()


def test_every_layer_takes_its_time(stages: Stages, ct: Profile) -> None:
    nets = ct.package.table("nets")
    for index, name in enumerate(ct.network_names):
        first, count = nets[index * NET_WORDS + N_LAYER_AT], nets[index * NET_WORDS + N_LAYERS]
        for number in range(count):
            at = first + number * LAYER_WORDS
            cycles = stages.stages_cycles[f"{name}, layer {number + 1}"]
            assert cycles > FEWEST_CYCLES_PER_MAC * nets[at + Y_IN] * nets[at + Y_OUT]


def test_kernels_stand_beside_their_peers(stages: Stages) -> None:
    own = [kernel for kernel in stages.kernels if str(kernel["source"]).startswith("measured")]
    peers = [kernel for kernel in stages.kernels if kernel not in own]
    assert len(own) == 2
    assert len(peers) >= 4
    dual, plain = (float(kernel["cycles_per_mac"]) for kernel in own)
    assert FEWEST_CYCLES_PER_MAC < dual < plain


def test_what_a_start_leaves(stages: Stages) -> None:
    memory = stages.memory
    assert LEAST_PIECE_BYTES < memory["largest_free_piece"] <= memory["free_heap"] < HEAP_BYTES
    assert HEAP_BYTES - memory["free_heap"] < memory["peak_heap"] < HEAP_BYTES
    assert 0 < memory["free_flash"] < FLASH_BYTES
