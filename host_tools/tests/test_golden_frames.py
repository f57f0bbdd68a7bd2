"""Golden frames: a package proves itself where it judges as it was built to, and anything else is found."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from profile_bench import CT, INJECTOR, injector

from gantryguard.errors import UserError
from gantryguard.learning.pipeline import nets_of
from gantryguard.profiles.package import build, with_words
from gantryguard.profiles.profile import Profile
from interposer.core import golden
from interposer.core.package import Package
from interposer.core.reasons import BLOCK, HOLD, NONE, PACKAGE_UNPROVEN, PASS
from interposer.core.verdict import Judge


class Section:
    """A package with another golden section."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def table(self, _name: str) -> bytes:
        """The section."""
        return self._data


def proved(data: bytes) -> int:
    breaths: list[int] = []
    reason: int = golden.prove(Section(data), Judge(injector().package), lambda: breaths.append(1))
    assert reason != NONE or len(breaths) == 4  # one for each command of the console
    return reason


@pytest.mark.parametrize("folder", [CT, INJECTOR])
def test_a_package_proves_itself(folder: Path, ct: Profile) -> None:
    package = Package(build(folder, nets_of(ct)) if folder == CT else injector().blob, "pico")
    assert golden.prove(package, Judge(package), lambda: None) == NONE


def test_a_judge_that_gets_the_networks_of_the_one_that_proved_judges_alike(ct: Profile) -> None:
    """What a frame comes to, networks' scores among it, is the same once more: nothing of the frames before is left."""
    package = Package(ct.blob, "pico")
    first = Judge(package)
    assert golden.prove(package, first, lambda: None) == NONE
    second = Judge(package, engine=first.network_engine)
    assert second.network_engine is first.network_engine
    assert second.exam is not first.exam
    assert golden.prove(package, second, lambda: None) == NONE


def test_the_ct_profile_s_frames_see_every_verdict(ct: Profile) -> None:
    section, verdicts, at = ct.package.table("golden"), [], 0
    while at < len(section):
        length, verdict, _reason, _outcome = struct.unpack_from(golden.FRAME, section, at)
        verdicts.append(verdict)
        at += golden.FRAME_BYTES + (length + 3 & ~3)
    assert {PASS, HOLD, BLOCK} == set(verdicts)


@pytest.mark.parametrize("at", [2, 3, 4, 7, 9, -6])
def test_another_outcome_is_found(at: int) -> None:
    section = bytearray(injector().package.table("golden"))
    assert proved(bytes(section)) == NONE
    section[at] ^= 1
    assert proved(bytes(section)) == PACKAGE_UNPROVEN


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda data: data[:-4],
        lambda data: data + bytes(4),
        lambda _: bytes(8),
        lambda data: b"\xff\xff" + data[2:],
    ],
)
def test_a_section_that_is_not_whole_is_found(spoil: Callable[[bytes], bytes]) -> None:
    assert proved(spoil(injector().package.table("golden"))) == PACKAGE_UNPROVEN


def test_another_table_gives_another_outcome() -> None:
    """A number of the tables that differs by one is seen, though no verdict changes."""
    start = injector().package.table("states")[0]
    package = Package(with_words(injector().blob, {("states", 0): start + 1}), "pico")
    assert package.reason == NONE
    assert golden.prove(package, Judge(package), lambda: None) == PACKAGE_UNPROVEN


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[frame]]\ncommand = "nothing"', "nothing"),
        ('[[frame]]\ncommand = "denied"', "not sent by the console"),
        ('[[frame]]\ncommand = "patient"\nvalues = { volume_ml = 1 }', "no field of patient"),
        ('[[frame]]\ncommand = "patient"\nvalues = { nobody = 1 }', "nobody"),
        ('[[frame]]\ncommand = "patient"\nwrong = 1', "wrong"),
        ("[other]", "other"),
    ],
)
def test_a_mistake_in_golden_toml_is_named(tmp_path: Path, text: str, words: str) -> None:
    folder = tmp_path / "injector"
    shutil.copytree(INJECTOR, folder)
    (folder / "golden.toml").write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        build(folder)
    assert caught.value.exit_code == 4
