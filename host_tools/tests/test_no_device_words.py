"""Nothing of a device is code: no field, objective, command or opcode of CT stands in the firmware."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gantryguard import paths
from gantryguard.profiles.profile import Profile
from interposer.core.codec import C_OPCODE, COMMAND_WORDS

# Words of the house (docs/safety.md, README glossary), whatever the device is.
HOUSE = {
    "unknown",
    "ready",
    "stopped",
    "objective",
    "patient",
    "status",
    "stop",
    "held",
    "refuse",
    "acknowledge",
    "reason",
    "series",
    "head",
    "prepare",
    "idle",
    "context",
    "sequence",
}
CT_WORDS = ("kvp", "ctdi", "ctdivol", "dlp", "mgy", "pitch", "collimation", "rotation", "tilt", "tube", "dose", "scan")
SOURCES = [*sorted((paths.FIRMWARE / "interposer").rglob("*.py")), *sorted(paths.FIRMWARE.glob("*.py"))]


@pytest.fixture(scope="module")
def words(ct: Profile) -> set[str]:
    """Names of fields, codes and commands of the CT profile, and words that only CT has."""
    fields = [quantity for quantity in ct.quantities.values() if quantity.kind == "field"]
    names = {field.name for field in fields} | set(ct.command_names)
    for field in fields:
        names |= set(field.codes)
    return {name.lower() for name in names if len(name) > 3} | set(CT_WORDS)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.relative_to(paths.FIRMWARE).as_posix())
def test_no_word_of_ct(source: Path, words: set[str]) -> None:
    text = source.read_text(encoding="utf-8").lower()
    found = {word for word in words - HOUSE if re.search(rf"\b{re.escape(word)}\b", text)}
    assert not found


def test_the_words_are_found_where_they_are(words: set[str]) -> None:
    text = (paths.MODELS / "ct" / "link.toml").read_text(encoding="utf-8").lower()
    assert len({word for word in words if re.search(rf"\b{re.escape(word)}\b", text)}) > 20


def test_no_opcode_of_ct_is_named(ct: Profile) -> None:
    commands = ct.package.table("commands")
    opcodes = {commands[at + C_OPCODE] for at in range(0, len(commands), COMMAND_WORDS)}
    assert opcodes
    for source in SOURCES:
        text = source.read_text(encoding="utf-8")
        assert not re.search(r"(?i)opcode\s*==\s*(0x[0-9a-f]+|\d+)", text), source
