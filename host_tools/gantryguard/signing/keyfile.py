"""Private keys in files: the seed encrypted under a passphrase, the state beside it.

`NAME.key` is JSON: the public key, and the seed sealed by AES-256-GCM under a key that scrypt makes of the passphrase; the
public key is bound to it. `NAME.state` says which one-time key is next (`state.py`). On purpose there is no backup of a key.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gantryguard.errors import KEY_FILE, WRONG_PASSPHRASE, UserError
from gantryguard.signing.lms import SEED_BYTES, SIGNATURES, LmsKey
from gantryguard.signing.records import identifier
from gantryguard.signing.state import State, write_durably

FORMAT = 1
ALGORITHM = "LMS_SHA256_M24_H10 LMOTS_SHA256_N24_W4"
IDENTIFIER_BYTES, SALT_BYTES, NONCE_BYTES = 16, 16, 12
SCRYPT = {"n": 1 << 15, "r": 8, "p": 1}  # 32 MiB, about 0.1 s
LEAST_PASSPHRASE = 12


@dataclass(frozen=True)
class KeyFile:
    """A key on disk; a `Signer` once it is unlocked."""

    path: Path
    content: dict[str, Any]

    @property
    def public(self) -> bytes:
        """The public key, 48 bytes."""
        return bytes.fromhex(self.content["public"])

    @property
    def state(self) -> State:
        """Which one-time key is the next."""
        return State(self.path.with_suffix(".state"), identifier(self.public).hex(), SIGNATURES)

    def unlock(self, passphrase: str) -> FileSigner:
        """The signer. Raises UserError (exit 21) for another passphrase, or a file that was changed."""
        sealed = {name: bytes.fromhex(self.content[name]) for name in ("salt", "nonce", "sealed")}
        try:
            cipher = AESGCM(_stretch(passphrase, sealed["salt"]))
            seed = cipher.decrypt(sealed["nonce"], sealed["sealed"], self.public)
        except InvalidTag as error:
            remedy = "type the passphrase of this key; a forgotten one is a lost key: docs/update.md says what to do then."
            raise UserError(f"{self.path} does not open.", remedy=remedy, exit_code=WRONG_PASSPHRASE) from error
        return FileSigner(LmsKey(seed, identifier(self.public)), self.public, self.state)


@dataclass(frozen=True)
class FileSigner:
    """Signs with the key of a file."""

    key: LmsKey
    public: bytes
    state: State

    def sign(self, message: bytes) -> bytes:
        """A signature by a one-time key that is given up before it is used. Raises UserError (exit 23, 25)."""
        return self.key.sign(message, self.state.reserve())


def create(path: Path, passphrase: str) -> KeyFile:
    """Make a key. Raises UserError (exit 20, 21) where there is one already, or for a passphrase that is too short."""
    if path.suffix != ".key":
        path = path.with_name(path.name + ".key")
    if path.exists():
        raise UserError(
            f"{path} is there already.", remedy="choose another name; a key is never overwritten.", exit_code=KEY_FILE
        )
    if len(passphrase) < LEAST_PASSPHRASE:
        text = f"The passphrase has fewer than {LEAST_PASSPHRASE} characters."
        raise UserError(
            text, remedy="choose a longer one: whoever gets the file will try them all.", exit_code=WRONG_PASSPHRASE
        )
    key = LmsKey(os.urandom(SEED_BYTES), os.urandom(IDENTIFIER_BYTES))
    public, salt, nonce = key.public(), os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    sealed = AESGCM(_stretch(passphrase, salt)).encrypt(nonce, key.seed, public)
    named = {"public": public, "salt": salt, "nonce": nonce, "sealed": sealed}
    content = {"format": FORMAT, "algorithm": ALGORITHM, **{name: value.hex() for name, value in named.items()}}
    made = KeyFile(path, content)
    made.state.create()
    write_durably(path, json.dumps(content, indent=1).encode() + b"\n")
    return made


def load(path: Path) -> KeyFile:
    """Read a key file. Raises UserError (exit 20)."""
    remedy = "name a file that `gantryguard keys create` wrote."
    try:
        content = json.loads(path.read_text(encoding="ascii"))
        lengths = [len(bytes.fromhex(content[name])) for name in ("public", "salt", "nonce", "sealed")]
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.", remedy=remedy, exit_code=KEY_FILE) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no key file.", remedy=remedy, exit_code=KEY_FILE) from error
    if content.get("algorithm") != ALGORITHM or lengths[:3] != [48, SALT_BYTES, NONCE_BYTES]:
        raise UserError(f"{path} is a key of another kind.", remedy=remedy, exit_code=KEY_FILE)
    return KeyFile(path, content)


def _stretch(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, **SCRYPT).derive(passphrase.encode())
