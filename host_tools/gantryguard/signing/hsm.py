"""The door for a hardware security module: PKCS#11 3.1 with the mechanism CKM_HSS, one level.

The module keeps seed and state, as SP 800-208 asks of a key that matters. `python-pkcs11` is not installed by default.
Tried against no real module: the tests drive it with a stand-in that speaks the same calls.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from gantryguard.errors import NO_HSM, UserError, cause

CKM_HSS = 0x0000_4033  # PKCS#11 3.1, 6.14
ONE_LEVEL = b"\0\0\0\1"  # before the LMS public key of an HSS key
LAST_LEVEL = b"\0\0\0\0"  # before the LMS signature of an HSS signature


@dataclass(frozen=True)
class HsmSigner:
    """Signs with a key that never leaves its module."""

    public: bytes
    key: Any

    def sign(self, message: bytes) -> bytes:
        """A signature. Raises UserError (exit 24)."""
        try:
            signature = bytes(self.key.sign(message, mechanism=CKM_HSS))
        except Exception as error:  # whatever a vendor's library raises
            remedy = "see the module's own log; a key that has made all its signatures has to be rotated out."
            raise UserError(f"The module does not sign ({cause(error)}).", remedy=remedy, exit_code=NO_HSM) from error
        if not signature.startswith(LAST_LEVEL):
            remedy = "make the key as HSS with one level, LMS_SHA256_M24_H10, LMOTS_SHA256_N24_W4."
            raise UserError("The module signed with more than one level.", remedy=remedy, exit_code=NO_HSM)
        return signature[len(LAST_LEVEL) :]


def open_module(library: str, token: str, label: str, pin: str) -> HsmSigner:
    """The signer for the key `label` on `token`. Raises UserError (exit 24)."""
    try:
        pkcs11 = importlib.import_module("pkcs11")
    except ImportError as error:
        remedy = "run `.venv/bin/python -m pip install python-pkcs11`, or sign with a key file."
        raise UserError("python-pkcs11 is not installed.", remedy=remedy, exit_code=NO_HSM) from error
    try:
        session = pkcs11.lib(library).get_token(token_label=token).open(user_pin=pin)
        key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=label)
        public = session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label=label)
        value = bytes(public[pkcs11.Attribute.VALUE])
    except Exception as error:  # whatever a vendor's library raises
        remedy = "check the library's path, the token's and the key's names, and the PIN."
        raise UserError(f"The module cannot be used ({cause(error)}).", remedy=remedy, exit_code=NO_HSM) from error
    return HsmSigner(value[len(ONE_LEVEL) :], key)
