"""The maintenance port: the host's end of the Pico's USB serial line.

The emulator's host answers every armed buffer with an empty packet, some 36 interrupts per millisecond. A
real host waits until it has data, and so does this one.
"""

from __future__ import annotations

from collections.abc import Callable

from rp2040py.rp2040 import RP2040
from rp2040py.usb.cdc import USBCDC

from gantryguard.rig.clock import Clock

Record = Callable[[bytes, bool], None]


class MaintenancePort:
    """A USB serial port. `on_data(bytes)` is called for each packet that the device sends.

    `record(packet, from_device)` is called for the packets of both directions, after `on_data`.
    """

    def __init__(self, mcu: RP2040, clock: Clock, plugged: bool, record: Record) -> None:
        self.received: list[tuple[int, bytes]] = []
        self.on_data: Callable[[bytes], None] | None = None
        self.connected = False
        self._clock = clock
        self._record = record
        self._endpoint = 0
        self._waiting = bytearray()
        self._armed: int | None = None  # size of the buffer that the device has offered
        self._usb = mcu.usb_ctrl
        self._cdc = USBCDC(mcu.usb_ctrl)
        self._cdc.on_serial_data = self._take
        self._cdc.on_device_connected = self._connect
        self._answer = self._usb.on_endpoint_read
        self._forget = self._usb.on_reset
        self._usb.on_endpoint_read = self._offer
        self._usb.on_reset = self._drop
        if not plugged:
            self._usb.on_usb_enabled = None

    @property
    def data(self) -> bytes:
        """Everything that the device has sent."""
        return b"".join(packet for _t_ns, packet in self.received)

    @property
    def waiting(self) -> int:
        """How many bytes the device has not taken yet."""
        return len(self._waiting)

    def send(self, data: bytes) -> None:
        """Queue bytes for the device; they go when it offers room."""
        self._waiting += data
        self._feed()

    def _connect(self) -> None:
        self.connected = True

    def _drop(self) -> None:
        self.connected = False
        self._waiting.clear()
        self._armed = None
        if self._forget is not None:
            self._forget()

    def _offer(self, endpoint: int, size: int) -> None:
        if endpoint == 0 and self._answer is not None:
            self._answer(endpoint, size)
        elif endpoint != 0:
            self._armed = size
            self._endpoint = endpoint
            self._feed()

    def _feed(self) -> None:
        if self._armed is None or not self._waiting:
            return
        packet = bytes(self._waiting[: self._armed])
        del self._waiting[: self._armed]
        self._armed = None
        self._usb.endpoint_read_done(self._endpoint, packet)
        self._record(packet, False)

    def _take(self, packet: bytes | bytearray) -> None:
        if not packet:
            return
        self.received.append((self._clock.now_ns, bytes(packet)))
        if self.on_data is not None:
            self.on_data(bytes(packet))
        self._record(bytes(packet), True)
