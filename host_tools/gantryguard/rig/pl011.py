"""The RP2040's UART (ARM PL011) as a link test needs it, in place of the emulator's.

The emulator's own never clears the transmit interrupt, so that MicroPython hangs in it. Modelled here: FIFOs
of 32, transmission at the baud rate, level and time-out interrupts, error flags, overrun, DMA requests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from rp2040py.irq import IRQ
from rp2040py.peripherals.dma import DREQChannel
from rp2040py.peripherals.uart import RPUART, IUARTDMAChannels
from rp2040py.rp2040 import RP2040

from gantryguard.rig.cable import BREAK, FRAMING, PARITY
from gantryguard.rig.clock import Handle
from gantryguard.rig.pico_clock import PicoClock

CLK_PERI_HZ = 48_000_000  # MicroPython clocks the UARTs from the USB PLL; the emulator assumes 125 MHz

DR, RSR, FR, CR, IFLS, IMSC, ICR, DMACR = 0x00, 0x04, 0x18, 0x30, 0x34, 0x38, 0x44, 0x48
RXI, TXI, RTI, FEI, PEI, BEI, OEI = (1 << bit for bit in range(4, 11))
OVERRUN = 0x800  # error flag beside FRAMING, PARITY and BREAK
ERROR_INTERRUPTS = ((FRAMING, FEI), (PARITY, PEI), (BREAK, BEI))
TXFE, RXFF, TXFF, RXFE, BUSY = 0x80, 0x40, 0x20, 0x10, 0x08
TXDMAE, RXDMAE = 2, 1
DEPTH = 32
LEVELS = (4, 8, 16, 24, 28)  # of IFLS
TIMEOUT_BITS = 32

_PLACES = (
    (0x40034, IRQ.UART0, IUARTDMAChannels(rx=DREQChannel.DREQ_UART0_RX, tx=DREQChannel.DREQ_UART0_TX)),
    (0x40038, IRQ.UART1, IUARTDMAChannels(rx=DREQChannel.DREQ_UART1_RX, tx=DREQChannel.DREQ_UART1_TX)),
)


class Pl011(RPUART):
    """One UART. `on_start(byte, duration_ns)` is called when a byte begins to leave."""

    def __init__(self, mcu: RP2040, clock: PicoClock, number: int) -> None:
        _base, irq, dreq = _PLACES[number]
        super().__init__(mcu, f"UART{number}", irq, dreq)
        self.on_start: Callable[[int, int], None] | None = None
        self.overruns = 0
        self.unheard = 0  # bytes that came while the receiver was off
        self._clock = clock
        self._sending: Handle | None = None
        self._timeout: Handle | None = None
        self._clear()

    def _clear(self) -> None:
        self._rx: deque[int] = deque()
        self._tx: deque[int] = deque()
        self._ifls, self._rsr, self._dmacr = 0x12, 0, 0
        self._overrun = False
        self._requests = {self.dreq.rx: False, self.dreq.tx: False}

    def reset(self) -> None:
        """Chip reset: registers, FIFOs and the byte being sent are gone; the counters stay."""
        super().reset()
        for handle in (self._sending, self._timeout):
            if handle is not None:
                handle.cancel()
        self._sending = self._timeout = None
        self._clear()
        for channel in (self.dreq.rx, self.dreq.tx):
            self.rp2040.dma.clear_dreq(channel)

    @property
    def bit_ns(self) -> float:
        """Duration of a bit, from the divisors that the firmware has set."""
        return 16e9 * (self.baud_divider or 1) / CLK_PERI_HZ

    @property
    def character_ns(self) -> int:
        """Duration of a character with its frame, rounded up."""
        control = self._line_ctrl_register
        bits = 1 + self.word_length + (control >> 1 & 1) + (2 if control & 8 else 1)
        return int(-(-bits * self.bit_ns // 1))

    @property
    def flags(self) -> int:
        """The flag register."""
        depth = self._depth
        return (
            (0 if self._tx else TXFE)
            | (RXFF if len(self._rx) >= depth else 0)
            | (TXFF if len(self._tx) >= depth else 0)
            | (0 if self._rx else RXFE)
            | (BUSY if self._tx or self._sending else 0)
        )

    @property
    def _depth(self) -> int:
        return DEPTH if self.fifos_enabled else 1

    @property
    def _rx_level(self) -> int:
        return LEVELS[min(self._ifls >> 3 & 7, 4)] if self.fifos_enabled else 1

    @property
    def _tx_level(self) -> int:
        return LEVELS[min(self._ifls & 7, 4)] if self.fifos_enabled else 0

    def receive(self, byte: int, errors: int = 0) -> None:
        """A character has arrived at the pin, with FRAMING, PARITY or BREAK as the receiver would tag it."""
        if not (self.enabled and self.rx_enabled):
            self.unheard += 1
            return
        for flag, interrupt in ERROR_INTERRUPTS:
            if errors & flag:
                self._interrupt_status |= interrupt
        if len(self._rx) >= self._depth:
            self.overruns += 1
            self._overrun = True
            self._interrupt_status |= OEI
        else:
            self._rx.append(byte | errors | (OVERRUN if self._overrun else 0))
            self._overrun = False
        if len(self._rx) >= self._rx_level:
            self._interrupt_status |= RXI
        self._restart_timeout()
        self.check_interrupts()

    def _restart_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
        due_ns = self._clock.now_ns + round(TIMEOUT_BITS * self.bit_ns)
        self._timeout = self._clock.call_at(due_ns, self._time_out)

    def _time_out(self) -> None:
        self._timeout = None
        if self._rx:
            self._interrupt_status |= RTI
            self.check_interrupts()

    def _start(self) -> None:
        if self._sending or not (self._tx and self.enabled and self.tx_enabled):
            return
        byte = self._tx.popleft()
        if len(self._tx) == self._tx_level:
            self._interrupt_status |= TXI
        duration_ns = self.character_ns
        if self.on_start is not None:
            self.on_start(byte, duration_ns)  # first, so that a byte arrives before the next one starts
        self._sending = self._clock.call_at(self._clock.now_ns + duration_ns, self._sent)

    def _sent(self) -> None:
        self._sending = None
        self._start()
        self.check_interrupts()

    def check_interrupts(self) -> None:
        """Bring the interrupt line and the DMA requests up to date."""
        self.rp2040.set_interrupt(self.irq, bool(self._interrupt_status & self._interrupt_mask))
        self._request(self.dreq.rx, bool(self._dmacr & RXDMAE and self._rx))
        self._request(self.dreq.tx, bool(self._dmacr & TXDMAE and len(self._tx) < self._depth))

    def _request(self, channel: DREQChannel, wanted: bool) -> None:
        if self._requests[channel] == wanted:
            return
        self._requests[channel] = wanted
        dma = self.rp2040.dma
        (dma.set_dreq if wanted else dma.clear_dreq)(channel)

    def read_uint32(self, offset: int) -> int:
        """Bus read of one register."""
        if offset == DR:
            return self._read_data()
        own = {RSR: self._rsr, IFLS: self._ifls, DMACR: self._dmacr}
        return own[offset] if offset in own else super().read_uint32(offset)

    def _read_data(self) -> int:
        value = self._rx.popleft() if self._rx else 0
        self._rsr = value >> 8 & 0xF
        if len(self._rx) < self._rx_level:
            self._interrupt_status &= ~RXI
        if not self._rx:
            self._interrupt_status &= ~RTI
        self.check_interrupts()
        return value

    def write_uint32(self, offset: int, value: int) -> None:
        """Bus write of one register."""
        if offset == DR:
            self._write_data(value & 0xFF)
        elif offset == RSR:
            self._rsr = 0
        elif offset == IFLS:
            self._ifls = value & 0x3F
        elif offset == DMACR:
            self._dmacr = value & 7
        elif offset == ICR:
            self._interrupt_status &= ~self.raw_write_value
        else:
            super().write_uint32(offset, value)
            self._start()  # CR may have enabled the transmitter
        self.check_interrupts()

    def _write_data(self, byte: int) -> None:
        if len(self._tx) < self._depth:
            self._tx.append(byte)
        if len(self._tx) > self._tx_level:
            self._interrupt_status &= ~TXI
        self._start()


def install(mcu: RP2040, clock: PicoClock) -> tuple[Pl011, Pl011]:
    """Replace both UARTs of the emulated chip."""
    mcu.clk_peri = CLK_PERI_HZ
    uarts = (Pl011(mcu, clock, 0), Pl011(mcu, clock, 1))
    for number, uart in enumerate(uarts):
        mcu.uart[number] = uart
        mcu.peripherals[_PLACES[number][0]] = uart
    return uarts
