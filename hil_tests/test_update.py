"""U1 to U14 of the update: every refusal by name, the running package untouched, the link protected.

On the second device's small package, whose update takes a fifth of the time; the code is the same.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from guard import Guard
from test_other_device import LOAD, PATIENT
from updates import (
    BOARD_AT,
    NEW_PACKAGE,
    NEW_ROOT,
    STRANGER,
    bare,
    digest_of,
    files,
    next_root,
    push,
    pushing,
    refused,
    root,
    signed,
    untouched,
    with_digest,
    works,
)

from gantryguard.client.push import REMEDIES
from gantryguard.profiles.profile import Profile
from gantryguard.reasons import TEXTS, reason_name
from gantryguard.rig import trace
from gantryguard.rig.clock import MS, S
from gantryguard.signing.development import PACKAGE, ROOT_1, ROOT_2, root_file
from interposer.core import package as core
from interposer.core import reasons, trust
from interposer.hal.slots import MOST_BYTES

LAMP_LATE_MS = 1000
WIRE_AT, SCHEMA_AT = 44, 48

pytestmark = pytest.mark.forked


def refusals(profile: Profile) -> dict[str, tuple[bytes, int]]:
    """(package, reason) by what is wrong with it: U1 to U4, and what of U10 can be tried with one package."""
    good = signed(bare(profile))
    length = int.from_bytes(good[8:12], "little")
    flips = {"header": 33, "body": length // 2, "digest": core.DIGEST_AT, "tail": length + 4}
    flips |= {"identifier": length + 9, "signature": length + 700}
    corrupt = {f"U1 flipped bit, {name}": (flip(good, at), reasons.PACKAGE_CORRUPT) for name, at in flips.items()}
    corrupt["U1 flipped bit, identifier"] = (corrupt["U1 flipped bit, identifier"][0], reasons.PACKAGE_WRONG_KEY)
    corrupt["U1 flipped bit, signature"] = (corrupt["U1 flipped bit, signature"][0], reasons.PACKAGE_FORGED)
    strict = root(next_root(package_keys=[PACKAGE.public, NEW_PACKAGE.public], package_threshold=2), (ROOT_1, NEW_ROOT))
    elsewhere = root(next_root(package_keys=[PACKAGE.public], wire=b"\1\2\3\4"), (ROOT_1, NEW_ROOT))
    other_features = root(next_root(package_keys=[PACKAGE.public], schema=b"\1\2\3\4"), (ROOT_1, NEW_ROOT))
    return corrupt | {
        "U2 wrong key": (signed(bare(profile), [STRANGER]), reasons.PACKAGE_WRONG_KEY),
        "U2 root key": (signed(bare(profile), [ROOT_1]), reasons.PACKAGE_WRONG_KEY),
        "U2 unsigned": (bare(profile), reasons.PACKAGE_UNSIGNED),
        "U2 no signature in the tail": (signed(bare(profile), []), reasons.PACKAGE_UNSIGNED),
        "U2 duplicate key": (signed(bare(profile), [PACKAGE, PACKAGE]), reasons.PACKAGE_DUPLICATE_KEY),
        "U2 below the threshold": (signed(bare(profile), [PACKAGE], [strict]), reasons.PACKAGE_TOO_FEW),
        "U3 same counter": (signed(bare(profile, 1)), reasons.PACKAGE_OLD),
        "U3 lower counter": (signed(bare(profile, 0)), reasons.PACKAGE_OLD),
        "U4 board": (signed(bare(profile, changes=[(BOARD_AT, b"\0\0\0\0")])), reasons.PACKAGE_BOARD),
        "U4 format": (signed(bare(profile, changes=[(12, b"\0\0\0\0")])), reasons.PACKAGE_FOREIGN),
        "U4 wire format of another link": (signed(bare(profile), [PACKAGE], [elsewhere]), reasons.PACKAGE_WIRE),
        "U4 other features": (signed(bare(profile), [PACKAGE], [other_features]), reasons.PACKAGE_SCHEMA),
        "U4 wire format is not the tables'": (signed(bare(profile, changes=[(WIRE_AT, b"\1")])), reasons.PACKAGE_WIRE),
        "U4 features are not the tables'": (signed(bare(profile, changes=[(SCHEMA_AT, b"\1")])), reasons.PACKAGE_SCHEMA),
        "U10 root record by new keys alone": (
            signed(bare(profile), [NEW_PACKAGE], [root(next_root(root_keys=[NEW_ROOT.public]), [NEW_ROOT])]),
            reasons.ROOT_UNTRUSTED,
        ),
        "U10 root record by old keys alone": (
            signed(bare(profile), [NEW_PACKAGE], [root(next_root(root_keys=[NEW_ROOT.public]), [ROOT_1, ROOT_2])]),
            reasons.ROOT_UNTRUSTED,
        ),
        "U10 root record of an old version": (
            signed(bare(profile), [NEW_PACKAGE], [root(next_root(version=1), [ROOT_1, NEW_ROOT])]),
            reasons.ROOT_OLD,
        ),
        "U10 root record damaged": (
            signed(bare(profile), [NEW_PACKAGE], [flip(root(next_root(), [ROOT_1, NEW_ROOT]), 70)]),
            reasons.ROOT_UNUSABLE,
        ),
        "U9 golden frame": (signed(unproven(profile)), reasons.PACKAGE_UNPROVEN),
        "too large": (signed(bare(profile)) + bytes(MOST_BYTES), reasons.PACKAGE_TOO_LONG),
    }


def flip(blob: bytes, at: int) -> bytes:
    """The same bytes but for one bit."""
    return blob[:at] + bytes((blob[at] ^ 1,)) + blob[at + 1 :]


def unproven(profile: Profile) -> bytes:
    """A package whose last golden frame states another outcome than the tables give."""
    blob = bare(profile)
    offset, _size = core.Package(blob, "pico").places["golden"]
    return with_digest(flip(blob, offset + 4))


NAMES = [
    *(f"U1 flipped bit, {place}" for place in ("header", "body", "digest", "tail", "identifier", "signature")),
    "U2 wrong key", "U2 root key", "U2 unsigned", "U2 no signature in the tail", "U2 duplicate key", "U2 below the threshold",
    "U3 same counter", "U3 lower counter",
    "U4 board", "U4 format", "U4 wire format of another link", "U4 other features",
    "U4 wire format is not the tables'", "U4 features are not the tables'",
    "U9 golden frame",
    "U10 root record by new keys alone", "U10 root record by old keys alone", "U10 root record of an old version",
    "U10 root record damaged",
    "too large",
]  # fmt: skip
# Others of their kind are tried in the normal run, and all of them by the same code in `host_tools/tests/test_trust.py`.
ALIKE = {
    "U1 flipped bit, digest", "U1 flipped bit, tail", "U1 flipped bit, identifier",
    "U2 root key", "U2 no signature in the tail",
    "U3 lower counter", "U4 features are not the tables'",
    "U10 root record by old keys alone", "U10 root record of an old version", "U10 root record damaged",
}  # fmt: skip


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.full) if name in ALIKE else name for name in NAMES])
def test_a_bad_package_is_refused_by_name_and_changes_nothing(small: Guard, name: str) -> None:
    """U1, U2, U3, U4, U10, U14."""
    before = digest_of(small)
    blob, reason = refusals(small.profile)[name]
    assert reason_name(refused(small, blob)) == reason_name(reason)
    untouched(small, before)
    assert small.ask("status")["refusal"] in (reason, reasons.NONE)


def test_every_refusal_is_tried(small: Guard) -> None:
    assert sorted(refusals(small.profile)) == sorted(NAMES)


def test_a_good_package_is_taken_and_stays(small: Guard) -> None:
    """What all the refusals are measured against."""
    blob = signed(bare(small.profile))
    push(small, blob)
    works(small)
    status = small.ask("status")
    assert (status["package_counter"], status["refusal"], status["on_trial"]) == (2, 0, False)
    small.pico.reset()
    works(small)
    assert small.ask("status")["package_counter"] == 2
    assert small.ask("status")["last_reset"] == reasons.NONE


def test_u3_the_counter_survives_reset_and_power_cut(small: Guard) -> None:
    push(small, signed(bare(small.profile, 9)))
    works(small)
    small.pico.power_cut()
    small.pico.run_for(3 * MS)
    small.pico.power_on()
    works(small)
    assert refused(small, signed(bare(small.profile, 9))) == reasons.PACKAGE_OLD
    assert refused(small, signed(bare(small.profile, 2))) == reasons.PACKAGE_OLD
    assert small.ask("status")["package_counter"] == 9


def test_u5_the_declared_length_holds(small: Guard) -> None:
    before = digest_of(small)
    assert small.ask(f"update begin {MOST_BYTES + 1} 0011223344556677")["error"] == reasons.PACKAGE_TOO_LONG
    assert small.ask("update begin 0 0011223344556677")["error"] == reasons.PACKAGE_TOO_LONG
    assert small.ask("update begin 100 0011223344556677")["error"] == reasons.NONE
    assert small.ask("update data 0 101 5")["error"] == reasons.UPDATE_TOO_MUCH
    untouched(small, before)
    assert len(files(small).get("package2.bin", b"")) <= 100


def test_u5_an_endless_stream_is_cut_off(small: Guard) -> None:
    """Nobody asked for these bytes: they are read, a line at a time, and lead to nothing."""
    before = digest_of(small)
    small.pico.maintenance.send(bytes(range(1, 10)) * 400 + b"\n" + b"update data 0 64 1\n" * 20)
    assert small.run_until(lambda: not small.pico.maintenance.waiting, 20_000)
    small.pico.run_for(S)
    untouched(small, before)


def test_u6_the_device_shows_version_and_age(small: Guard) -> None:
    status = small.ask("status")
    assert status["package_counter"] == 1
    assert status["package_issued"] == small.profile.package.issued


def test_u7_what_lies_in_the_slot_is_verified_again(micropython_uf2: Path, enforcing: Profile) -> None:
    """A package that a stranger signed, put into the slot behind the device's back."""
    guard = Guard(micropython_uf2, enforcing, usb=True, extra={"package.bin": signed(bare(enforcing), [STRANGER])})
    guard.pico.run_for(1500 * MS)
    assert guard.ask("status")["reason"] == reasons.PACKAGE_WRONG_KEY
    assert guard.times(trace.RELAY_DRIVE, 1) == []


def test_u9_a_package_that_nobody_confirms_goes_back(small: Guard) -> None:
    before = digest_of(small)
    update = pushing(small, signed(bare(small.profile)))
    update.send()
    assert small.ask("update install")["error"] == 0
    small.reconnect()
    status = small.ask("status")
    assert (status["on_trial"], status["package_counter"], status["relay_closed"]) == (True, 2, False)
    assert status["reason"] == reasons.ON_TRIAL
    small.pico.run_for(31 * S)
    small.reconnect()
    untouched(small, before)
    assert small.ask("status")["refusal"] == reasons.UPDATE_UNCONFIRMED


@pytest.mark.parametrize("how", ["reset", "power cut", "abort"])
def test_u9_whatever_ends_a_trial_before_it_is_confirmed_reverts(small: Guard, how: str) -> None:
    before = digest_of(small)
    update = pushing(small, signed(bare(small.profile)))
    update.send()
    assert small.ask("update install")["error"] == 0
    small.reconnect()
    assert small.ask("status")["on_trial"]
    assert small.ask("update begin 100 0011223344556677")["error"] == reasons.UPDATE_BUSY
    assert small.ask("update confirm 00000000")["error"] == reasons.UPDATE_ORDER
    if how == "reset":
        small.pico.reset()
    elif how == "abort":
        update.abort()
        small.reconnect()
    else:
        small.pico.power_cut()
        small.pico.power_on()
    assert small.run_until(lambda: small.pico.relay.closed, 3000)
    untouched(small, before)
    assert small.ask("status")["refusal"] == reasons.UPDATE_UNCONFIRMED


HANGS_ON_TRIAL = """
import time
from interposer.updating import TRIAL, Updating
right_confirm = Updating._confirm
def hang(self, digest):
    while self.state == TRIAL:
        time.sleep_ms(100)
    return right_confirm(self, digest)
Updating._confirm = hang
"""


def test_u9_a_package_on_trial_under_which_the_guard_hangs_goes_back(micropython_uf2: Path, small: Guard) -> None:
    """The watchdog ends it; as after any hang somebody at the device has to see it before anything passes."""
    before = digest_of(small)
    guard = Guard(micropython_uf2, small.profile, patch=HANGS_ON_TRIAL, usb=True).boot()
    blob = signed(bare(small.profile))
    pushing(guard, blob).send()
    assert guard.ask("update install")["error"] == 0
    guard.reconnect()
    status = guard.ask("status")
    assert (status["on_trial"], status["package_digest"]) == (True, blob[core.DIGEST_AT : core.HEADER_BYTES].hex())
    guard.pico.maintenance.send(f"update confirm {status['package_digest'][:16]}\n".encode())
    assert guard.run_until(lambda: bool(guard.times(trace.RESET, 1)), 6000), "the watchdog never came"
    guard.pico.run_for(3 * S)
    guard.reconnect()
    status = guard.ask("status")
    assert (status["package_digest"], status["refusal"]) == (before, reasons.UPDATE_UNCONFIRMED)
    assert (status["last_reset"], status["relay_closed"]) == (reasons.WATCHDOG, False)
    guard.press("cancel", 700)
    untouched(guard, before)


@pytest.mark.full
def test_u10_keys_are_rotated_and_the_retired_one_fails(small: Guard) -> None:
    record = root(next_root(), (ROOT_1, NEW_ROOT))
    push(small, signed(bare(small.profile), [NEW_PACKAGE], [record]))
    works(small)
    assert small.ask("status")["root_version"] == 2
    assert trust.Root(files(small)["root.bin"]).version == 2
    assert refused(small, signed(bare(small.profile, 3), [PACKAGE])) == reasons.PACKAGE_WRONG_KEY
    small.pico.reset()
    works(small)
    push(small, signed(bare(small.profile, 3), [NEW_PACKAGE]))
    works(small)
    assert small.ask("status")["package_counter"] == 3


@pytest.mark.full
def test_u11_a_signed_reset_brings_a_fast_forwarded_counter_back(small: Guard) -> None:
    push(small, signed(bare(small.profile, 0x3FFFFFFF)))
    works(small)
    assert refused(small, signed(bare(small.profile, 3))) == reasons.PACKAGE_OLD
    record = root(next_root(package_keys=[PACKAGE.public], counter=3), (ROOT_1, NEW_ROOT))
    push(small, signed(bare(small.profile, 3), [PACKAGE], [record]))
    works(small)
    assert small.ask("status")["package_counter"] == 3
    again = signed(bare(small.profile, 3), [PACKAGE], [record])  # the same record resets nothing a second time
    assert refused(small, again) == reasons.PACKAGE_OLD


def test_u12_without_a_good_slot_it_is_safe_and_can_be_recovered(micropython_uf2: Path, enforcing: Profile) -> None:
    bad = {"package.bin": flip(signed(bare(enforcing)), 2000), "package2.bin": b"nothing of use"}
    guard = Guard(micropython_uf2, enforcing, usb=True, extra=bad)
    guard.pico.run_for(1500 * MS)
    status = guard.ask("status")
    assert (status["reason"], status["state"]) == (reasons.PACKAGE_CORRUPT, 3)
    assert guard.times(trace.RELAY_DRIVE, 1) == []
    assert len(guard.times(trace.LAMP_RED, 1)) >= 2
    assert guard.send(guard.frame("halt")) == b""
    push(guard, signed(bare(enforcing, 1)))
    works(guard)


@pytest.mark.parametrize("record", [None, flip(root_file(), 70)], ids=["missing", "damaged"])
def test_u12_without_a_root_record_nothing_is_believed(micropython_uf2: Path, enforcing: Profile, record: bytes | None) -> None:
    """Neither the package that is there nor one that comes; the reason is the record's."""
    guard = Guard(micropython_uf2, enforcing, usb=True, extra={"root.bin": record})
    guard.pico.run_for(1500 * MS)
    status = guard.ask("status")
    assert (reason_name(status["reason"]), status["state"]) == ("ROOT_UNUSABLE", 3)
    assert reason_name(refused(guard, signed(bare(enforcing)))) == "ROOT_UNUSABLE"
    assert guard.times(trace.RELAY_DRIVE, 1) == []


def test_u13_during_an_update_the_link_is_in_its_safe_mode(small: Guard) -> None:
    """Relay open, both lamps say so, a stop passes, anything else is refused; then everything is as it was."""
    before = digest_of(small)
    assert small.ask("update begin 5000 0011223344556677")["error"] == 0
    small.pico.run_for(50 * MS)
    assert not small.pico.relay.closed
    assert small.send(small.frame("patient", PATIENT)) == b""
    halt = small.frame("halt")
    assert small.send(halt) == halt
    assert not small.pico.relay.closed
    assert not small.pico.lamp_green
    status = small.ask("status")
    assert (status["state"], status["reason"]) == (3, reasons.UPDATING)
    assert small.ask("update abort")["error"] == 0
    untouched(small, before)
    assert small.ask("status")["refusal"] == reasons.UPDATE_ABORTED


def test_u13_no_update_while_a_block_is_not_acknowledged(small: Guard) -> None:
    works(small)
    assert small.send(small.frame("load", LOAD | {"rate_ml_s": 10, "needle_mm": 0.5}), 300) == b""
    assert small.ask("status")["state"] == 2
    assert small.ask("update begin 5000 0011223344556677")["error"] == reasons.UPDATE_BUSY


def test_u14_every_refusal_has_a_code_a_name_and_a_remedy() -> None:
    codes = [*range(reasons.NO_PACKAGE, reasons.PACKAGE_UNUSABLE + 1), *range(reasons.PACKAGE_UNSIGNED, reasons.ROOT_OLD + 1)]
    codes += range(reasons.UPDATE_UNCONFIRMED, reasons.UPDATE_ABORTED + 1)
    assert set(codes) == set(REMEDIES)
    assert len({TEXTS[code] for code in codes}) == len(codes)
