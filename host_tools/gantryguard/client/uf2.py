"""UF2, the format in which the Pico's boot loader takes its flash (github.com/microsoft/uf2).

A file is a row of 512-byte blocks, each with a 32-byte header, 256 bytes of flash and padding.
"""

from __future__ import annotations

import struct

from gantryguard.errors import UserError

FLASH_BASE = 0x1000_0000
FLASH_BYTES = 2 * 1024 * 1024  # fitted on the Pico
PAGE = 256
BLANK = b"\xff" * PAGE

_HEADER = struct.Struct("<8I")  # magic, magic, flags, address, bytes, block, blocks, family
_MAGIC = (0x0A324655, 0x9E5D5157)
_END = struct.pack("<I", 0x0AB16F30)
_BLOCK = 512
_FAMILY_PRESENT = 0x2000
_RP2040 = 0xE48BFF56


def to_uf2(flash: bytes) -> bytes:
    """UF2 of the bytes that shall stand at the start of flash; blank pages are left out."""
    pages = [offset for offset in range(0, len(flash), PAGE) if flash[offset : offset + PAGE] != BLANK]
    blocks = bytearray()
    for number, offset in enumerate(pages):
        payload = flash[offset : offset + PAGE].ljust(PAGE, b"\xff")
        fields = (FLASH_BASE + offset, PAGE, number, len(pages), _RP2040)
        blocks += _HEADER.pack(*_MAGIC, _FAMILY_PRESENT, *fields)
        blocks += payload.ljust(_BLOCK - _HEADER.size - len(_END), b"\0") + _END
    return bytes(blocks)


def from_uf2(uf2: bytes) -> bytes:
    """The 2 MiB of flash that a UF2 leaves behind. Raises UserError (exit 3) if it is not for this board."""
    flash = bytearray(b"\xff" * FLASH_BYTES)
    if not uf2 or len(uf2) % _BLOCK:
        raise _fault("its size is no multiple of 512 bytes")
    for start in range(0, len(uf2), _BLOCK):
        block = uf2[start : start + _BLOCK]
        magic0, magic1, _flags, address, size, _number, _blocks, family = _HEADER.unpack_from(block)
        offset = address - FLASH_BASE
        if (magic0, magic1) != _MAGIC or block[-4:] != _END:
            raise _fault(f"block {start // _BLOCK} has no UF2 marks")
        if family != _RP2040 or size > PAGE or not 0 <= offset <= FLASH_BYTES - size:
            raise _fault(f"block {start // _BLOCK} is not for the flash of an RP2040 with 2 MiB")
        flash[offset : offset + size] = block[_HEADER.size : _HEADER.size + size]
    return bytes(flash)


def _fault(what: str) -> UserError:
    return UserError(f"This is not a UF2 for the Pico: {what}.", remedy="Build the image again.", exit_code=3)
