"""Byte tables of a package as Markdown, read from core's own source, so that they cannot drift from it."""

from __future__ import annotations

import inspect
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from gantryguard import markdown
from interposer.core import codec, golden, limits, link, network, package, quantities, trust

_CONSTANT = re.compile(r"^([A-Z][A-Z0-9_]*) = const\((\d+)\)(?:  # (.*))?$", re.MULTILINE)
HEADER_FIELDS = (
    ("magic", f"`{package.MAGIC.decode()}`"),
    ("format", f"{package.FORMAT}"),
    ("mode", f"{package.MONITOR} monitor, {package.ENFORCE} enforce"),
    ("length", "bytes of the whole file"),
    ("layout hash", "first 4 bytes of the SHA-256 of the layout text in `core/package.py`"),
    ("board hash", "first 4 bytes of the SHA-256 of the board's name"),
    ("counter", "security counter: a device takes no package whose counter is not higher"),
    ("sections", f"{len(package.SECTIONS)}"),
    ("words per entry", f"{package.ENTRY_BYTES // 4}"),
    ("name", "ASCII, padded with zeros"),
    ("wire-format hash", "first 4 bytes of the SHA-256 over framings, fields, and of each command opcode, direction, length"),
    ("feature-schema hash", "first 4 bytes of the SHA-256 over rows and curves"),
    ("issued", "day, counted from 1 January 1970; 0 not stated"),
    ("expires", "day after which a host does not push it any more; 0 never"),
    ("digest", "SHA-256 over everything but these 32 bytes"),
)
GOLDEN_FIELDS = (
    ("length", "bytes of the frame"),
    ("verdict", "0 pass, 1 hold, 2 block"),
    ("reason", "reason code"),
    ("outcome", "first 4 bytes of the SHA-256 over result, value vector and scores of the networks"),
)
TAIL_FIELDS = (
    ("magic", f"`{package.TAIL_MAGIC.decode()}`"),
    ("signatures", f"at most {trust.MOST_SIGNATURES}"),
    ("root records", f"at most {trust.MOST_ROOTS}; 0 behind a root record"),
    ("reserved", "zeros"),
)
ROOT_FIELDS = (
    ("magic", f"`{trust.ROOT_MAGIC.decode()}`"),
    ("format", f"{trust.ROOT_FORMAT}"),
    ("keys", "number of keys"),
    ("version", "a newer record has a higher one"),
    ("counter", "what the device's security counter becomes; 0xFFFFFFFF: it stays"),
    ("root signatures", "how many a new root record needs of the root keys here"),
    ("package signatures", "how many a package needs of the package keys here"),
    ("reserved", "zeros"),
    ("board", "board hash that packages must have; zeros: any"),
    ("wire format", "wire-format hash that packages must have; zeros: any"),
    ("feature schema", "feature-schema hash that packages must have; zeros: any"),
    ("digest", "SHA-256 over everything but these 32 bytes and the signatures"),
)
CONTENTS = {
    "params": "counts, times and replies, see below",
    "framings": "two framing records: console to gantry, gantry to console",
    "commands": "command records of both directions",
    "fields": "field records; a command has a stretch of them",
    "ranges": "by field slot: lowest, highest, value before it is known",
    "states": "start values of the session memory",
    "sequence": "by state and command: the following state, -1 where the command may not come",
    "rows": "row programs; each command has its own, which shares no word with another's, see below",
    "curves": "tables of log2 and 2^x, then knots of curves and members of sets",
    "limits": "limit records; a command has a stretch of them",
    "latches": "pairs (memory slot, source slot); a command has a stretch of them",
    "nets": "network records, then their layers, biases, inputs, outputs and thresholds",
    "weights": "int8 weights, row by row of the output",
    "executables": "by field slot: what a correction may set it to",
    "derived": "pairs (field slot, row slot): fields that follow a correction",
    "policy": "by reason code: 0 block, 1 momentary, 2 refuse the frame alone",
    "names": "UTF-8 lines for the host; see `profiles/names.py`",
    "golden": "frames with what becomes of them, see below",
}


@dataclass(frozen=True)
class Record:
    """A record of a table: its constants in core by prefix."""

    title: str
    module: ModuleType
    prefix: str
    words: int
    remark: str = ""


RECORDS = (
    Record("params", package, "P_", package.P_PARAMS),
    Record("framing", link, "F_", link.FRAMING_WORDS, "Places are counted from the first byte of the frame."),
    Record("command", codec, "C_", codec.COMMAND_WORDS),
    Record("limit", limits, "L_", limits.LIMIT_WORDS),
    Record("executable", package, "E_", package.EXECUTABLE_WORDS),
    Record("network", network, "N_", network.NET_WORDS, "Words are counted from the start of the section."),
    Record("layer", network, "Y_", network.LAYER_WORDS),
    Record("output", network, "O_", network.OUTPUT_WORDS),
)


def format_document() -> str:
    """The whole document."""
    parts = [
        "# Format of a profile package",
        "Generated from `firmware/interposer/core`: change the sources, not this page. A package is data only. All numbers "
        "are little-endian; a word is an int32. Slots are places in the value vector: fields, then session memory, then rows.",
        "## Verification\n\nThe first rule that fails gives the reason, and nothing of the package is used.\n\n"
        + _rules(package, 13),
        "## Header\n\n" + _header(),
        "## Sections\n\n" + _sections(),
        *(_record(record) for record in RECORDS),
        _field_record(),
        _rows(),
        _golden(),
        *_trust(),
    ]
    return "\n\n".join(parts) + "\n"


def _rules(module: ModuleType, least: int) -> str:
    """The rule list at the top of a module of core; a rule may take several lines."""
    text = inspect.getdoc(module) or ""
    rules = re.findall(r"^ ?(\d+)\. ((?:[^\n]|\n {4})+?)\s{2,}([A-Z_]+)$", text, re.MULTILINE)
    assert len(rules) >= least
    return markdown.table(
        ("", "rule", "reason otherwise"), [(number, " ".join(rule.split()), f"`{name}`") for number, rule, name in rules]
    )


def _header() -> str:
    """The header's fields with places and sizes from the format string of core."""
    rows = _fields(package.HEADER, HEADER_FIELDS)
    entry = (
        f"Then one entry of {package.ENTRY_BYTES} bytes per section: number, offset from the start of the file, bytes, and how "
        f"many words they are. Packed words are signed LEB128 (DWARF 5, 7.6), {package.MOST_WORDS:,} at most in all, "
        "each section filled up with zeros."
    )
    return markdown.table(("byte", "size", "field", "content"), rows) + "\n\n" + entry


def _fields(form: str, fields: Sequence[tuple[str, str]]) -> list[tuple[str, ...]]:
    """A byte table: places and sizes from a format string of core, `x` being reserved, names and contents from `fields`."""
    rows: list[tuple[str, ...]] = []
    at, names = 0, iter(fields)
    for count, code in re.findall(r"(\d*)([a-zA-Z])", form):
        many = 1 if code in "sx" or not count else int(count)
        for _ in range(many):
            size = struct.calcsize(f"<{count if many == 1 else ''}{code}")
            name, text = ("reserved", "zeros") if code == "x" else next(names)
            rows.append((f"{at}-{at + size - 1}" if size > 1 else str(at), str(size), name, text))
            at += size
    assert at == struct.calcsize(form)
    assert next(names, None) is None
    return rows


def _golden() -> str:
    text = (
        "## Golden frame\n\nJudged in order, each after every one before it that passed; then the frame, filled up to a word."
    )
    return f"{text}\n\n" + markdown.table(("byte", "size", "field", "content"), _fields(golden.FRAME, GOLDEN_FIELDS))


def _trust() -> list[str]:
    """What follows the stated length: the tail, and root records."""
    head = ("byte", "size", "field", "content")
    return [
        "## Tail\n\nBehind the stated length of a package, and behind a root record in its file. What is signed by LMS "
        "(RFC 8554; LMS_SHA256_M24_H10 with LMOTS_SHA256_N24_W4 of SP 800-208) is `GantryGuard package 1` or `GantryGuard root "
        "record 1`, a zero byte, and the digest.\n\n" + markdown.table(head, _fields(trust.TAIL, TAIL_FIELDS)),
        f"Then each signature: {trust.SIGNED_BY_BYTES} bytes, the identifier in the public key of who signed, and "
        f"{trust.SIGNATURE_BYTES} bytes. Then the root records, oldest first, each with a tail of its own. Nothing may follow.",
        "## Root record\n\n" + markdown.table(head, _fields(trust.ROOT_HEAD, ROOT_FIELDS)),
        f"Then each key, {trust.KEY_ENTRY_BYTES} bytes: its role ({trust.ROOT_ROLE} root, {trust.PACKAGE_ROLE} package), three "
        f"zeros, the LMS public key. {trust.MOST_KEYS} keys at most.",
        "## Who may sign what\n\nRules 1 to 3 are asked of every root record that a package carries, the others of the "
        "package; together they are rule 4 of the list above. While the installed record is unusable nothing is believed: "
        "`ROOT_UNUSABLE`. A record that equals the installed one is passed over. A device keeps a new record when its package "
        "is confirmed.\n\n" + _rules(trust, 8),
    ]


def _sections() -> str:
    rows = []
    for number, name in enumerate(package.SECTIONS):
        kind = "bytes" if name in package.BYTE_SECTIONS else "packed words" if name in package.PACKED_SECTIONS else "words"
        rows.append((str(number), f"`{name}`", kind, CONTENTS[name]))
    return markdown.table(("number", "section", "of", "content"), rows)


def _record(record: Record) -> str:
    """A record's words: constants of one prefix with the comments that stand beside them."""
    rows = [
        (number, f"`{name}`", comment)
        for name, number, comment in _CONSTANT.findall(inspect.getsource(record.module))
        if name.startswith(record.prefix) and int(number) < record.words
    ]
    remark = f"\n\n{record.remark}" if record.remark else ""
    return f"## Record: {record.title}, {record.words} words{remark}\n\n" + markdown.table(("word", "name", "content"), rows)


def _field_record() -> str:
    kinds = _between(codec, "U8", "DECIMAL")
    text = f"## Record: field, {codec.FIELD_WORDS} words\n\nKind, place in the frame (or number of the argument), slot."
    return f"{text} Kinds:\n\n" + markdown.table(("code", "name", "content"), kinds)


def _rows() -> str:
    kinds = _between(quantities, "AFFINE", "LARGEST")
    text = (
        f"## Row of a program, {quantities.ROW_WORDS} words and two words per term\n\n"
        "Kind, destination, lowest, highest, a, b, terms; then per term: source slot, coefficient. The result is clamped to "
        "lowest..highest. Kinds:\n\n"
    )
    return text + markdown.table(("code", "name", "content"), kinds)


def _between(module: ModuleType, first: str, last: str) -> list[tuple[str, ...]]:
    """Constants of a module's source from one name to another."""
    found = _CONSTANT.findall(inspect.getsource(module))
    names = [name for name, _, _ in found]
    return [(number, f"`{name}`", text) for name, number, text in found[names.index(first) : names.index(last) + 1]]
