"""The emulated Pico itself, proved with small firmwares of its own before anything is built on it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from gantryguard.client.device_image import FS_OFFSET, build_flash, read_filesystem
from gantryguard.rig import flash as flash_model
from gantryguard.rig import pico as pico_model
from gantryguard.rig import trace
from gantryguard.rig.board import load_board
from gantryguard.rig.cable import FRAMING, byte_time_ns
from gantryguard.rig.clock import MS, US, S
from gantryguard.rig.pico import EmulatedPico

Make = Callable[..., EmulatedPico]
BOARD = load_board()
TRAVEL_NS = {1: BOARD.relay_operate_us * US, 0: BOARD.relay_release_us * US}

PORTS = """
import micropython, machine, select, sys, time
from machine import Pin, UART
console = UART(0, 115200, tx=Pin(0), rx=Pin(1))
gantry = UART(1, 115200, tx=Pin(4), rx=Pin(5))
relay = Pin(14, Pin.OUT, value=0)
contact = Pin(13, Pin.IN, Pin.PULL_DOWN)
def ready():
    console.write(b"R")
    console.flush()
"""
ECHO = (
    PORTS
    + """
relay(1)
while not contact():
    pass
poll = select.poll()
poll.register(console, select.POLLIN)
poll.register(gantry, select.POLLIN)
ready()
while True:
    for port, _ in poll.ipoll(500):
        (gantry if port is console else console).write(port.read(port.any()))
"""
)
POUR = "while True:\n    gantry.write(b'U')\n"
WAIT = "\nready()\nwhile True:\n    time.sleep_ms(50)\n"


@pytest.fixture
def make(micropython_uf2: Path) -> Make:
    def build(
        main: str, *, until_ready: bool = True, block: tuple[int, bytes] | None = None, **options: object
    ) -> EmulatedPico:
        image = bytearray(build_flash(micropython_uf2, {"main.py": main.encode()}))
        if block is not None:
            image[block[0] : block[0] + len(block[1])] = block[1]
        pico = EmulatedPico(bytes(image), load_board(), **options)  # type: ignore[arg-type]  # passed on
        if until_ready:
            assert pico.run_while(lambda: not pico.console_out.arrivals, 1 * S), pico.maintenance.data
        return pico

    return build


def times(pico: EmulatedPico, kind: str, value: int) -> list[int]:
    return [entry.t_ns for entry in pico.trace.of(kind) if entry.value == value]


def run_echo(pico: EmulatedPico) -> EmulatedPico:
    pico.console_in.send(bytes(range(200)))
    pico.gantry_in.send(b"answer")
    pico.clock.call_at(pico.now_ns + 30 * MS, lambda: pico.console_in.send(b"later"))
    return pico


def test_bytes_pass_exactly_and_at_the_pace_of_the_line(make: Make) -> None:
    pico = run_echo(make(ECHO))
    pico.run_for(100 * MS)
    assert pico.gantry_out.data == bytes(range(200)) + b"later"
    assert pico.console_out.data == b"Ranswer"
    arrivals = [arrival.t_ns for arrival in pico.gantry_out.arrivals]
    gaps = [after - before for before, after in itertools.pairwise(arrivals)]
    assert min(gaps) == pico.gantry_uart.character_ns == 86_823  # divisor 26 + 3/64 of 48 MHz
    fed = [entry.t_ns for entry in pico.trace.of(trace.CONSOLE_IN)]
    assert fed[1] - fed[0] == byte_time_ns(115200)
    assert arrivals[0] > fed[0]
    assert (pico.console_uart.overruns, pico.gantry_out.lost) == (0, 0)


def test_equal_runs_are_equal_to_the_byte(make: Make) -> None:
    whole, again, stepped = (run_echo(make(ECHO)) for _ in range(3))
    whole.run_for(100 * MS)
    again.run_for(100 * MS)
    for _ in range(40):
        stepped.run_for(2_500_000)
    assert whole.trace.entries
    assert whole.trace.digest() == again.trace.digest() == stepped.trace.digest()
    other = make(ECHO)
    other.run_for(100 * MS)
    assert other.trace.digest() != whole.trace.digest()


def test_a_full_fifo_loses_and_counts(make: Make) -> None:
    deaf = "\nready()\ntime.sleep_ms(1)\nstate = machine.disable_irq()\nend = time.ticks_us() + 20000\n"
    deaf += "while time.ticks_us() < end:\n    pass\n"
    deaf += "machine.enable_irq(state)\ntime.sleep_ms(1)\nconsole.write(console.read())\n"
    pico = make(PORTS + deaf)
    pico.clock.call_at(pico.now_ns + 5 * MS, lambda: pico.console_in.send(bytes(range(100))))
    pico.run_for(60 * MS)
    assert pico.console_out.data == b"R" + bytes(range(32))
    assert pico.console_uart.overruns == 68


def test_the_contact_follows_the_drive_after_its_time(make: Make) -> None:
    follow = "\nrelay(1)\nstart = time.ticks_us()\nwhile not contact():\n    pass\n"
    follow += "console.write(b'%d' % (time.ticks_diff(time.ticks_us(), start) // 100))\nrelay(0)\n"
    pico = make(PORTS + follow)
    pico.run_for(20 * MS)
    for level in (1, 0):
        (drive,), (contact,) = times(pico, trace.RELAY_DRIVE, level), times(pico, trace.CONTACT, level)
        assert contact - drive == TRAVEL_NS[level]
    assert pico.console_out.data == b"%d" % (BOARD.relay_operate_us // 100)


def test_an_undriven_pin_leaves_the_relay_open(make: Make) -> None:
    pico = make(PORTS + "relay(1)\ntime.sleep_ms(5)\nPin(14, Pin.IN, Pin.PULL_UP)\n" + WAIT)
    pico.run_for(5 * MS)
    assert [entry.value for entry in pico.trace.of(trace.RELAY_DRIVE)] == [1, 0]
    assert not pico.relay.closed


def test_nothing_reaches_the_gantry_through_an_open_contact(make: Make) -> None:
    pico = make(PORTS + "gantry.write(b'leak')\n" + WAIT)
    pico.run_for(5 * MS)
    assert pico.gantry_out.arrivals == []
    assert bytes(entry.value for entry in pico.trace.of(trace.GANTRY_LOST)) == b"leak"


def test_a_welded_contact_shows_in_the_feedback(make: Make) -> None:
    pico = make(PORTS + "ready()\nwhile not contact():\n    pass\nconsole.write(b'welded')\n" + WAIT)
    pico.relay.jam(closed=True)
    pico.run_for(5 * MS)
    assert pico.console_out.data.startswith(b"Rwelded")
    assert times(pico, trace.RELAY_DRIVE, 1) == []


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        ("machine.WDT(timeout=30)\n", pico_model.CAUSE_WATCHDOG),
        ("time.sleep_ms(30)\nmachine.reset()\n", pico_model.CAUSE_SOFTWARE),
    ],
)
def test_a_reset_by_the_firmware_opens_the_relay_at_once(end: str, cause: int, make: Make) -> None:
    first = "\nif machine.reset_cause() == 1:\n    relay(1)\n    ready()\n    "
    pico = make(PORTS + first + end.replace("\n", "\n    ") + "\n    while True:\n        pass\n" + WAIT)
    assert pico.run_while(lambda: pico.console_out.data != b"RR", 300 * MS)
    (reset,) = pico.trace.of(trace.RESET)
    assert reset.value == cause
    assert times(pico, trace.RELAY_DRIVE, 0) == [reset.t_ns]
    assert times(pico, trace.CONTACT, 0) == [reset.t_ns + TRAVEL_NS[0]]
    pico.run_for(1 * S)
    assert len(pico.trace.of(trace.RESET)) == 1  # the watchdog does not bite again after a reset


def test_the_run_pin_restarts_the_chip(make: Make) -> None:
    pico = make(PORTS + "relay(1)\nconsole.write(b'%d' % machine.reset_cause())\n" + WAIT)
    pico.run_for(10 * MS)
    pico.reset()
    assert pico.run_while(lambda: len(pico.console_out.data) < 4, 300 * MS)
    assert pico.console_out.data == b"1R1R"
    assert [entry.value for entry in pico.trace.of(trace.RESET)] == [pico_model.CAUSE_RUN_PIN]
    assert [entry.value for entry in pico.trace.of(trace.CONTACT)] == [1, 0]


def test_a_power_cut_opens_the_relay_and_stops_a_byte_in_flight(make: Make) -> None:
    pico = make(PORTS + "relay(1)\nready()\nmachine.WDT(timeout=100)\ntime.sleep_ms(10)\n" + POUR)
    pico.run_for(20 * MS)
    passed = len(pico.gantry_out.arrivals)
    assert passed > 10
    survived = pico.power_cut()
    cut_ns = pico.now_ns
    pico.run_for(20 * MS)
    assert len(pico.gantry_out.arrivals) == passed
    assert times(pico, trace.CONTACT, 0) == [cut_ns + TRAVEL_NS[0]]
    assert pico.now_ns == cut_ns + 20 * MS
    assert survived == pico.flash.content()
    pico.run_for(200 * MS)
    assert pico.trace.of(trace.RESET) == []  # a watchdog without power does not bite
    pico.power_on()
    assert pico.run_while(lambda: pico.console_out.data != b"RR", 300 * MS)


BLOCK = 300
OFFSET = FS_OFFSET + BLOCK * 4096
PROGRAM = PORTS + f"import rp2\nready()\nrp2.Flash().writeblocks({BLOCK}, bytes([0x55]) * 4096)\n" + WAIT


@pytest.mark.parametrize(
    ("number", "mode", "expected"),
    [
        (0, flash_model.BEFORE, b"\xaa" * 4096),
        (0, flash_model.TORN, b"\xff" * 2048 + b"\xaa" * 2048),
        (0, flash_model.AFTER, b"\xff" * 4096),
        (1, flash_model.BEFORE, b"\xff" * 4096),
        (1, flash_model.TORN, b"\x55" * 128 + b"\xff" * 3968),
        (1, flash_model.AFTER, b"\x55" * 256 + b"\xff" * 3840),
        (15, flash_model.AFTER, b"\x55" * 3840 + b"\xff" * 256),
    ],
)
def test_a_cut_at_a_flash_operation(number: int, mode: str, expected: bytes, make: Make) -> None:
    pico = make(PROGRAM, until_ready=False, block=(OFFSET, b"\xaa" * 4096))
    pico.cut_at_flash_operation(number, mode)
    assert pico.run_while(lambda: pico.powered, 1 * S)
    assert pico.flash.content()[OFFSET : OFFSET + 4096] == expected
    reborn = EmulatedPico(pico.flash.content(), load_board())
    assert reborn.run_while(lambda: reborn.console_out.data != b"RR", 1 * S)
    assert reborn.flash.content()[OFFSET : OFFSET + 4096] == b"\x55" * 4096


def test_a_cut_at_any_time_tears_the_operation_that_runs(make: Make) -> None:
    pico = make(PROGRAM, block=(OFFSET, b"\xaa" * 4096))
    assert pico.run_while(lambda: not pico.trace.of(trace.FLASH_ERASE), 1 * S)
    pico.run_for(20 * MS)
    survived = pico.power_cut()
    assert survived[OFFSET : OFFSET + 4096] == b"\xff" * 2048 + b"\xaa" * 2048


def test_files_written_by_the_firmware_survive_a_power_cut(make: Make) -> None:
    pico = make(PORTS + "with open('log', 'wb') as file:\n    file.write(b'kept')\n" + WAIT)
    assert read_filesystem(pico.power_cut())["log"] == b"kept"


@pytest.mark.parametrize(("flash_times", "lost"), [(flash_model.TYPICAL, True), (flash_model.INSTANT, False)])
def test_flash_operations_stall_reception(flash_times: flash_model.FlashTimes, lost: bool, make: Make) -> None:
    pico = make(PROGRAM.replace("ready()\n", "ready()\ntime.sleep_ms(5)\n", 1), flash_times=flash_times)
    pico.console_in.send(bytes(250))
    pico.run_for(200 * MS)
    (erase,) = pico.trace.of(trace.FLASH_ERASE)
    pages = [entry.t_ns for entry in pico.trace.of(trace.FLASH_PROGRAM)]
    assert len(pages) == 16
    assert 0 <= pages[0] - erase.t_ns - flash_times.erase_ns < 1 * MS
    assert 0 <= pages[1] - pages[0] - flash_times.page_ns < 1 * MS
    assert (pico.console_uart.overruns > 100) == lost
    assert (pico.console_uart.overruns == 0) != lost


def test_dma_receives_while_flash_stalls(make: Make) -> None:
    receive = """
from machine import mem32
import rp2
buffer = bytearray(300)
mem32[0x40034038] = 0
mem32[0x40034048] = 1
dma = rp2.DMA()
control = dma.pack_ctrl(size=0, inc_read=False, inc_write=True, treq_sel=21)
dma.config(read=0x40034000, write=buffer, count=300, ctrl=control, trigger=True)
ready()
time.sleep_ms(3)
rp2.Flash().writeblocks(300, bytes(4096))
while dma.active():
    time.sleep_ms(1)
gantry.write(bytes([sum(buffer[i] == i & 255 for i in range(300)) // 2]))
"""
    pico = make(PORTS.replace("relay = Pin(14, Pin.OUT, value=0)", "relay = Pin(14, Pin.OUT, value=1)") + receive + WAIT)
    pico.console_in.send(bytes(k & 255 for k in range(300)))
    assert pico.run_while(lambda: not pico.gantry_out.arrivals, 1 * S)
    assert pico.gantry_out.data == bytes([150])
    assert pico.console_uart.overruns == 0


def test_the_maintenance_port_answers(make: Make) -> None:
    talk = "micropython.kbd_intr(-1)\nready()\nwhile True:\n    print('got', repr(sys.stdin.readline()))\n"
    pico = make(PORTS + talk)
    assert pico.run_while(lambda: not pico.maintenance.connected, 1 * S)
    pico.maintenance.send(b"\x03" + b"x" * 100 + b"\n")
    assert pico.run_while(lambda: not pico.maintenance.data.endswith(b"\\n'\r\n"), 1 * S)
    assert b"got '\\x03" + b"x" * 100 in pico.maintenance.data
    t_ns, _packet = pico.maintenance.received[-1]
    assert 0 < t_ns <= pico.now_ns
    assert pico.trace.of(trace.USB_IN)[0].value == 3


def test_without_a_host_nothing_is_connected(make: Make) -> None:
    pico = make(ECHO, usb=False)
    pico.run_for(50 * MS)
    assert not pico.maintenance.connected
    assert pico.relay.closed


def test_keys_and_lamps(make: Make) -> None:
    watch = """
keys = Pin(18, Pin.IN, Pin.PULL_UP), Pin(19, Pin.IN, Pin.PULL_UP)
lamps = Pin(16, Pin.OUT, value=0), Pin(17, Pin.OUT, value=0)
ready()
while True:
    for key, lamp in zip(keys, lamps):
        lamp(not key())
    time.sleep_ms(1)
"""
    pico = make(PORTS + watch)
    for key, expected in (("override", (True, False)), ("cancel", (False, True))):
        pico.press(key)
        pico.run_for(5 * MS)
        assert (pico.lamp_red, pico.lamp_green) == expected
        pico.release(key)
        pico.run_for(5 * MS)
        assert (pico.lamp_red, pico.lamp_green) == (False, False)
    assert [entry.value for entry in pico.trace.of(trace.KEY_OVERRIDE)] == [1, 0]
    assert [entry.value for entry in pico.trace.of(trace.LAMP_GREEN)] == [1, 0]


def test_wrong_pins_hear_nothing(make: Make) -> None:
    pico = make(ECHO.replace("tx=Pin(0), rx=Pin(1)", "tx=Pin(0), rx=Pin(13)"))
    pico.console_in.send(b"unheard")
    pico.run_for(20 * MS)
    assert pico.gantry_out.arrivals == []


def test_a_wrong_baud_rate_breaks_the_frame_of_each_byte(make: Make) -> None:
    flags: list[int] = []
    pico = make(ECHO.replace("UART(1, 115200", "UART(1, 57600"))
    pico.gantry_out.deliver = lambda _byte, flag: flags.append(flag)
    pico.console_in.send(b"abc")
    pico.run_for(20 * MS)
    assert flags == [FRAMING] * 3


def test_error_flags_reach_the_data_register(make: Make) -> None:
    look = "from machine import mem32\nmem32[0x40034038] = 0\nready()\ntime.sleep_ms(5)\n"
    look += "for _ in range(3):\n    console.write(bytes([(mem32[0x40034000] >> 8) & 15]))\n"
    pico = make(PORTS + look)
    pico.console_in.send(b"a")
    pico.console_in.send(b"b", flags=FRAMING)
    pico.console_in.send(b"c")
    pico.run_for(20 * MS)
    assert pico.console_out.data == b"R\x00\x01\x00"


def test_a_breakpoint_halts_until_the_watchdog_bites(make: Make) -> None:
    halt = "@micropython.asm_thumb\ndef halt():\n    data(2, 0xBE00)\n"
    pico = make(PORTS + halt + "ready()\nif machine.reset_cause() == 1:\n    machine.WDT(timeout=50)\n    halt()\n" + WAIT)
    assert pico.run_while(lambda: pico.console_out.data != b"RRR", 500 * MS)
    kinds = [entry.kind for entry in pico.trace.entries if entry.kind in (trace.HALT, trace.RESET)]
    assert kinds == [trace.HALT, trace.RESET]


BLINK = """
import rp2
@rp2.asm_pio(set_init=rp2.PIO.OUT_LOW)
def blink():
    set(pins, 1) [4]
    set(pins, 0) [4]
machine_0 = rp2.StateMachine(4, blink, freq=1_000_000, set_base=Pin(14))
machine_0.active(1)
time.sleep_us(200)
machine_0.active(0)
"""


def test_a_state_machine_runs_at_its_own_pace(make: Make) -> None:
    pico = make(PORTS + BLINK + WAIT)
    moves = [entry.t_ns for entry in pico.trace.of(trace.RELAY_DRIVE)]
    assert len(moves) > 30
    between = [after - before for before, after in itertools.pairwise(moves)][2:-2]
    assert abs(sum(between) / len(between) - 5 * US) < 50
