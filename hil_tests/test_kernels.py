"""The dense kernels on the RP2040: right to the bit for packed vectors, no heap, and how fast."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from on_target import run_on_target

from gantryguard import paths
from gantryguard.benchmarks import clock_mhz
from gantryguard.client.bytecode import compile_module
from gantryguard.client.constants import fold_constants
from gantryguard.client.device_image import build_flash, device_files
from gantryguard.profiles.profile import Profile
from gantryguard.rig.board import load_board
from gantryguard.rig.clock import S
from gantryguard.rig.pico import EmulatedPico

VECTORS = 400
LIMIT_NS = 10 * S
SHAPES = ((24, 32), (26, 24), (31, 24), (20, 11), (24, 1))
LAYERS = 20  # that are timed together
MOST_PREPARED_CYCLES_PER_MAC = 3.2
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
from interposer.core.network_dual_thumb import run
from interposer.core.network_program import Compiler
def prepared_us(n_in, n_out, times):
    weights, nets, source = vectors.layer(vectors.Dice(5), n_in, n_out, 6, True)
    nets.extend(array("i", list(nets[vectors.LAYER_AT : vectors.LAYER_AT + network.LAYER_WORDS]) * times))
    target = array("i", bytes(4 * n_out))
    compiler = Compiler(nets, weights, source, target, max(n_in, n_out))
    program = compiler.stretch(len(nets) - times * network.LAYER_WORDS, times)
    block = vectors.block_of(program)
    gc.collect()
    micropython.heap_lock()
    state = machine.disable_irq()
    start = time.ticks_us()
    run(block, 0, 1, source)
    end = time.ticks_us()
    machine.enable_irq(state)
    micropython.heap_unlock()
    return time.ticks_diff(end, start)
def prepared(weights, nets, layer, count, source, target):
    widest = max(nets[layer + network.Y_IN], nets[layer + network.Y_OUT])
    compiler = Compiler(nets, weights, source, target, widest)
    program = compiler.stretch(layer, count)
    block = vectors.block_of(program)
    micropython.heap_lock()
    run(block, 0, 1, source)
    micropython.heap_unlock()
with open("/narrow.bin", "rb") as file:
    wrong, count = vectors.check(prepared, file)
print("prepared", count, len(wrong))
for n_in, n_out in SHAPES:
    print("cycles", n_in, n_out, prepared_us(n_in, n_out, LAYERS + 1) - prepared_us(n_in, n_out, 1))
print("end")
"""


@pytest.fixture(scope="module")
def said(micropython_uf2: Path) -> list[list[str]]:
    """What the device said, word by word."""
    place = paths.FIRMWARE / "tests" / "kernel_vectors.py"
    spec = importlib.util.spec_from_file_location("kernel_vectors", place)
    assert spec is not None
    assert spec.loader is not None
    vectors = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(vectors)
    files = device_files(load_board())
    files["main.py"] = fold_constants(f"SHAPES, LAYERS = {SHAPES}, {LAYERS}\n{CHECK}".encode())
    files |= {"vectors.bin": vectors.pack(1, VECTORS), "narrow.bin": vectors.pack(2, VECTORS, narrow=True)}
    files["tests/kernel_vectors.mpy"] = compile_module(place.read_bytes(), "tests/kernel_vectors.py")
    pico = EmulatedPico(build_flash(micropython_uf2, files), load_board())
    assert pico.run_while(lambda: b"end\r\n" not in pico.maintenance.data, LIMIT_NS), pico.maintenance.data
    return [line.split() for line in pico.maintenance.data.decode().split("\r\n") if line]


@pytest.fixture(scope="module")
def results(said: list[list[str]]) -> list[list[int]]:
    """Per kernel (readable, optimised): vectors, wrong ones, us of 20 layers of 24 x 8, of 24 x 32."""
    return [[int(word) for word in words[1:]] for words in said if words[0] == "result"]


@pytest.mark.parametrize("kernel", [0, 1], ids=["readable", "optimised"])
def test_kernel_is_right(results: list[list[int]], kernel: int) -> None:
    assert results[kernel][:2] == [VECTORS, 0]


def test_optimised_kernel_is_fast(results: list[list[int]]) -> None:
    """Cycles per multiply-accumulate, requantisation included and the call left out."""
    _count, _wrong, small_us, large_us = results[1]
    cycles = (large_us - small_us) * clock_mhz() / (20 * 24 * 24)
    print(f"{cycles:.2f} cycles per multiply-accumulate")
    assert cycles <= MOST_CYCLES_PER_MAC


def test_prepared_layers_are_right(said: list[list[str]]) -> None:
    assert ["prepared", str(VECTORS), "0"] in said


def test_prepared_layers_are_fast(said: list[list[str]]) -> None:
    """Cycles per multiply-accumulate of whole layers: bias, requantisation, saturation and what every layer costs anew."""
    cycles = {}
    for word, *numbers in said:
        if word == "cycles":
            n_in, n_out, us = map(int, numbers)
            cycles[n_in, n_out] = us * clock_mhz() / (LAYERS * n_in * n_out)
    print({shape: round(value, 2) for shape, value in cycles.items()})
    assert cycles[24, 32] <= MOST_PREPARED_CYCLES_PER_MAC


@pytest.mark.parametrize("test", ["test_every_kind", "test_every_row_of_the_package"])
def test_both_evaluators_of_rows_agree(rows_on_target: dict[str, str], test: str) -> None:
    print(rows_on_target)
    assert rows_on_target[f"rows_on_target.{test}"].startswith("ok")


@pytest.fixture(scope="module")
def rows_on_target(micropython_uf2: Path, ct: Profile) -> dict[str, str]:
    """Outcomes of `rows_on_target.py`."""
    source = (Path(__file__).parent / "rows_on_target.py").read_bytes()
    return run_on_target(micropython_uf2, {"rows_on_target": source}, {"package.bin": ct.blob})
