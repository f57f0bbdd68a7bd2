"""The filesystem, with operations of the flash that let frames pass.

littlefs asks for an operation and gets it done: what happens meanwhile it need not know. It is mounted in the place of
MicroPython's own.
"""

import rp2
import vfs

from interposer.core.compat import const
from interposer.hal.flash_chip import PAGE_BYTES

FLASH_BYTES = const(2097152)
BLOCK_BYTES = const(4096)
ROOT = "/"
# Requests to a block device.
BLOCKS = const(4)
ERASE_BLOCK = const(6)


class Disc:
    """A block device. `work` lets the flash do what was laid out on `chip`, and carries frames until it is done.

    `attend` carries those that wait: for the time between two operations.
    """

    def __init__(self, chip, work, attend):
        self.chip = chip
        self.work = work
        self.attend = attend
        self.flash = rp2.Flash()
        self.start = FLASH_BYTES - (self.flash.ioctl(BLOCKS, 0) or 0) * BLOCK_BYTES

    def readblocks(self, block, buffer, offset=0):
        """Read as MicroPython does."""
        self.flash.readblocks(block, buffer, offset)
        self.attend()

    def writeblocks(self, block, buffer, offset):
        """Program erased bytes, page by page."""
        at = self.start + block * BLOCK_BYTES + offset
        content = memoryview(buffer)  # slices of which are no copies: each would bring the next collection of garbage nearer
        done = 0
        while done < len(buffer):
            end = min(done + PAGE_BYTES - at % PAGE_BYTES, len(buffer))
            self.chip.program(at, content[done:end])
            self.work()
            at += end - done
            done = end

    def ioctl(self, request, block):
        """Erase a block, or answer as MicroPython does."""
        if request != ERASE_BLOCK:
            return self.flash.ioctl(request, block)
        self.chip.erase(self.start + block * BLOCK_BYTES)
        self.work()
        return 0


def mount(chip, work, attend):
    """From now on files are read and written through a `Disc`; those that are open have to be opened again."""
    disc = Disc(chip, work, attend)
    vfs.umount(ROOT)
    vfs.mount(vfs.VfsLfs2(disc, progsize=PAGE_BYTES), ROOT)  # type: ignore[arg-type]  # the methods that littlefs calls
