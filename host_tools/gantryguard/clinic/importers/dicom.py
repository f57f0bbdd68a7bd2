"""Opens DICOM files that nobody vouches for."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

META_LENGTH_AT, META_AT = 140, 144  # value of (0002,0000) in a file with a preamble, and what follows it
PIECE_BYTES = 1 << 20


def header(file: Path | bytes, tags: Sequence[str]) -> Dataset:
    """The elements named by `tags`, without pixels. Raises whatever pydicom raises for a broken file."""
    source = BytesIO(file) if isinstance(file, bytes) else file
    return pydicom.dcmread(source, stop_before_pixels=True, force=True, specific_tags=list(tags))


def inflates_beyond(file: Path | bytes, most: int) -> bool:
    """Whether a deflated file holds more than `most` bytes: pydicom would inflate all of it into memory."""
    with BytesIO(file) if isinstance(file, bytes) else file.open("rb") as source:
        start = source.read(META_AT)
        length = int.from_bytes(start[META_LENGTH_AT:META_AT], "little")
        if str(DeflatedExplicitVRLittleEndian).encode() not in source.read(min(length, PIECE_BYTES)):
            return False
        source.seek(META_AT + length)
        return _is_larger(source, most)


def _is_larger(source: BinaryIO, most: int) -> bool:
    inflating, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    waiting = source.read(PIECE_BYTES)
    while waiting and size <= most and not inflating.eof:
        size += len(inflating.decompress(waiting, PIECE_BYTES))
        waiting = inflating.unconsumed_tail or source.read(PIECE_BYTES)
    return size > most
