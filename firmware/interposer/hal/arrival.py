"""A package that arrives at the maintenance port, piece by piece, on its way into the spare slot."""

import binascii
import sys

from interposer.core.compat import const
from interposer.core.reasons import NONE, UPDATE_GARBLED, UPDATE_ORDER, UPDATE_TOO_MUCH
from interposer.hal.patience import Patience

PACKET_BYTES = const(64)
PIECE_BYTES = const(4096)
TURN_PACKETS = const(16)  # read in one turn: 7 ms


class Arrival:
    """`length` bytes for `file`, of which `at` have come; `digest` is what the host calls the package."""

    def __init__(self, file, length, digest):
        self.file = file
        self.length = length
        self.digest = digest
        self.at = 0
        self.piece = memoryview(bytearray(PIECE_BYTES))
        self.patience = Patience()
        self.size = self.count = self.check = self.left = 0

    def expect(self, at, count, check):
        """The next piece is announced; a reason."""
        if at != self.at or not 0 < count <= PIECE_BYTES:
            return UPDATE_ORDER
        if at + count > self.length:
            return UPDATE_TOO_MUCH
        self.count = count
        self.check = check
        self.size = self.left = (count + PACKET_BYTES - 1) // PACKET_BYTES * PACKET_BYTES
        return NONE

    def read(self):
        """Read some packets of the piece; a reason where it is complete, or never will be, else None."""
        for _ in range(TURN_PACKETS):
            at = self.size - self.left
            self.patience.start()
            sys.stdin.buffer.readinto(self.piece[at : at + PACKET_BYTES])
            self.left -= PACKET_BYTES
            if self.patience.is_over():  # the rest of a packet never came
                self.left = 0
                return UPDATE_GARBLED
            if not self.left:
                return self._take()
        return None

    def _take(self):
        data = self.piece[: self.count]
        if binascii.crc32(data) != self.check:
            return UPDATE_GARBLED
        self.file.write(data)
        self.at += self.count
        return NONE

    def close(self):
        """No more comes."""
        self.left = 0
        self.patience.close()
        self.file.close()
