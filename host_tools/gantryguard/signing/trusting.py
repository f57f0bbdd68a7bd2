"""Checks a package on the host exactly as a device would when it arrives, against a root record; and whether it has expired."""

from __future__ import annotations

import datetime
from pathlib import Path

from gantryguard.errors import EXPIRED, KEY_FILE, NOT_SIGNED, UserError
from gantryguard.profiles.dates import EPOCH, NEVER, date_of
from gantryguard.profiles.package import DEFAULT_BOARD
from gantryguard.reasons import TEXTS
from gantryguard.signing.records import read_root
from interposer.core.package import Package
from interposer.core.reasons import NONE
from interposer.core.trust import Root, Trust


def load_root(path: Path) -> Root:
    """A root record from a file. Raises UserError (exit 20, 22)."""
    try:
        return read_root(path.read_bytes(), str(path))
    except OSError as error:
        remedy = "name the file that `gantryguard keys root` wrote."
        raise UserError(f"Cannot read {path}: {error.strerror}.", remedy=remedy, exit_code=KEY_FILE) from error


def verify(blob: bytes, root: Root, board: str = DEFAULT_BOARD, least_counter: int = 0) -> Package:
    """The package, where the root record vouches for it. Raises UserError (exit 26) with the device's own reason."""
    package = Package(blob, board, Trust(root, least_counter))
    if package.reason != NONE:
        name, text = TEXTS[package.reason]
        remedy = "sign it with keys of this root record (`gantryguard package sign`), or name the right root record."
        raise UserError(f"A device would refuse this package ({name}): {text}.", remedy=remedy, exit_code=NOT_SIGNED)
    return package


def refuse_expired(package: Package, today: datetime.date) -> None:
    """Raise UserError (exit 27) for a package past its date: somebody may be keeping newer ones from us."""
    if package.expires != NEVER and (today - EPOCH).days > package.expires:
        remedy = "fetch the newest package from where packages are made; if this is it, have it issued and signed anew."
        raise UserError(f"The package expired on {date_of(package.expires)}.", remedy=remedy, exit_code=EXPIRED)


def age_note(package_issued: int, today: datetime.date) -> str:
    """How old a package is, in words; "" where it does not say."""
    return f"{(today - EPOCH).days - package_issued} days old" if package_issued != NEVER else ""
