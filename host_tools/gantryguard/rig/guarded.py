"""Runs through a guard: the same console and gantry, joined through an emulated interposer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gantryguard.errors import UserError
from gantryguard.profiles.profile import Profile
from gantryguard.rig.bench import Bench, play
from gantryguard.rig.clock import S
from gantryguard.rig.result import Happening, RunResult
from gantryguard.rig.scenario import Scenario
from gantryguard.rig.trace import CONTACT, HALT, KEY_CANCEL, KEY_OVERRIDE, LAMP_GREEN, LAMP_RED, RESET, Trace
from gantryguard.rig.trust import TRUSTING, Trust

BOOT_S = 20
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
