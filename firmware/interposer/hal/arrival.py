"""A package that arrives at the maintenance port, piece by piece, on its way into the spare slot."""

import binascii
import sys

from interposer.core.compat import const
from interposer.core.reasons import NONE, UPDATE_GARBLED, UPDATE_ORDER, UPDATE_TOO_MUCH
from interposer.hal.patience import Patience

PACKET_BYTES = const(64)
PIECE_BYTES = const(4096)
TURN_BYTES = const(512)  # read in one turn: 2.5 ms


class Arrival:
    """`length` bytes for `file`, of which `at` have come; `digest` is what the host calls the package.

    `room`: PIECE_BYTES that were to be had before the code of the update cut the heap into pieces.
    """

    def __init__(self, file, length, digest, room):
        self.file = file
        self.length = length
        self.digest = digest
        self.at = 0
        self.piece = memoryview(room)
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
        """Read some of the piece; a reason where it is complete, or never will be, else None."""
        at = self.size - self.left
        end = min(at + TURN_BYTES, self.size)
        self.patience.start()
        sys.stdin.buffer.readinto(self.piece[at:end])
        self.left = self.size - end
        if self.patience.is_over():  # the rest never came
            self.left = 0
            return UPDATE_GARBLED
        return None if self.left else self._take()

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
