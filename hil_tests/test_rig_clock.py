"""The emulated Pico runs as fast as its firmware sets it, proved with small firmwares of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from test_rig import PORTS, WAIT

from gantryguard.client.device_image import build_flash
from gantryguard.rig import pico as pico_model
from gantryguard.rig import trace
from gantryguard.rig.board import load_board
from gantryguard.rig.clock import S
from gantryguard.rig.pico import EmulatedPico
from gantryguard.rig.pico_clock import PicoClock

VOLTAGE, SELECTION, START_SELECTION = 0x40064000, 0xF0, 0xB0  # of the regulator


FASTER = """
machine.mem32[0x40064000] = machine.mem32[0x40064000] & ~0xF0 | 0xC0
"""
AT_200_MHZ = """
machine.freq(200_000_000)
before = time.ticks_us()
time.sleep_ms(20)
console.write("%d %d\\n" % (machine.freq(), time.ticks_diff(time.ticks_us(), before)))
console.flush()
start = time.ticks_us()
for _ in range(1000):
    pass
console.write("%d\\n" % time.ticks_diff(time.ticks_us(), start))
console.flush()
"""


@pytest.fixture
def make(micropython_uf2: Path) -> Callable[[str], EmulatedPico]:
    return lambda main: EmulatedPico(build_flash(micropython_uf2, {"main.py": main.encode()}), load_board())


def told(pico: EmulatedPico) -> list[list[int]]:
    """The lines of numbers that the console's line has brought."""
    assert pico.run_while(lambda: b"R" not in pico.console_out.data, S)
    return [[int(word) for word in line.split()] for line in pico.console_out.data.split(b"R")[0].decode().splitlines()]


def test_the_clock_of_the_chip_is_what_its_firmware_sets(make: Callable[[str], EmulatedPico]) -> None:
    """A loop takes five eighths of the time, a pause and a byte on the line take as long as before; a reset undoes it."""
    before, pico = make(PORTS + AT_200_MHZ.replace("200", "125") + WAIT), make(PORTS + FASTER + AT_200_MHZ + WAIT)
    usual, faster = told(before), told(pico)
    assert (usual[0][0], faster[0][0], pico.cycle_ns) == (125_000_000, 200_000_000, 5)
    assert usual[0][1] == pytest.approx(20_000, abs=100)
    assert faster[0][1] == pytest.approx(20_000, abs=100)
    assert faster[1][0] == pytest.approx(usual[1][0] * 125 / 200, rel=0.02)
    gaps = [[b.t_ns - a.t_ns for a, b in itertools.pairwise(each.console_out.arrivals[:8])] for each in (before, pico)]
    assert gaps[0] == gaps[1]
    pico.reset()
    assert pico.cycle_ns == 8
    assert pico.words(VOLTAGE, 1)[0] & SELECTION == START_SELECTION


def test_more_than_the_voltage_is_good_for_stops_the_chip(make: Callable[[str], EmulatedPico]) -> None:
    pico = make(PORTS + AT_200_MHZ + WAIT)
    assert pico.run_while(lambda: not pico.trace.of(trace.HALT), 2 * S)
    assert pico.trace.of(trace.HALT)[0].value == pico_model.TOO_FAST
    assert pico.console_out.data == b""


@pytest.mark.parametrize("frequency_hz", [133_000_000, 200_000_000])
def test_time_goes_on_where_a_cycle_is_no_whole_number_of_nanoseconds(frequency_hz: int) -> None:
    """Whoever waits for a moment without the processor gets there."""
    clock = PicoClock()
    clock.counter.tick(8 * 12_345)
    clock.run_at(frequency_hz)
    for number in range(1, 200):
        reached: list[int] = []
        clock.counter.tick(8 * number)
        clock.call_at(clock.now_ns + 1000, lambda reached=reached: reached.append(clock.now_ns))
        due_ns = clock.now_ns + 1000
        for _ in range(10):
            clock.skip(due_ns - clock.now_ns)
        assert reached
