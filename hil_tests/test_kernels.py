"""The dense kernels on the RP2040: right to the bit for packed vectors, no heap, and how fast."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from on_target import run_on_target

from gantryguard import paths
from gantryguard.client.bytecode import compile_module
from gantryguard.client.device_image import build_flash
from gantryguard.profiles.profile import Profile
from gantryguard.rig.board import load_board
from gantryguard.rig.clock import S
from gantryguard.rig.pico import EmulatedPico

VECTORS = 400
LIMIT_NS = 10 * S
MODULES = ("interposer/__init__", "interposer/core/__init__", "interposer/core/compat", "interposer/core/network")
CYCLES_PER_US = 125
MOST_CYCLES_PER_MAC = 12.0

CHECK = """
import gc, machine, micropython, sys, time
from array import array
sys.path.append("/tests")
import kernel_vectors as vectors
from interposer.core import network, network_thumb
def time_us(kernel, n_out):
    weights, nets, source = vectors.layer(vectors.Dice(5), 24, n_out, 1)
    target = array("i", bytes(4 * n_out))
    gc.collect()
    micropython.heap_lock()
    state = machine.disable_irq()
    start = time.ticks_us()
    for _ in range(20):
        kernel(weights, nets, vectors.LAYER_AT, 1, source, target)
    end = time.ticks_us()
    machine.enable_irq(state)
    micropython.heap_unlock()
    return time.ticks_diff(end, start)
for kernel in (network.layers, network_thumb.layers):
    with open("/vectors.bin", "rb") as file:
        wrong, count = vectors.check(kernel, file)
    print("result", count, len(wrong), time_us(kernel, 8), time_us(kernel, 32))
print("end")
"""


@pytest.fixture(scope="module")
def results(micropython_uf2: Path) -> list[list[int]]:
    """Per kernel (readable, optimised): vectors, wrong ones, us of 20 layers of 24 x 8, of 24 x 32."""
    place = paths.FIRMWARE / "tests" / "kernel_vectors.py"
    spec = importlib.util.spec_from_file_location("kernel_vectors", place)
    assert spec is not None
    assert spec.loader is not None
    vectors = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(vectors)
    files = {"main.py": CHECK.encode(), "vectors.bin": vectors.pack(1, VECTORS)}
    for name in (*MODULES, "interposer/core/network_thumb", "tests/kernel_vectors"):
        files[f"{name}.mpy"] = compile_module((paths.FIRMWARE / f"{name}.py").read_bytes(), f"{name}.py")
    pico = EmulatedPico(build_flash(micropython_uf2, files), load_board())
    assert pico.run_while(lambda: b"end\r\n" not in pico.maintenance.data, LIMIT_NS), pico.maintenance.data
    lines = pico.maintenance.data.decode().split("\r\n")
    return [[int(word) for word in line.split()[1:]] for line in lines if line.startswith("result")]


@pytest.mark.parametrize("kernel", [0, 1], ids=["readable", "optimised"])
def test_kernel_is_right(results: list[list[int]], kernel: int) -> None:
    assert results[kernel][:2] == [VECTORS, 0]


def test_optimised_kernel_is_fast(results: list[list[int]]) -> None:
    """Cycles per multiply-accumulate, requantisation included and the call left out."""
    _count, _wrong, small_us, large_us = results[1]
    cycles = (large_us - small_us) * CYCLES_PER_US / (20 * 24 * 24)
    print(f"{cycles:.2f} cycles per multiply-accumulate")
    assert cycles <= MOST_CYCLES_PER_MAC


@pytest.mark.parametrize("test", ["test_every_kind", "test_every_row_of_the_package"])
def test_both_evaluators_of_rows_agree(rows_on_target: dict[str, str], test: str) -> None:
    print(rows_on_target)
    assert rows_on_target[f"rows_on_target.{test}"].startswith("ok")


@pytest.fixture(scope="module")
def rows_on_target(micropython_uf2: Path, ct: Profile) -> dict[str, str]:
    """Outcomes of `rows_on_target.py`."""
    source = (Path(__file__).parent / "rows_on_target.py").read_bytes()
    return run_on_target(micropython_uf2, {"rows_on_target": source}, {"package.bin": ct.blob})
