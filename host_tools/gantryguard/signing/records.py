"""Builds root records and the tails of packages: bytes as `interposer.core.trust` reads them."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from gantryguard.errors import BAD_RECORD, UserError
from gantryguard.reasons import TEXTS
from gantryguard.signing.signer import Signer
from interposer.core import lms, trust
from interposer.core.package import ANY, TAIL_MAGIC
from interposer.core.reasons import NONE, ROOT_UNTRUSTED


@dataclass(frozen=True)
class RootPlan:
    """What a root record shall say. Thresholds count signatures; `counter` None leaves the devices' counters as they are."""

    version: int
    root_keys: Sequence[bytes]
    package_keys: Sequence[bytes]
    root_threshold: int = 1
    package_threshold: int = 1
    counter: int | None = None
    board: bytes = ANY
    wire: bytes = ANY
    schema: bytes = ANY

    def record(self) -> bytes:
        """The record without signatures. Raises UserError (exit 22) where it would not be accepted."""
        keys = [(trust.ROOT_ROLE, key) for key in self.root_keys] + [(trust.PACKAGE_ROLE, key) for key in self.package_keys]
        head = struct.pack(
            trust.ROOT_HEAD,
            trust.ROOT_MAGIC,
            trust.ROOT_FORMAT,
            len(keys),
            self.version,
            trust.NO_RESET if self.counter is None else self.counter,
            self.root_threshold,
            self.package_threshold,
            0,
            self.board,
            self.wire,
            self.schema,
            bytes(32),
        )
        record = head + b"".join(bytes((role, 0, 0, 0)) + key for role, key in keys)
        digest: bytes = trust.root_digest(record)
        record = record[: trust.ROOT_DIGEST_AT] + digest + record[trust.ROOT_HEAD_BYTES :]
        if trust.Root(record).reason != NONE:
            remedy = "name different keys, at most eight, and thresholds that their numbers can meet."
            raise UserError("These keys make no root record.", remedy=remedy, exit_code=BAD_RECORD)
        return record


def sign_root(record: bytes, signers: Sequence[Signer]) -> bytes:
    """A root record with its signatures, as a file holds it."""
    return record + tail(trust.OF_ROOT + trust.root_digest(record), signers)


def sign_package(blob: bytes, digest: bytes, signers: Sequence[Signer], roots: Sequence[bytes] = ()) -> bytes:
    """An unsigned package with its signatures and the root records (files, oldest first) that it carries to devices."""
    return blob + tail(trust.OF_PACKAGE + digest, signers, len(roots)) + b"".join(roots)


def tail(message: bytes, signers: Sequence[Signer], roots: int = 0) -> bytes:
    """Signatures of a message."""
    signed = b"".join(identifier(signer.public) + signer.sign(message) for signer in signers)
    return struct.pack(trust.TAIL, TAIL_MAGIC, len(signers), roots, 0) + signed


def identifier(public: bytes) -> bytes:
    """The 16 bytes of a public key by which signatures name it."""
    return public[lms.IDENTIFIER_AT : lms.IDENTIFIER_AT + lms.IDENTIFIER_BYTES]


def read_root(data: bytes, name: str) -> trust.Root:
    """The root record of a file, its own signatures checked. Raises UserError (exit 22)."""
    file = io.BytesIO(data)
    length = trust.root_bytes(file, 0, len(data))
    root = trust.Root(data[:length])
    counts = trust.read_tail(file, length, len(data)) if length else None
    if root.reason != NONE or counts is None or length + trust.tail_bytes(counts[0]) != len(data):
        remedy = "take the file that `gantryguard keys root` or `gantryguard keys rotate` wrote."
        raise UserError(f"{name} is no root record.", remedy=remedy, exit_code=BAD_RECORD)
    if _signed_by_itself(data, length, counts[0], root) < root.thresholds[trust.ROOT_ROLE]:
        remedy = "let enough of its own root keys sign it."
        raise UserError(f"{name}: {TEXTS[ROOT_UNTRUSTED][1]}.", remedy=remedy, exit_code=BAD_RECORD)
    return root


def _signed_by_itself(data: bytes, at: int, count: int, root: trust.Root) -> int:
    """How many of its own root keys have signed a root record."""
    message, own = trust.OF_ROOT + trust.root_digest(root.record), root.keys[trust.ROOT_ROLE]
    held = set()
    for index in range(count):
        start = at + trust.tail_bytes(index)
        signature_at = start + trust.SIGNED_BY_BYTES
        key = own.get(data[start:signature_at], b"")
        if lms.verify(key, message, data[signature_at : signature_at + trust.SIGNATURE_BYTES]):
            held.add(key)
    return len(held)
