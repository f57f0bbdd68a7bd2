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
from updates import NEW_PACKAGE, NEW_ROOT, bare, next_root, push, root, signed, works

from gantryguard.profiles.profile import Profile
from gantryguard.rig import trace
from gantryguard.rig.board import load_board
from gantryguard.rig.pico import EmulatedPico
from gantryguard.signing.development import ROOT_1
from interposer.core import package as core
from interposer.core.reasons import NONE
from interposer.core.trust import Trust
from interposer.hal.slots import IDLE

SAMPLE = 3  # cuts of which the device itself is started, by stretches of the update
PIECE = 512
COUNTER = 2  # of the new package


class Update(NamedTuple):
    """One update as a device made it: its flash before, what changed, and the digests of both packages."""

    guard: Guard
    start: bytes
    changes: list[Change]
    old: bytes
    new: bytes


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """The second device's, with counter 1."""
    return Profile(bare(enforcing_injector(tmp_path_factory.mktemp("injector")), 1))


@pytest.fixture(scope="module")
def update(micropython_uf2: Path, profile: Profile) -> Update:
    """Its package replaced by one with a higher counter."""
    return recorded(micropython_uf2, profile, signed(bare(profile, COUNTER)))


@pytest.fixture(scope="module")
def rotation(micropython_uf2: Path, profile: Profile) -> Update:
    """The same, by one that brings other keys along and is signed by them."""
    return recorded(micropython_uf2, profile, rotated(profile))


def rotated(profile: Profile) -> bytes:
    """A package with the root record that names its key."""
    return signed(bare(profile, COUNTER), [NEW_PACKAGE], [root(next_root(), (ROOT_1, NEW_ROOT))])


@pytest.fixture(params=["update", "rotation"])
def each(request: pytest.FixtureRequest) -> Update:
    """Both of them."""
    made: Update = request.getfixturevalue(request.param)
    return made


def recorded(micropython_uf2: Path, profile: Profile, blob: bytes) -> Update:
    """An update on the emulated device, from the first request until the new package guards."""
    guard = Guard(micropython_uf2, profile, usb=True).boot()
    recorder = Recorder(guard.pico)
    push(guard, blob)
    works(guard)
    digest = slice(core.DIGEST_AT, core.HEADER_BYTES)
    return Update(guard, recorder.start, recorder.changes, profile.blob[digest], blob[digest])


def test_the_record_is_the_update(each: Update) -> None:
    """What the sweeps below cut is what the device has done, from the old package to the new one."""
    *_, last = cuts(each.start, each.changes)
    assert last[2] == each.guard.pico.flash.content()
    assert decide(Flash(each.start)) == each.old
    assert decide(Flash(last[2])) == each.new
    assert len(each.changes) >= 30


def test_u8_a_cut_at_any_operation_leaves_old_or_new(each: Update) -> None:
    """Every operation, three ways, and every operation of the recovery, three ways."""
    count, found = violations(each.start, each.changes, {each.old, each.new}, twice=True)
    print(f"{len(each.changes)} operations, {count} cuts, violations: {len(found)}")
    assert found == []
    assert count > 3 * len(each.changes)


def misfits(update: Update, last_version: int) -> list[str]:
    """Cuts after which a start has the counter or the keys of another package than the one that runs; all sorts have to come.

    While a package is on trial those of before still count.
    """
    seen, found = set(), []
    for number, way, flash in cuts(update.start, update.changes):
        for index, image in enumerate([flash, *second_cuts(flash)]):
            after = Flash(image)
            runs_new = decide(after) == update.new
            slots = slots_on(after)
            is_installed = runs_new and slots.trial == IDLE
            seen.add((runs_new, is_installed))
            if (slots.counter, slots.root().version) != ((COUNTER, last_version) if is_installed else (0, 1)):
                found.append(f"operation {number} {way}, second cut {index}")
    assert seen >= {(False, False), (True, True)}
    return found


def test_u3_u10_after_any_cut_counter_and_keys_are_those_of_the_package_that_runs(each: Update, rotation: Update) -> None:
    """Neither a package that was replaced nor one by retired keys comes back."""
    assert misfits(each, 2 if each is rotation else 1) == []


def test_keys_that_are_installed_before_their_package_are_caught(rotation: Update) -> None:
    """The same sweep, on a confirmation that replaces the root record first."""
    flash = Flash(rotation.start)
    slots, blob = slots_on(flash), rotated(rotation.guard.profile)
    with slots.open_spare() as file:
        file.write(blob)
    slots.install()
    start = flash.content()
    assert decide(Flash(start)) == rotation.new
    flash.changes.clear()
    slots.begin()
    trust = Trust(slots.root(), 0)
    assert core.Package(blob, "pico", trust).reason == NONE
    slots.adopt(trust.root.record)
    slots.confirm(COUNTER, b"")
    assert misfits(rotation._replace(start=start, changes=flash.changes), 2)


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
def test_u8_the_device_itself_starts_after_a_cut(each: Update) -> None:
    on_the_device(each, stratified(each, SAMPLE))


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.forked
def test_u8_the_device_itself_starts_after_every_cut(each: Update) -> None:
    """And after every second one: some hundred different flashes."""
    images = [image for _number, _way, flash in cuts(each.start, each.changes) for image in (flash, *second_cuts(flash))]
    on_the_device(each, list(dict.fromkeys(images)))
