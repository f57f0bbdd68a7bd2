"""The development root: keys that everybody has, so that a demo and the tests can sign without a secret.

Their seeds are this source. A device that believes them believes anybody: they are for emulated boards and benches, and
commands that touch a real device refuse them unless they are asked for by name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from gantryguard import paths
from gantryguard.errors import DEVELOPMENT, UserError
from gantryguard.signing.lms import SEED_BYTES, LmsKey
from gantryguard.signing.records import RootPlan, identifier, read_root, sign_package, sign_root
from interposer.core import trust
from interposer.core.package import HEADER_BYTES, Package

ROOT_FILE = paths.MODELS / "development-root.bin"
NAMES = ("root 1", "root 2", "package")
NUMBER = 0  # of the one-time key: always the same, which would give a secret key away


@dataclass(frozen=True)
class DevelopmentSigner:
    """Signs as one of NAMES, or as further keys of tests; equal messages give equal signatures."""

    name: str

    @property
    def key(self) -> LmsKey:
        """The key, which is no secret."""
        made = hashlib.sha256(f"GantryGuard development key, not secret: {self.name}".encode()).digest()
        return LmsKey(made[:SEED_BYTES], hashlib.sha256(made).digest()[:16])

    @property
    def public(self) -> bytes:
        """The public key, 48 bytes."""
        return self.key.public()

    def sign(self, message: bytes) -> bytes:
        """A signature that proves nothing."""
        return self.key.sign(message, NUMBER)


ROOT_1, ROOT_2, PACKAGE = (DevelopmentSigner(name) for name in NAMES)


def make_root() -> bytes:
    """The root record with its signatures: two root keys and one for packages, for any board and any link."""
    plan = RootPlan(1, [ROOT_1.public, ROOT_2.public], [PACKAGE.public])
    return sign_root(plan.record(), [ROOT_1, ROOT_2])


def root_file() -> bytes:
    """The committed root record."""
    return ROOT_FILE.read_bytes()


def sign(blob: bytes) -> bytes:
    """An unsigned package signed by the development key; one that is signed stays as it is."""
    length = int.from_bytes(blob[8:12], "little")
    if length != len(blob) or length < HEADER_BYTES:
        return blob
    return sign_package(blob, Package(blob, "").digest, [PACKAGE])


def provisioned(blob: bytes) -> dict[str, bytes]:
    """Files of a device that believes the development root, with a package that it signs unless it is signed."""
    return {"package.bin": sign(blob), "root.bin": root_file()}


def refuse(root: trust.Root, name: str, asked_for: bool) -> None:
    """Raise UserError (exit 28) for a root record with a development key, unless it was asked for."""
    ours = {identifier(key) for key in _known()}
    if not asked_for and any(ours & set(keys) for keys in root.keys.values()):
        remedy = "make your own keys (`gantryguard keys create`, `keys root`), or say --development on a bench."
        raise UserError(f"{name} trusts the development keys, which everybody has.", remedy=remedy, exit_code=DEVELOPMENT)


def _known() -> list[bytes]:
    root = read_root(root_file(), ROOT_FILE.name)
    return [key for keys in root.keys.values() for key in keys.values()]


def check() -> None:
    """Raise UserError (exit 4) where the committed record is not what this module makes."""
    if not ROOT_FILE.is_file() or root_file() != make_root():
        raise UserError(f"{ROOT_FILE.name} does not fit its source.", remedy="run `make gen`.", exit_code=4)


def write(target: Path = ROOT_FILE) -> None:
    """Write the record."""
    target.write_bytes(make_root())
