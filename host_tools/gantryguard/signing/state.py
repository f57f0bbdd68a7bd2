"""Which one-time key of an LMS key is the next: the one thing that must never be forgotten or restored.

Two signatures with the same one-time key let anybody forge a third (NIST SP 800-208, section 8). So the number is raised in a
file of its own, forced to the disk, before the signature is made: a crash in between wastes a number and reuses none.
A second mark lies outside the key's folder, so that a folder that came back from a backup is found out on this machine.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gantryguard.errors import KEY_SPENT, KEY_STATE, UserError

REMEDY = (
    "do not sign with this key again: sign with the second root key that was provisioned, and rotate this one out with "
    "`gantryguard keys rotate` (docs/update.md)."
)


def marks() -> Path:
    """Folder of the marks of this machine."""
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "gantryguard" / "keys"


class State:
    """The counter of one key. `key` is its identifier in hexadecimal digits, `most` how many signatures it can make."""

    def __init__(self, path: Path, key: str, most: int) -> None:
        self.path = path
        self.key = key
        self.most = most
        self.mark = marks() / key

    def create(self) -> None:
        """Begin at 0. Raises UserError (exit 23) where there is a state or a mark already."""
        if self.path.exists() or self.mark.exists():
            raise UserError(f"The key {self.key[:8]} has signed before.", remedy=REMEDY, exit_code=KEY_STATE)
        self._write(0)

    def left(self) -> int:
        """How many signatures are left. Raises UserError (exit 23)."""
        return self.most - self._next()

    def reserve(self) -> int:
        """The next number, which nobody will ever get again. Raises UserError (exit 23, 25)."""
        with self._locked():
            number = self._next()
            if number >= self.most:
                remedy = "create a new key and rotate to it with `gantryguard keys rotate`, signed by the second root key."
                raise UserError(f"The key {self.key[:8]} has made all its signatures.", remedy=remedy, exit_code=KEY_SPENT)
            self._write(number + 1)
        return number

    def _next(self) -> int:
        number = self._read(self.path)
        if number is None:
            text = f"The state of the key {self.key[:8]} ({self.path}) is missing or damaged."
            raise UserError(text, remedy=REMEDY, exit_code=KEY_STATE)
        if number < (self._read(self.mark) or 0):
            text = f"The state of the key {self.key[:8]} is older than what this machine remembers: a restored copy."
            raise UserError(text, remedy=REMEDY, exit_code=KEY_STATE)
        return number

    def _read(self, path: Path) -> int | None:
        try:
            content = json.loads(path.read_text(encoding="ascii"))
            number = content["next"]
            return number if content["key"] == self.key and isinstance(number, int) and number >= 0 else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self, number: int) -> None:
        for path in (self.path, self.mark):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_durably(path, json.dumps({"key": self.key, "next": number}).encode() + b"\n")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file at once and for good: nobody but its owner may read it, and it is on the disk when this returns."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
