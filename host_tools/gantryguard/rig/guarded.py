"""Runs through a guard: the same console and gantry, joined through an emulated interposer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from gantryguard.client.device_image import build_flash, device_files
from gantryguard.errors import UserError
from gantryguard.profiles.files import baud_of
from gantryguard.profiles.profile import Profile
from gantryguard.rig.bench import Bench, play
from gantryguard.rig.board import load_board
from gantryguard.rig.clock import S
from gantryguard.rig.pico import EmulatedPico
from gantryguard.rig.result import Happening, RunResult
from gantryguard.rig.scenario import Scenario
from gantryguard.rig.trace import CONTACT, HALT, KEY_CANCEL, KEY_OVERRIDE, LAMP_GREEN, LAMP_RED, RESET, Trace
from gantryguard.rig.trust import TRUSTING, Trust
from gantryguard.signing.development import provisioned

BOOT_S = 20
BOOT_LIMIT_S = 5
SHOWN = {CONTACT, LAMP_RED, LAMP_GREEN, KEY_OVERRIDE, KEY_CANCEL, RESET, HALT}


class RelayContact(Protocol):
    """The part of the relay that tells when the guard is ready."""

    @property
    def closed(self) -> bool: ...


class GuardBench(Bench, Protocol):
    """What an interposer on the bench offers: `rig.pico.EmulatedPico`, or a stand-in in tests."""

    @property
    def relay(self) -> RelayContact: ...
    @property
    def trace(self) -> Trace: ...


def booted_guard(profile: Profile, micropython: Path, *, blob: bytes = b"", baud: int = 0) -> EmulatedPico:
    """An emulated guard that has checked its package and closed its relay. UserError (exit 8) if it does not.

    `blob` and `baud` stand in for the profile's own package and the rate of its line.
    """
    board = load_board()
    flash = build_flash(micropython, device_files(board, provisioned(blob or profile.blob)))
    pico = EmulatedPico(flash, board, baud=baud or baud_of(profile), usb=True)
    if not pico.run_while(lambda: not pico.relay.closed, BOOT_LIMIT_S * S):
        message = f"The guard did not close its relay within {BOOT_LIMIT_S} s of simulated time."
        remedy = "check the package with `gantryguard package inspect`."
        raise UserError(message, remedy=remedy, exit_code=8)
    return pico


def run_guarded(
    make: Callable[[], GuardBench],
    profile: Profile,
    scenario: Scenario,
    *,
    trust: Trust = TRUSTING,
) -> RunResult:
    """Play a scenario through the interposer that `make` puts on the bench, from the moment it closes its relay.

    UserError (exit 8) if it does not close it within 20 s, or if the scenario never ends.
    """
    pico = make()
    if not pico.run_while(lambda: not pico.relay.closed, BOOT_S * S):
        message = f"The interposer did not close its relay within {BOOT_S} s."
        raise UserError(message, remedy="Ask `gantryguard device status` why.", exit_code=8)

    def happenings() -> list[Happening]:
        return [Happening(entry.t_ns, entry.kind, str(entry.value)) for entry in pico.trace.entries if entry.kind in SHOWN]

    return play(pico, profile, scenario, trust=trust, happenings=happenings)
