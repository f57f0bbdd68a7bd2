"""What signs: a key file, a hardware security module, or the development keys."""

from __future__ import annotations

from typing import Protocol


class Signer(Protocol):
    """One LMS key. Every call of `sign` uses a one-time key up."""

    @property
    def public(self) -> bytes:
        """The public key, 48 bytes."""

    def sign(self, message: bytes) -> bytes:
        """A signature, 1500 bytes. Raises UserError where the key cannot or must not sign."""
