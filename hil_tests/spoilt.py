"""Packages that must not be used, each with the code that says why."""

from __future__ import annotations

from gantryguard.profiles.package import redigest, with_words
from gantryguard.profiles.profile import Profile
from interposer.core import package as core
from interposer.core import reasons

NAME_AT = 28  # of the header: behind magic, format, mode, length, layout, board, counter, two counts


def spoilt(profile: Profile) -> dict[str, tuple[bytes | None, int]]:
    """(unsigned package or None for no file, reason) by what is wrong. All but the first five have a digest that fits."""
    blob = profile.blob[: profile.package.length]
    flipped = bytearray(blob)
    flipped[len(blob) // 2] ^= 1
    return {
        "missing": (None, reasons.NO_PACKAGE),
        "empty": (b"", reasons.PACKAGE_CORRUPT),
        "truncated": (blob[:-4], reasons.PACKAGE_CORRUPT),
        "flipped bit": (bytes(flipped), reasons.PACKAGE_CORRUPT),
        "too big": (blob + bytes(70_000), reasons.PACKAGE_TOO_LONG),
        "other layout": (_put(blob, 12, b"\0\0\0\0"), reasons.PACKAGE_FOREIGN),
        "other board": (_put(blob, 16, b"\0\0\0\0"), reasons.PACKAGE_BOARD),
        "wild section": (_put(blob, core.HEADER_BYTES + 4, b"\xff\xff\xff\x7f"), reasons.PACKAGE_UNUSABLE),
        "name is not ASCII": (_put(blob, NAME_AT, "ct\u00e9".encode()), reasons.PACKAGE_UNUSABLE),
        "wild slot": (with_words(blob, {("limits", 0): 99_999}), reasons.PACKAGE_UNUSABLE),
    }


def _put(blob: bytes, at: int, data: bytes) -> bytes:
    return redigest(blob[:at] + data + blob[at + len(data) :])
