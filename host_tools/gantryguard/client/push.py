"""Brings a package to a device: announce, send piece by piece, let it be verified, tried and confirmed.

Every refusal has the device's own reason, and a remedy for each of them here. A cable that breaks on the way costs the piece
that was on it: the device keeps what has come, and says how much when it is asked again.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Callable
from typing import Any, Protocol

from gantryguard.client.maintenance import Guard, Transport
from gantryguard.errors import REFUSED, UserError
from gantryguard.reasons import TEXTS
from interposer.core import reasons
from interposer.core.reasons import NONE

PACKET_BYTES = 64
PIECE_BYTES = 4096
DIGEST_DIGITS = 16
TRIES = 4  # of one piece
ANSWER_S = 5.0
RESTART_S = 15.0
Progress = Callable[[int, int], None]

BUILD_AGAIN = "build the package again with the gantryguard that belongs to the device's firmware."
SIGN_AGAIN = "sign it with a key that the device's root record names (`gantryguard device status` shows its version)."
REMEDIES: dict[int, str] = {
    reasons.NO_PACKAGE: "push a package.",
    reasons.PACKAGE_CORRUPT: "push again; where that fails too, the file itself is damaged: build and sign it again.",
    reasons.PACKAGE_FOREIGN: BUILD_AGAIN,
    reasons.PACKAGE_UNUSABLE: BUILD_AGAIN,
    reasons.PACKAGE_UNSIGNED: "sign it with `gantryguard package sign`.",
    reasons.PACKAGE_WRONG_KEY: SIGN_AGAIN,
    reasons.PACKAGE_FORGED: "take the file from where it was signed: this one was changed afterwards.",
    reasons.PACKAGE_DUPLICATE_KEY: "sign it with different keys.",
    reasons.PACKAGE_TOO_FEW: "let more of the package keys sign it.",
    reasons.PACKAGE_BOARD: "build it for the device's board.",
    reasons.PACKAGE_WIRE: "push the package of the link that the device is installed in.",
    reasons.PACKAGE_SCHEMA: "train the networks with the features that the root record names, or rotate that record.",
    reasons.PACKAGE_OLD: "raise `counter` in profile.toml above the installed one, build and sign again.",
    reasons.PACKAGE_TOO_LONG: "make the package smaller: fewer names, limits or weights.",
    reasons.PACKAGE_UNPROVEN: "build it again with the gantryguard that belongs to the device's firmware; if it happens again, "
    "replace the board.",
    reasons.ROOT_UNUSABLE: "flash the device again with its root record, or carry one that `gantryguard keys rotate` made.",
    reasons.ROOT_UNTRUSTED: "let the old and the new root keys sign the new root record (`gantryguard keys rotate`).",
    reasons.ROOT_OLD: "make the new root record from the installed one (`gantryguard keys rotate`).",
    reasons.UPDATE_UNCONFIRMED: "push again and leave the cable in until the end.",
    reasons.UPDATE_BUSY: "let the technologist decide about the held command or acknowledge the block, then push again.",
    reasons.UPDATE_ORDER: "push again; another program may talk to the same port.",
    reasons.UPDATE_SILENT: "push again.",
    reasons.UPDATE_TOO_MUCH: "push again; another program may talk to the same port.",
    reasons.UPDATE_GARBLED: "change the cable and push again.",
    reasons.UPDATE_ABORTED: "push again.",
}


class Link(Transport, Protocol):
    """A transport that survives a restart of the device."""

    def reconnect(self, timeout_s: float) -> None:
        """Open the port again. Raises UserError (exit 6) where it does not come back."""


def refusal(reason: int) -> UserError:
    """The error for a device's refusal (exit 29)."""
    name, text = TEXTS.get(reason, (f"reason {reason}", "this gantryguard does not know it"))
    remedy = REMEDIES.get(reason, "use the gantryguard that belongs to the device's firmware.")
    return UserError(f"The device refuses the package ({name}): {text}.", remedy=remedy, exit_code=REFUSED)


class Push:
    """One update of one device."""

    def __init__(self, link: Link, blob: bytes, digest: bytes) -> None:
        self._link = link
        self._blob = blob
        self._digest = digest.hex()[:DIGEST_DIGITS]

    def send(self, progress: Progress = lambda _done, _all: None) -> dict[str, Any]:
        """Bring the package into the spare slot and have it verified. Raises UserError (exit 6, 29)."""
        at, failures = self._begin(), 0
        while at < len(self._blob):
            progress(at, len(self._blob))
            try:
                answer = self._piece(at)
            except UserError:
                failures += 1
                if failures >= TRIES:
                    raise
                self._link.reconnect(ANSWER_S)
                at = self._begin()
                continue
            if answer["error"] == reasons.UPDATE_GARBLED and failures < TRIES:
                failures += 1
                at = self._begin()
                continue
            self._expect(answer)
            at, failures = answer["at"], 0
        progress(at, len(self._blob))
        return self._expect(self._ask("end"))

    def install(self) -> None:
        """Restart the device with the package on trial, and confirm it. Raises UserError (exit 6, 29)."""
        self._expect(self._ask("install"))
        self._link.reconnect(RESTART_S)
        status = self._wait()
        if not str(status.get("package_digest", "")).startswith(self._digest):
            raise refusal(status["refusal"] or reasons.PACKAGE_UNUSABLE)
        if status["on_trial"]:
            self._expect(self._ask(f"confirm {self._digest}"))

    def abort(self) -> None:
        """Give the update up."""
        self._ask("abort")

    def _begin(self) -> int:
        """Announce the package; where to go on."""
        try:
            answer = self._announce()
        except UserError:
            self._settle()
            answer = self._announce()
        return int(self._expect(answer)["at"])

    def _announce(self) -> dict[str, Any]:
        return self._ask(f"begin {len(self._blob)} {self._digest}")

    def _settle(self) -> None:
        """End whatever half of a line the device may still have, and drop its answers."""
        try:
            self._link.exchange(b"\nupdate\n", ANSWER_S)
            self._link.exchange(b"update\n", ANSWER_S)
        except UserError:
            self._link.exchange(b"\nupdate\n", ANSWER_S)

    def _piece(self, at: int) -> dict[str, Any]:
        piece = self._blob[at : at + PIECE_BYTES]
        head = f"update data {at} {len(piece)} {binascii.crc32(piece)}\n".encode()
        return self._read(self._link.exchange(head + piece + bytes(-len(piece) % PACKET_BYTES), ANSWER_S))

    def _ask(self, words: str) -> dict[str, Any]:
        return self._read(self._link.exchange(f"update {words}\n".encode(), ANSWER_S))

    @staticmethod
    def _read(line: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(line.strip().split(b"\n")[-1])
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not isinstance(answer.get("error"), int) or "at" not in answer:
            remedy = "use the gantryguard that belongs to the device's firmware."
            raise UserError("The device does not know how to update.", remedy=remedy, exit_code=6)
        return answer

    @staticmethod
    def _expect(answer: dict[str, Any]) -> dict[str, Any]:
        if answer["error"] != NONE:
            raise refusal(answer["error"])
        return answer

    def _wait(self) -> dict[str, Any]:
        """The status of the device after its restart; it restarts once more where the package fails its trial."""
        for _ in range(TRIES):
            try:
                return Guard(self._link).status()
            except UserError:
                self._link.reconnect(RESTART_S)
        return Guard(self._link).status()
