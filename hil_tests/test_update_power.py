"""U8: power cuts in an update, at every flash operation, three ways, and again in the recovery: old or new, never neither."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from guard import BOOT_LIMIT_NS, Guard
from stage import enforcing_injector
from sweep import Change, Files, Flash, Recorder, cuts, decide, second_cuts, slots_on, violations
from updates import bare, push, signed, works

from gantryguard.profiles.profile import Profile
from gantryguard.rig import trace
from gantryguard.rig.board import load_board
from gantryguard.rig.pico import EmulatedPico
from interposer.core import package as core

SAMPLE = 3  # cuts of which the device itself is started, by stretches of the update
PIECE = 512


class Update(NamedTuple):
    """One update as a device made it: its flash before, what changed, and the digests of both packages."""

    guard: Guard
    start: bytes
    changes: list[Change]
    old: bytes
    new: bytes


@pytest.fixture(scope="module")
def update(micropython_uf2: Path, tmp_path_factory: pytest.TempPathFactory) -> Update:
    """The second device's package replaced by one with a higher counter, on the emulated device, recorded."""
    profile = Profile(bare(enforcing_injector(tmp_path_factory.mktemp("injector")), 1))
    guard = Guard(micropython_uf2, profile, usb=True).boot()
    recorder = Recorder(guard.pico)
    blob = signed(bare(profile))
    push(guard, blob)
    works(guard)
    digest = slice(core.DIGEST_AT, core.HEADER_BYTES)
    return Update(guard, recorder.start, recorder.changes, profile.blob[digest], blob[digest])


def test_the_record_is_the_update(update: Update) -> None:
    """What the sweeps below cut is what the device has done, from the old package to the new one."""
    *_, last = cuts(update.start, update.changes)
    assert last[2] == update.guard.pico.flash.content()
    assert decide(Flash(update.start)) == update.old
    assert decide(Flash(last[2])) == update.new
    assert len(update.changes) >= 30


def test_u8_a_cut_at_any_operation_leaves_old_or_new(update: Update) -> None:
    """Every operation, three ways, and every operation of the recovery, three ways."""
    count, found = violations(update.start, update.changes, {update.old, update.new}, twice=True)
    print(f"{len(update.changes)} operations, {count} cuts, violations: {len(found)}")
    assert found == []
    assert count > 3 * len(update.changes)


def test_a_writer_in_place_is_caught(update: Update) -> None:
    """The same sweep, on an update that writes over the active slot piece by piece."""
    flash = Flash(update.start)
    files = Files(flash)
    blob = signed(bare(update.guard.profile))
    for end in range(PIECE, len(blob) + PIECE, PIECE):
        with files.open("package.bin", "wb") as file:
            file.write(blob[:end])
    assert decide(Flash(flash.content())) == update.new
    count, found = violations(update.start, flash.changes, {update.old, update.new}, twice=False)
    print(f"in place: {count} cuts, violations: {len(found)}")
    assert len(found) > count // 4


def test_a_state_that_is_written_in_two_steps_is_caught(update: Update) -> None:
    """The same sweep, on a switch that removes the old package before the state names the new one."""
    flash = Flash(update.start)
    files = Files(flash)
    with files.open("package2.bin", "wb") as file:
        file.write(signed(bare(update.guard.profile)))
    files.rename("package.bin", "gone.bin")
    with files.open("package2.bin", "rb") as file:
        counter = core.Package(file.read(), "pico").counter
    spoilt = flash.content()
    slots = slots_on(Flash(spoilt))
    slots.confirm(counter, b"")
    allowed = {update.old}  # the state has not said anything else
    _, found = violations(update.start, flash.changes, allowed, twice=False)
    assert found


def test_the_slot_that_runs_is_never_the_spare_one(update: Update) -> None:
    """The state is lost and the first slot damaged: what runs is the second, and an update goes into the first."""
    *_, (_number, _way, last) = cuts(update.start, update.changes)
    flash = Flash(last)
    files = Files(flash)
    with files.open("state.bin", "wb") as file:
        file.write(b"lost")
    with files.open("package.bin", "wb") as file:
        file.write(b"damaged")
    assert decide(flash) == update.new
    slots = slots_on(flash)
    with slots.open_spare() as file:
        file.write(b"the next one")
    assert decide(flash) == update.new


def runs(image: bytes, update: Update) -> str:
    """What the device itself does with a flash: the digest of the package that it runs, relay closed (once it is confirmed)."""
    pico = EmulatedPico(image, load_board(), usb=True)
    update.guard.pico = pico
    if not pico.run_while(lambda: not pico.relay.closed, BOOT_LIMIT_NS):
        assert update.guard.ask("status")["on_trial"], "the relay never closed"
        assert update.guard.ask(f"update confirm {update.new.hex()[:16]}")["error"] == 0
    works(update.guard)
    assert len(update.guard.times(trace.RELAY_DRIVE, 1)) >= 1
    return str(update.guard.ask("status")["package_digest"])


def on_the_device(update: Update, images: list[bytes]) -> None:
    """Each of the images starts and guards with the old or the new package, the one that the sweep here says."""
    for image in images:
        expected = decide(Flash(image))
        assert expected in (update.old, update.new)
        assert bytes.fromhex(runs(image, update)) == expected


def stratified(update: Update, count: int) -> list[bytes]:
    """A cut out of each of `count` stretches of the update, chosen by chance from a seed."""
    dice = random.Random(count)
    every = list(cuts(update.start, update.changes))
    borders = [len(every) * index // count for index in range(count + 1)]
    return [every[dice.randrange(first, last)][2] for first, last in pairwise(borders)]


@pytest.mark.forked
def test_u8_the_device_itself_starts_after_a_cut(update: Update) -> None:
    on_the_device(update, stratified(update, SAMPLE))


@pytest.mark.full
@pytest.mark.timeout(20_000)
@pytest.mark.forked
def test_u8_the_device_itself_starts_after_every_cut(update: Update) -> None:
    """And after every second one."""
    images = [image for _number, _way, flash in cuts(update.start, update.changes) for image in (flash, *second_cuts(flash))]
    on_the_device(update, list(dict.fromkeys(images)))
