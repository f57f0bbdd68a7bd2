"""Packages on disk: reading the committed one of a profile, and looking into any."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from gantryguard import paths
from gantryguard.errors import UserError
from gantryguard.profiles.package import DEFAULT_BOARD
from gantryguard.profiles.profile import Profile
from gantryguard.reasons import TEXTS
from interposer.core.audit import audit
from interposer.core.codec import COMMAND_WORDS
from interposer.core.limits import LIMIT_WORDS
from interposer.core.package import MONITOR, P_BAUD, P_NETS, SECTIONS
from interposer.core.reasons import NONE


def package_path(profile: str) -> Path:
    """Where the package of a profile lies."""
    return paths.MODELS / profile / "package.bin"


def read_bytes(path: Path) -> bytes:
    """The bytes of a package file. Raises UserError (exit 5)."""
    try:
        return path.read_bytes()
    except OSError as error:
        remedy = "name a package file, or build one with `gantryguard package build`."
        raise UserError(f"Cannot read {path}: {error.strerror}.", remedy=remedy, exit_code=5) from error


def read_package(profile: str) -> bytes:
    """The committed package of a profile. Raises UserError (exit 5)."""
    return read_bytes(package_path(profile))


def load_profile(profile: str) -> Profile:
    """The committed package of a profile under its names. Raises UserError (exit 5)."""
    return Profile(read_package(profile))


def baud_of(profile: Profile) -> int:
    """The link's baud rate."""
    return int(profile.package.table("params")[P_BAUD])


def inspect(path: Path, board: str = DEFAULT_BOARD) -> dict[str, str | int]:
    """What a package says about itself, after the same checks as on the device. Raises UserError (exit 5)."""
    blob = read_bytes(path)
    profile = Profile(blob, board)
    package = profile.package
    reason = audit(package)
    if reason != NONE:
        remedy = "build it again with this version."
        raise UserError(f"The package cannot be used: {TEXTS[reason][1]}.", remedy=remedy, exit_code=5)
    sizes = ", ".join(f"{name} {len(memoryview(package.table(name)).cast('B'))}" for name in SECTIONS)
    return {
        "name": package.name,
        "board": board,
        "mode": "monitor" if package.mode == MONITOR else "enforce",
        "counter": package.counter,
        "bytes": len(blob),
        "sha256": sha256(blob).hexdigest(),
        "baud": baud_of(profile),
        "commands": len(package.table("commands")) // COMMAND_WORDS,
        "values": profile.size,
        "limits": len(package.table("limits")) // LIMIT_WORDS,
        "networks": package.table("params")[P_NETS],
        "section_bytes": sizes,
    }
