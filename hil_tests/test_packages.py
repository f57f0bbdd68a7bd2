"""The relay is never closed before a package was loaded and found good; the maintenance port says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from guard import Guard
from on_target import run_on_target
from spoilt import spoilt
from stage import Stage

from gantryguard.profiles.profile import Profile
from gantryguard.rig import trace
from gantryguard.rig.clock import MS
from gantryguard.signing.development import provisioned
from interposer.core import reasons

REFUSED = (
    "missing", "empty", "truncated", "flipped bit", "too big", "other layout", "other board", "wild section",
    "name is not ASCII", "wild slot",
)  # fmt: skip


def stays_safe(guard: Guard, code: int) -> None:
    """No package: relay open, red lamp flashing, nothing passes, and the maintenance port says why."""
    assert guard.run_until(lambda: guard.pico.lamp_green, 1) is False
    status = guard.ask("status")
    assert (status["reason"], status["state"]) == (code, 3)
    assert guard.ask("events 0")["rows"] == []
    assert "".join(guard.ask("names")) == ""
    assert guard.send(guard.frame("keep_alive") + guard.frame("stop"), 400) == b""
    assert guard.times(trace.RELAY_DRIVE, 1) == []
    assert len(guard.times(trace.LAMP_RED, 1)) >= 2
    assert guard.times(trace.LAMP_GREEN, 1) == []


@pytest.mark.forked
@pytest.mark.parametrize("name", REFUSED)
def test_without_a_good_package_the_relay_never_closes(stage: Stage, ct: Profile, name: str) -> None:
    guard = stage.choose(name)
    guard.pico.run_for(500 * MS)
    stays_safe(guard, spoilt(ct)[name][1])


def test_without_a_package_the_image_as_flashed_stays_safe(micropython_uf2: Path, ct: Profile) -> None:
    guard = Guard(micropython_uf2, ct, usb=True, extra={"package.bin": None})
    guard.pico.run_for(700 * MS)
    stays_safe(guard, reasons.NO_PACKAGE)


def test_every_spoilt_package_is_tried(ct: Profile) -> None:
    assert set(spoilt(ct)) == set(REFUSED)


def test_a_package_is_verified_in_150_ms(micropython_uf2: Path, ct: Profile) -> None:
    """Digest, signature and what the root record asks, simulated, on a device that does nothing else: as at every start."""
    source = (Path(__file__).parent / "verify_on_target.py").read_bytes()
    (outcome,) = run_on_target(micropython_uf2, {"verify": source}, provisioned(ct.blob)).values()
    print(outcome)
    assert outcome.startswith("ok ")
    assert int(outcome.split()[1]) <= 150_000
