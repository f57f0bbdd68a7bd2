"""The framing of one direction: from its table in `link.toml` to core's framing record."""

from __future__ import annotations

from collections.abc import Mapping

from gantryguard.profiles.source import Entry
from interposer.core import link
from interposer.core.audit import LEAST_STARTS, may_cut_through

CHECKS: Mapping[str, int] = {
    "none": link.CHECK_NONE,
    "crc16": link.CHECK_CRC16,
    "sum": link.CHECK_SUM,
    "xor": link.CHECK_XOR,
}
FORMS: Mapping[str, int] = {"little": link.FORM_LITTLE, "big": link.FORM_BIG, "hex": link.FORM_HEX}
OPCODES: Mapping[str, int] = {"byte": link.OPCODE_BYTE, "digits": link.OPCODE_DIGITS}
MOST_STARTS = 4


def framing_record(entry: Entry, longest: int, *, from_console: bool = False) -> list[int]:
    """The FRAMING_WORDS words of a direction whose longest frame has `longest` bytes."""
    words = [0] * link.FRAMING_WORDS
    is_counted = entry.choice("framing", ("counted", "delimited")) == "counted"
    words[link.F_KIND] = link.COUNTED if is_counted else link.DELIMITED
    _put_start(words, entry, is_counted)
    words[link.F_OPCODE_AT] = entry.integer("opcode_at", 1, 250)
    words[link.F_OPCODE_FORM] = OPCODES[entry.choice("opcode", tuple(OPCODES), "byte")]
    words[link.F_SEQUENCE_AT] = entry.integer("sequence_at", -1, 250, -1)
    words[link.F_BODY_AT] = entry.integer("body_at", 1, 255)
    _put_check(words, entry.child("check"))
    words[link.F_MIN] = words[link.F_BODY_AT] + words[link.F_CHECK_SIZE] + (0 if is_counted else 1)
    words[link.F_MAX] = max(longest, words[link.F_MIN])
    if is_counted:
        words[link.F_LENGTH_AT] = entry.integer("length_at", 1, 250)
        words[link.F_LENGTH_EXTRA] = entry.integer("length_extra", 0, 250)
        if not 0 <= words[link.F_MAX] - words[link.F_LENGTH_EXTRA] <= 255:
            entry.fail("length_extra", f"makes the length byte of {words[link.F_MAX]} bytes overflow", "check it.")
    _check_places(words, entry)
    if entry.flag("cut_through") and from_console:
        _put_cut_through(words, entry)
    entry.done()
    return words


def _put_cut_through(words: list[int], entry: Entry) -> None:
    words[link.F_CUT_THROUGH] = may_cut_through(words)
    if not words[link.F_CUT_THROUGH]:
        what = "lets bytes of bad commands out, on a link whose receiver cannot tell that they were spoiled"
        remedy = f"remove it, or have frames with a length, a check and at least {LEAST_STARTS} start bytes."
        entry.fail("cut_through", what, remedy)


def _put_start(words: list[int], entry: Entry, is_counted: bool) -> None:
    starts = entry.numbers("start")
    if not 1 <= len(starts) <= MOST_STARTS or any(byte != int(byte) or not 0 <= byte <= 255 for byte in starts):
        entry.fail("start", f"is {starts}", f"give 1 to {MOST_STARTS} bytes.")
    words[link.F_STARTS] = len(starts)
    for index, byte in enumerate(starts):
        words[link.F_START + index] = int(byte)
    if not is_counted:
        words[link.F_END] = entry.integer("end", 0, 255)


def _put_check(words: list[int], entry: Entry) -> None:
    kind = entry.choice("kind", tuple(CHECKS))
    words[link.F_CHECK] = CHECKS[kind]
    words[link.F_CHECK_SIZE] = entry.integer("size", 0 if kind == "none" else 1, 2, 0 if kind == "none" else None)
    words[link.F_CHECK_FROM] = entry.integer("from", 0, 250, 0)
    words[link.F_CHECK_FORM] = FORMS[entry.choice("form", tuple(FORMS), "little")]
    if kind == "crc16":
        words[link.F_CHECK_A] = entry.integer("polynomial", 0, 0xFFFF)
        words[link.F_CHECK_B] = entry.integer("initial", 0, 0xFFFF)
        words[link.F_CHECK_C] = int(entry.flag("reflected"))
        words[link.F_CHECK_D] = entry.integer("final_xor", 0, 0xFFFF, 0)
    elif kind != "none":
        words[link.F_CHECK_A] = entry.integer("keep", 0, 0xFFFF)
        words[link.F_CHECK_B] = entry.integer("set", 0, 0xFFFF, 0)
        words[link.F_CHECK_C] = int(entry.flag("negated"))
    entry.done()


def _check_places(words: list[int], entry: Entry) -> None:
    """Everything before the body must lie there, and not on each other."""
    width = 1 if words[link.F_OPCODE_FORM] == link.OPCODE_BYTE else 2
    places = {"opcode_at": (words[link.F_OPCODE_AT], width)}
    if words[link.F_SEQUENCE_AT] >= 0:
        places["sequence_at"] = (words[link.F_SEQUENCE_AT], 1)
    if words[link.F_KIND] == link.COUNTED:
        places["length_at"] = (words[link.F_LENGTH_AT], 1)
    taken = set(range(words[link.F_STARTS]))
    for key, (at, size) in places.items():
        bytes_of = set(range(at, at + size))
        if bytes_of & taken or at + size > words[link.F_BODY_AT]:
            entry.fail(key, f"{at} collides with the start bytes, another part or the body", "move it.")
        taken |= bytes_of
    if words[link.F_CHECK_FROM] > words[link.F_BODY_AT]:
        entry.child("check").fail("from", "begins behind the start of the body", "let it begin earlier.")
