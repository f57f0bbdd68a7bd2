"""Packages: deterministic, read back as written; what is damaged or mangled is refused by reason, never by exception."""

from __future__ import annotations

import hashlib
import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profile_bench import CT, INJECTOR, ct, injector, small_net

from gantryguard.errors import UserError
from gantryguard.profiles.package import build, redigest, relaid, with_words
from gantryguard.profiles.profile import Profile
from interposer.core import package as core
from interposer.core.audit import MOST_CUT_GAP_MS, audit
from interposer.core.codec import C_ROW, C_ROWS, COMMAND_WORDS
from interposer.core.link import BACKWARD, F_CUT_THROUGH, F_LENGTH_EXTRA, FORWARD, FRAMING_WORDS
from interposer.core.network import layers
from interposer.core.reasons import NONE, PACKAGE_BOARD, PACKAGE_CORRUPT, PACKAGE_FOREIGN, PACKAGE_UNUSABLE
from interposer.core.verdict import Judge

FOLDERS = {"ct": CT, "injector": INJECTOR}
PROFILES = {"ct": ct, "injector": injector}
TAIL = core.TAIL_MAGIC + bytes(12)
INT32 = st.one_of(
    st.integers(-(1 << 31), (1 << 31) - 1),
    st.integers(-4, 600),
    st.sampled_from([-(1 << 31), -1, 0, 1, 254, 255, 256, 4095, 4096, (1 << 31) - 1]),
)


@pytest.mark.parametrize("name", FOLDERS)
def test_the_same_sources_give_the_same_bytes(name: str) -> None:
    assert build(FOLDERS[name]) == build(FOLDERS[name])


@pytest.mark.parametrize("name", PROFILES)
def test_a_package_is_read_and_passes_the_audit(name: str) -> None:
    package = core.Package(PROFILES[name]().blob, "pico")
    assert package.reason == NONE
    assert audit(package) == NONE
    assert package.name == name


@given(st.data())
def test_a_flipped_bit_is_corrupt(data: st.DataObject) -> None:
    blob = bytearray(injector().blob)
    at = data.draw(st.integers(0, len(blob) - 1))
    blob[at] ^= 1 << data.draw(st.integers(0, 7))
    assert core.Package(bytes(blob), "pico").reason == PACKAGE_CORRUPT


@given(st.integers(0, len(injector().blob) - 1))
def test_a_cut_off_package_is_corrupt(length: int) -> None:
    assert core.Package(injector().blob[:length], "pico").reason == PACKAGE_CORRUPT


def test_another_board_or_layout_is_foreign() -> None:
    blob = injector().blob
    assert core.Package(blob, "pico2").reason == PACKAGE_BOARD
    assert core.Package(build(INJECTOR, board="pico2"), "pico").reason == PACKAGE_BOARD
    other = redigest(blob[:12] + b"\0\0\0\0" + blob[16:])
    assert core.Package(other, "pico").reason == PACKAGE_FOREIGN
    with pytest.raises(UserError, match="another format") as caught:
        Profile(other)
    assert caught.value.exit_code == 5


def with_bytes(blob: bytes, at: int, data: bytes) -> bytes:
    """The package with other bytes at a place and a digest that fits."""
    return redigest(blob[:at] + data + blob[at + len(data) :])


@pytest.mark.parametrize("name", PROFILES)
def test_mangled_tables_are_unusable_or_harmless(name: str) -> None:
    profile = PROFILES[name]()
    blob = profile.blob
    sizes = {part: size // 4 for part, (_, size) in profile.package.places.items() if part in core.BYTE_SECTIONS}
    sizes |= {part: len(table) for part, table in profile.package.tables.items()}
    mangled_parts = [part for part, size in sizes.items() if size and part not in ("names", "weights")]

    @settings(max_examples=120)
    @given(st.data())
    def judge_never_raises(data: st.DataObject) -> None:
        part = data.draw(st.sampled_from(mangled_parts))
        word = data.draw(st.integers(0, sizes[part] - 1))
        package = core.Package(with_words(blob, {(part, word): data.draw(INT32)}), "pico")
        assert package.reason in (NONE, PACKAGE_UNUSABLE if part in core.PACKED_SECTIONS else NONE)
        if package.reason == NONE and audit(package) == NONE:
            exercise(package, profile, data)

    judge_never_raises()


@pytest.mark.parametrize("direction", [FORWARD, BACKWARD])
@pytest.mark.parametrize(("extra", "reason"), [(7, NONE), (8, PACKAGE_UNUSABLE)])  # the shortest frame has 7 bytes
def test_a_length_that_its_byte_cannot_say_is_unusable(direction: int, extra: int, reason: int) -> None:
    """The guard's own replies write that byte."""
    blob = PROFILES["ct"]().blob
    package = core.Package(with_words(blob, {("framings", direction * FRAMING_WORDS + F_LENGTH_EXTRA): extra}), "pico")
    assert package.reason == NONE
    assert audit(package) == reason


def exercise(package: core.Package, profile: Profile, data: st.DataObject) -> None:
    """Judge a few frames by a package that passed its audit, and write its replies."""
    judge = Judge(package, layers)
    for index, command in enumerate(profile.command_names):
        frame = bytearray(profile.encode(command, index, {}))
        frame += bytes(max(0, 64 - len(frame)))
        for _ in range(3):
            frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
        judge.judge(frame, len(profile.encode(command, index, {})), index)
        judge.accept(frame, len(profile.encode(command, index, {})), index)
    for word in (core.P_HELD_REPLY, core.P_REFUSED_REPLY):
        reply = package.table("params")[word]
        if reply >= 0:
            judge.backward.write(reply, 0, profile.start_values())


@given(st.integers(0, len(core.SECTIONS) * core.ENTRY_BYTES // 4 - 1), INT32)
def test_a_mangled_table_of_sections_is_refused_by_reason(word: int, value: int) -> None:
    package = core.Package(with_bytes(injector().blob, core.HEADER_BYTES + 4 * word, struct.pack("<i", value)), "pico")
    assert package.reason in (NONE, PACKAGE_UNUSABLE)
    if package.reason == NONE:
        assert audit(package) in (NONE, PACKAGE_UNUSABLE)


# section, word, value: one mangled word of each kind that the audit must find
FATAL = [
    ("params", core.P_VALUES, 5000),
    ("params", core.P_VALUES, 3),
    ("params", core.P_COMMANDS, 3),
    ("params", core.P_REASON_SLOT, 99),
    ("params", core.P_WIDEST, 1),
    ("params", core.P_NETS, 2),
    ("params", core.P_HELD_REPLY, 0),
    ("params", core.P_REFUSED_REPLY, 50),
    ("params", core.P_FIRST_STATE, 3),
    ("framings", 0, 3),
    ("framings", 9, 100000),
    ("framings", 20, 60),
    ("framings", 23, 1),  # cut-through on a link whose frames do not tell their end
    ("commands", 0, 300),
    ("commands", 3, 30),
    ("commands", 6, 100000),
    ("commands", 9, 400),
    ("commands", 12, 2),
    ("commands", 13, 100000),
    ("fields", 2, 8),
    ("ranges", 0, 100000),
    ("sequence", 0, 3),
    ("rows", 0, 10),
    ("rows", 1, 0),
    ("rows", 6, 0),
    ("rows", 7, -1),
    ("limits", 0, 999),
    ("limits", 3, -2),
    ("limits", 4, 3),
    ("limits", 5, 128),
    ("latches", 0, 0),
    ("nets", 0, 0),
    ("nets", 1, 1 << 20),
    ("params", core.P_GAP_MS, 0),
    ("params", core.P_RETRIES, -1),
    ("framings", 10, 256),
    ("framings", 14, 65536),
    ("commands", 1, 2),
    ("nets", 2, 0),
    ("nets", 6, 2),
    ("nets", 7, 99999),
    ("nets", 9, 0),
    ("nets", 12, 1),
    ("nets", 13, 1),
    ("nets", 14, 1),
    ("nets", 15, 99999),
    ("nets", 16, 31),
    ("nets", 24, 31),
    ("executables", 0, -2),
    ("policy", 0, 3),
]


@pytest.mark.parametrize(("section", "word", "value"), FATAL)
def test_the_audit_finds_a_wrong_index(section: str, word: int, value: int) -> None:
    blob = injector().blob
    package = core.Package(with_words(blob, {(section, word): value}), "pico")
    assert package.reason == NONE
    assert audit(package) == PACKAGE_UNUSABLE


def test_the_audit_finds_commands_that_share_rows(ct: Profile) -> None:
    """A device writes the rows of each command anew in their place."""
    commands = ct.package.table("commands")
    one, other = 2 * COMMAND_WORDS, 6 * COMMAND_WORDS
    first, count = commands[one + C_ROW], commands[one + C_ROWS]
    assert count > 1
    for at, rows in ((first, count), (first, 1)):
        blob = with_words(ct.blob, {("commands", other + C_ROW): at, ("commands", other + C_ROWS): rows})
        assert audit(Profile(blob).package) == PACKAGE_UNUSABLE


@pytest.mark.parametrize(
    ("at", "data"),
    [(6, b"\2"), (24, b"\7"), (28, b"\xc3\xa9"), (28, b"\x7f")],
    ids=["mode", "number of sections", "name is not ASCII", "name has a control character"],
)
def test_a_header_that_cannot_be_is_unusable(at: int, data: bytes) -> None:
    assert core.Package(with_bytes(injector().blob, at, data), "pico").reason == PACKAGE_UNUSABLE


def test_every_character_that_is_printed_may_be_in_a_name() -> None:
    package = core.Package(with_bytes(injector().blob, 28, b" ~"), "pico")
    assert (package.reason, package.name[:2]) == (NONE, " ~")


TABLE_BYTES = len(core.SECTIONS) * core.ENTRY_BYTES


@pytest.mark.parametrize("size", [0, 12, len(core.SECTIONS) + core.ENTRY_BYTES, TABLE_BYTES - 1])
def test_a_package_without_its_whole_table_of_sections_is_unusable(size: int) -> None:
    blob = injector().blob[: core.HEADER_BYTES + size]
    short = with_bytes(blob, 8, struct.pack("<I", len(blob)))
    assert core.Package(short, "pico").reason == PACKAGE_UNUSABLE


@pytest.mark.parametrize("tail", [b"", TAIL + bytes(2000)])
def test_sections_may_be_empty_but_not_missing(tail: bytes) -> None:
    """Signatures are never taken for the rest of the table. Whether a guard can do with so little is for the audit to say."""
    blob = relaid(injector().blob, dict.fromkeys(core.SECTIONS, b""))
    assert len(blob) == core.HEADER_BYTES + TABLE_BYTES
    assert core.Package(blob + tail, "pico").reason == NONE
    short = with_bytes(blob[:-4], 8, struct.pack("<I", len(blob) - 4))
    assert core.Package(short + tail, "pico").reason == PACKAGE_UNUSABLE


def test_what_is_no_package_states_nothing() -> None:
    package = core.Package(b"", "pico")
    assert package.reason == PACKAGE_CORRUPT
    assert (package.counter, package.issued, package.expires, package.length) == (0, 0, 0, 0)
    assert (package.name, package.digest, package.wire, package.schema) == ("", b"", b"", b"")


def placed(blob: bytes, name: str, offset: int, size: int) -> bytes:
    """The package with a section of bytes in another place."""
    at = core.HEADER_BYTES + core.SECTIONS.index(name) * core.ENTRY_BYTES + 4
    return with_bytes(blob, at, struct.pack("<III", offset, size, size // 4))


@pytest.mark.parametrize("name", ["names", "golden"])
@pytest.mark.parametrize(
    ("offset", "beyond", "reason"),
    [
        (core.HEADER_BYTES + TABLE_BYTES, 0, NONE),
        (core.HEADER_BYTES + TABLE_BYTES - 4, 0, PACKAGE_UNUSABLE),
        (core.HEADER_BYTES, 0, PACKAGE_UNUSABLE),
        (core.HEADER_BYTES + TABLE_BYTES, 4, PACKAGE_UNUSABLE),
    ],
    ids=["all there is", "from the table of sections", "from the whole table", "to the signatures"],
)
def test_a_section_reaches_neither_into_the_table_nor_into_the_signatures(
    name: str, offset: int, beyond: int, reason: int
) -> None:
    blob = injector().blob
    package = core.Package(placed(blob, name, offset, len(blob) + beyond - offset) + TAIL, "pico")
    assert package.reason == reason


@pytest.mark.parametrize("name", PROFILES)
def test_names_are_counted_wherever_the_file_was_read_before(name: str) -> None:
    package = core.Package(PROFILES[name]().blob, "pico")
    lines = list(package.name_lines())
    assert len(lines) > 1
    package.file.seek(3)
    assert package.count_names() == len(lines)
    assert b"".join(lines) == package.table("names")


@pytest.mark.parametrize("pieces", [0, 1, 2])
@pytest.mark.parametrize("more", [-1, 0, 1, 2])
def test_every_byte_but_the_digest_itself_is_hashed(pieces: int, more: int) -> None:
    """Piece by piece, with a breath after each."""
    length = core.HEADER_BYTES + max(0, pieces * core.PIECE_BYTES + more)
    blob = bytes(index % 251 for index in range(length))
    breaths: list[int] = []
    digest = core.digest_of(blob, length, lambda: breaths.append(1))
    assert digest == hashlib.sha256(blob[: core.DIGEST_AT] + blob[core.HEADER_BYTES :]).digest()
    assert len(breaths) == -(-(length - core.HEADER_BYTES) // core.PIECE_BYTES)


def test_a_file_that_ends_before_its_length_has_a_digest_all_the_same() -> None:
    blob = injector().blob
    assert core.digest_of(blob, len(blob) + 5000) == core.digest_of(blob, len(blob))


def test_a_table_that_is_too_short_is_found() -> None:
    blob = injector().blob
    at = core.HEADER_BYTES + core.SECTIONS.index("params") * core.ENTRY_BYTES
    shorter = struct.pack("<II", 4 * (core.P_PARAMS - 1), core.P_PARAMS - 1)
    package = core.Package(redigest(blob[: at + 8] + shorter + blob[at + 16 :]), "pico")
    assert package.reason == NONE
    assert audit(package) == PACKAGE_UNUSABLE


@pytest.mark.parametrize(("gap_ms", "reason"), [(MOST_CUT_GAP_MS, NONE), (MOST_CUT_GAP_MS + 1, PACKAGE_UNUSABLE)])
def test_cut_through_never_waits_until_the_watchdog_bites(gap_ms: int, reason: int, tmp_path: Path) -> None:
    words = {("framings", F_CUT_THROUGH): 1, ("params", core.P_GAP_MS): gap_ms}
    assert audit(core.Package(with_words(ct().blob, words), "pico")) == reason
    shutil.copytree(CT, tmp_path / "ct")
    for name, line, text in (
        ("link", "[forward]", "[forward]\ncut_through = true"),
        ("profile", "gap_ms = 20", f"gap_ms = {gap_ms}"),
    ):
        place = tmp_path / "ct" / f"{name}.toml"
        before = place.read_text(encoding="utf-8")
        assert line in before
        place.write_text(before.replace(line, text), encoding="utf-8")
    if reason == NONE:
        assert build(tmp_path / "ct")
    else:
        with pytest.raises(UserError, match="gap_ms"):
            build(tmp_path / "ct")


def test_tables_are_read_when_they_are_asked_for() -> None:
    package = core.Package(injector().blob, "pico", None, False)
    assert (package.reason, package.tables) == (NONE, {})
    package.read_tables()
    assert (package.reason, package.tables) == (NONE, injector().package.tables)


def test_what_cannot_be_used_is_never_read() -> None:
    package = core.Package(injector().blob, "pico2", None, False)
    package.read_tables()
    assert (package.reason, package.tables) == (PACKAGE_BOARD, {})


def test_networks_are_compiled_only_where_they_are_given() -> None:
    bare = Profile(build(INJECTOR))
    assert bare.network_names == []
    assert injector().network_names == ["plausible"]
    assert bare.slot("in_rate") == injector().slot("in_rate")
    assert bare.program("load")[1] == injector().program("load")[1]
    assert small_net().macs == 4


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere") as caught:
        build(tmp_path / "nowhere")
    assert caught.value.exit_code == 4
