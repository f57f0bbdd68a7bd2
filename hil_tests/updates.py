"""Packages for updates, good and bad, signed by development keys, and what a test asks about an update."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from guard import Guard
from test_other_device import PATIENT

from gantryguard.client.device_image import read_filesystem
from gantryguard.client.push import Push
from gantryguard.errors import UserError
from gantryguard.profiles.package import redigest
from gantryguard.profiles.profile import Profile
from gantryguard.reasons import TEXTS
from gantryguard.rig.clock import MS
from gantryguard.signing.development import PACKAGE, ROOT_1, ROOT_2, DevelopmentSigner
from gantryguard.signing.records import RootPlan, sign_package, sign_root
from gantryguard.signing.signer import Signer
from interposer.core import package as core

COUNTER_AT, BOARD_AT = 20, 16
STRANGER, NEW_PACKAGE, NEW_ROOT = (DevelopmentSigner(name) for name in ("stranger", "package of 2", "root of 2"))


def bare(profile: Profile, counter: int = 2, changes: Sequence[tuple[int, bytes]] = ()) -> bytes:
    """The profile's package without signatures, of another counter, bytes of the header put in at places."""
    blob = profile.blob[: int.from_bytes(profile.blob[8:12], "little")]
    blob = redigest(blob[:COUNTER_AT] + struct.pack("<I", counter) + blob[COUNTER_AT + 4 :])
    for at, data in changes:
        blob = blob[:at] + data + blob[at + len(data) :]
    return with_digest(blob)


def with_digest(blob: bytes) -> bytes:
    """The same bytes with the digest that fits them, whatever else is wrong with them."""
    digest: bytes = core.digest_of(blob, len(blob))
    return blob[: core.DIGEST_AT] + digest + blob[core.DIGEST_AT + len(digest) :]


def signed(blob: bytes, signers: Sequence[Signer] = (PACKAGE,), roots: Sequence[bytes] = ()) -> bytes:
    """A bare package with signatures and root records."""
    return sign_package(blob, blob[core.DIGEST_AT : core.HEADER_BYTES], signers, roots)


def root(plan: RootPlan, signers: Sequence[Signer] = (ROOT_1, ROOT_2)) -> bytes:
    """A root record, signed."""
    return sign_root(plan.record(), signers)


def next_root(**changes: object) -> RootPlan:
    """What follows the development root: one root key and the package key are new."""
    usual: dict[str, object] = {
        "version": 2,
        "root_keys": [ROOT_1.public, NEW_ROOT.public],
        "package_keys": [NEW_PACKAGE.public],
    }
    return RootPlan(**{**usual, **changes})  # type: ignore[arg-type]  # as `RootPlan` names them


def pushing(guard: Guard, blob: bytes) -> Push:
    """An update of this guard."""
    return Push(guard, blob, blob[core.DIGEST_AT : core.HEADER_BYTES])


def push(guard: Guard, blob: bytes) -> None:
    """Bring a package to a guard, to the end."""
    update = pushing(guard, blob)
    update.send()
    update.install()


def refused(guard: Guard, blob: bytes) -> int:
    """The reason for which a guard refuses a package."""
    with pytest.raises(UserError, match="Remedy: ") as caught:
        push(guard, blob)
    (code,) = [code for code, (name, _text) in TEXTS.items() if f"({name})" in caught.value.message]
    return code


def works(guard: Guard) -> None:
    """The guard passes frames, relay closed."""
    guard.pico.run_for(5 * MS)  # a relay falls off only some time after a reset
    assert guard.run_until(lambda: guard.pico.relay.closed, 2000), guard.ask("status")
    guard.pico.run_for(30 * MS)
    frame = guard.frame("patient", PATIENT)
    assert guard.send(frame) == frame


def files(guard: Guard) -> dict[str, bytes]:
    """The files on its flash, as a power cut would leave them."""
    return read_filesystem(guard.pico.flash.content())


def digest_of(guard: Guard) -> str:
    """What runs."""
    return str(guard.ask("status")["package_digest"])


def untouched(guard: Guard, before: str) -> None:
    """The package of before runs, and the link is guarded by it."""
    assert digest_of(guard) == before
    works(guard)
    frame = bytearray(guard.frame("patient", PATIENT))
    frame[-2] ^= 1
    assert guard.send(bytes(frame), 150) == b""
