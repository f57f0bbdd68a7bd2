"""Commands for the flash chip that MicroPython runs from, given by code in RAM that does not wait for their end.

What MicroPython offers hands the chip to the boot ROM and stands still until it is ready, some 45 ms for an erase. Between
`begin` and `end` nothing in flash can be run or read, so that interrupts are off; code in RAM goes on. Functions of the boot
ROM and the order of their calls: RP2040 data sheet, 2.8.3.1.3; registers: 2.19.6.2 and 4.10.13; commands: W25Q16JV data
sheet, 8.2.
"""

from array import array

from machine import mem16
from uctypes import addressof, bytearray_at

from interposer.core.compat import const, micropython
from interposer.places import C_COUNT

# A row of words, in bytes; from C_ENABLE on it is in `places.py`, by word.
CONNECT = const(0)  # functions of the boot ROM
EXIT = const(4)
FLUSH = const(8)
RESTORE = const(12)  # the second stage of the boot, in RAM: flash can be read again
SELECT = const(16)  # the register of the chip's select line
SSI = const(20)

ROM_TABLE = const(0x14)
CODES = (b"IF", b"EX", b"FC")
SELECT_LINE = const(0x4001800C)
SSI_BASE = const(0x18000000)
S_STATUS = const(0x28)
S_DATA = const(0x60)
FLASH_BASE = const(0x10000000)
BOOT_BYTES = const(256)
THUMB = const(1)

WRITE_ENABLE = const(0x06)
READ_STATUS = const(0x05)
PROGRAM = const(0x02)
ERASE = const(0x20)  # 4 kB
HEADER_BYTES = const(4)
PAGE_BYTES = const(256)
COMMAND_AT = const(4)  # behind what enables and what asks

# Instructions that the inline assembler has no name for.
CALL_1 = const(0x4788)  # blx r1


@micropython.asm_thumb
def begin(r0):
    """r0 the row of words. From now on flash is a chip that takes commands, and interrupts are off."""
    cpsid("i")
    mov(r4, r0)
    ldr(r1, [r4, CONNECT])
    data(2, CALL_1)
    ldr(r1, [r4, EXIT])
    data(2, CALL_1)


@micropython.asm_thumb
def exchange(r0, r1, r2):
    """r0 the row of words, r1 address of a command, r2 its bytes: give it; the byte that came back last."""
    ldr(r3, [r0, SELECT])
    mov(r5, 3)
    lsl(r5, r5, 8)
    ldr(r4, [r3, 0])
    bic(r4, r5)
    mov(r7, 2)
    lsl(r7, r7, 8)
    orr(r4, r7)
    str(r4, [r3, 0])
    ldr(r6, [r0, SSI])
    label(BYTE)
    ldrb(r4, [r1, 0])
    str(r4, [r6, S_DATA])
    label(WAIT)
    ldr(r4, [r6, S_STATUS])
    lsr(r4, r4, 4)
    bcc(WAIT)
    ldr(r0, [r6, S_DATA])
    add(r1, 1)
    sub(r2, 1)
    bne(BYTE)
    ldr(r4, [r3, 0])
    orr(r4, r5)
    str(r4, [r3, 0])


@micropython.asm_thumb
def end(r0):
    """r0 the row of words. The chip is ready, and its content can be read and run again."""
    mov(r4, r0)
    ldr(r1, [r4, FLUSH])
    data(2, CALL_1)
    ldr(r1, [r4, RESTORE])
    data(2, CALL_1)
    cpsie("i")


class FlashChip:
    """Lays out what is to be done; `words` is what the functions above work on."""

    functions = (begin, exchange, end)

    def __init__(self):
        self.boot = bytearray(bytearray_at(FLASH_BASE, BOOT_BYTES))
        self.bytes = bytearray(COMMAND_AT + HEADER_BYTES + PAGE_BYTES)
        self.bytes[0] = WRITE_ENABLE
        self.bytes[1] = READ_STATUS
        at = addressof(self.bytes)
        calls = [_function(code) for code in CODES]
        calls.append(addressof(self.boot) + THUMB)
        self.words = array("I", calls + [SELECT_LINE, SSI_BASE, at, at + 1, at + COMMAND_AT, 0])

    def erase(self, at):
        """The next command: erase the sector that begins at byte `at` of the chip."""
        self._lay(ERASE, at, HEADER_BYTES)

    def program(self, at, content):
        """The next command: program `content`, within one page, at byte `at` of the chip."""
        self._lay(PROGRAM, at, HEADER_BYTES + len(content))
        self.bytes[COMMAND_AT + HEADER_BYTES : COMMAND_AT + HEADER_BYTES + len(content)] = content

    def _lay(self, opcode, at, count):
        self.bytes[COMMAND_AT] = opcode
        for place in (1, 2, 3):
            self.bytes[COMMAND_AT + place] = at >> 24 - 8 * place & 255
        self.words[C_COUNT] = count


def _function(code):
    """Address of a function of the boot ROM, by its two letters."""
    entry = mem16[ROM_TABLE]
    wanted = int.from_bytes(code, "little")
    while mem16[entry] != wanted:
        entry += 4
    return mem16[entry + 2]
