"""Builds a package from a profile folder: the tables of core in the layout of `interposer.core.package`."""

from __future__ import annotations

import hashlib
import struct
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gantryguard.profiles.curves import Curves
from gantryguard.profiles.dates import day_of
from gantryguard.profiles.executables import Corrections, read_corrections
from gantryguard.profiles.golden import GoldenFrame, golden_section, read_golden
from gantryguard.profiles.limits import Limit, read_limits, read_policy
from gantryguard.profiles.link import Command, Link, command_words, field_words, read_link
from gantryguard.profiles.names import COMMAND, LIMIT, NETWORK, STATE, NamesWriter
from gantryguard.profiles.nets import TrainedNet
from gantryguard.profiles.networks import NetTables, Network, net_tables, read_networks
from gantryguard.profiles.programs import program_of
from gantryguard.profiles.rows import Row, Rows
from gantryguard.profiles.sequence import SequenceTable, read_memory, read_sequence
from gantryguard.profiles.source import Entry, flatten, read
from gantryguard.profiles.vector import SMALL_HIGH, Vector
from interposer.core import package as core
from interposer.core.audit import MOST_CUT_GAP_MS
from interposer.core.link import F_CUT_THROUGH
from interposer.core.reasons import NONE, PACKAGE_SCHEMA, PACKAGE_WIRE

LENGTH_AT = 8  # of the stated length in the header
MODES: Mapping[str, int] = {"monitor": core.MONITOR, "enforce": core.ENFORCE}
# Keys of `[timing]` in profile.toml, their word of the params section, and what they may be.
TIMINGS: Mapping[str, tuple[int, int, int]] = {
    "gap_ms": (core.P_GAP_MS, 1, 10_000),
    "hold_ms": (core.P_HOLD_MS, 1, 600_000),
    "momentary_ms": (core.P_MOMENTARY_MS, 0, 60_000),
    "key_hold_ms": (core.P_KEY_HOLD_MS, 0, 10_000),
    "rate_frames": (core.P_RATE_FRAMES, 1, 100_000),
    "rate_window_ms": (core.P_RATE_WINDOW_MS, 1, 600_000),
    "sequence_window": (core.P_SEQUENCE_WINDOW, 1, 127),
    "retries": (core.P_RETRIES, 0, 100),
    "retry_ms": (core.P_RETRY_MS, 1, 60_000),
}
NAME_BYTES = 16
DEFAULT_BOARD = "pico"
WIRE_AT = 44  # in the header: the wire-format hash, then the feature-schema hash


@dataclass(frozen=True)
class Compiled:
    """Everything that the sources of one profile say, still with names."""

    name: str
    board: str
    mode: int
    counter: int
    issued: int
    expires: int
    timing: Mapping[int, int]
    policy: Sequence[int]
    link: Link
    vector: Vector
    curves: Curves
    rows: Mapping[int, Row]
    limits: Sequence[Limit]
    sequence: SequenceTable
    networks: Sequence[Network]
    corrections: Corrections
    golden: Sequence[GoldenFrame]

    def program(self, command: Command) -> list[Row]:
        """Rows that a command evaluates."""
        return program_of(command, self.rows, self.limits, self.sequence, self.networks, self.corrections)


def compile_profile(folder: Path) -> Compiled:
    """Read and check a profile folder. Raises UserError (exit 4) with file, line, field and remedy."""
    names = flatten(read(folder / "scanner.toml", required=False))
    root = read(folder / "profile.toml", names)
    vector, curves = Vector(), Curves()
    link = read_link(read(folder / "link.toml", names), vector)
    sequence_root = read(folder / "sequence.toml", names)
    read_memory(sequence_root, vector)
    rows = Rows(vector, curves, link)
    quantities = read(folder / "quantities.toml", names)
    rows.read(quantities)
    quantities.done()
    features = read(folder / "features.toml", names, required=False)
    rows.read(features)
    networks = read_networks(features, vector, rows.rows, link)
    limits = read_limits(read(folder / "limits.toml", names), vector, link)
    sequence = read_sequence(sequence_root, vector, link)
    corrections = read_corrections(read(folder / "corrections.toml", names, required=False), vector, curves)
    name, board = root.text("name"), root.text("board", DEFAULT_BOARD)
    if not 1 <= len(name.encode()) <= NAME_BYTES:
        root.fail("name", f"has not 1 to {NAME_BYTES} bytes", "choose a short name.")
    mode, counter = MODES[root.choice("mode", tuple(MODES))], root.integer("counter", 0, SMALL_HIGH)
    issued, expires = day_of(root, "issued"), day_of(root, "expires")
    golden = read_golden(read(folder / "golden.toml", names, required=False), vector, link)
    timing, policy = _timing(root.child("timing"), link), read_policy(root.child("policy"))
    root.done()
    return Compiled(
        name=name,
        board=board,
        mode=mode,
        counter=counter,
        issued=issued,
        expires=expires,
        timing=timing,
        policy=policy,
        link=link,
        vector=vector,
        curves=curves,
        rows=rows.rows,
        limits=limits,
        sequence=sequence,
        networks=networks,
        corrections=corrections,
        golden=golden,
    )


def _timing(entry: Entry, link: Link) -> dict[int, int]:
    timing = {word: entry.integer(key, low, high) for key, (word, low, high) in TIMINGS.items()}
    if link.framings[F_CUT_THROUGH] and timing[core.P_GAP_MS] > MOST_CUT_GAP_MS:
        remedy = f"{MOST_CUT_GAP_MS} at most, or remove `cut_through` from link.toml."
        entry.fail("gap_ms", "is longer than the guard may wait for a gantry that got a spoiled frame", remedy)
    entry.done()
    return timing


def build(folder: Path, nets: Sequence[TrainedNet] | None = None, board: str | None = None) -> bytes:
    """The package of a profile folder; the same sources and networks give the same bytes.

    Without `nets` the declared networks are left out (their feature rows stay). `board` overrides the profile's board.
    Raises UserError (exit 4).
    """
    compiled = compile_profile(folder)
    parts, board = sections(compiled, nets), board or compiled.board
    unproven = core.Package(seal(compiled, parts, board), board)
    parts["golden"] = golden_section(compiled.golden, unproven)
    return seal(compiled, parts, board)


def sections(compiled: Compiled, nets: Sequence[TrainedNet] | None = None) -> dict[str, bytes]:
    """Every section of the package by name."""
    names = NamesWriter()
    names.add_vector(compiled.vector)
    for state in compiled.sequence.states:
        names.add(STATE, state)
    asked = [] if nets is None else list(compiled.networks)
    net_lines = [names.add(NETWORK, network.name) for network in asked]
    tables = net_tables(asked, nets or (), net_lines)
    words = _command_tables(compiled, asked, names)
    fields = compiled.vector.of_kind("field")
    words["framings"] = list(compiled.link.framings)
    words["ranges"] = [word for q in fields for word in (*q.bounds, q.start)]
    words["states"] = [q.start for q in compiled.vector.of_kind("memory")]
    words["sequence"] = compiled.sequence.words(len(compiled.link.commands))
    words["curves"] = compiled.curves.words
    words["nets"] = tables.words
    words["executables"] = compiled.corrections.executable_words(len(fields))
    words["derived"] = compiled.corrections.derived_words()
    words["policy"] = list(compiled.policy)
    words["params"] = _params(compiled, len(asked), tables)
    byte_sections = {"weights": bytes(tables.weights), "names": names.section()}
    return {name: byte_sections.get(name) or _little(words.get(name, [])) for name in core.SECTIONS}


def _command_tables(compiled: Compiled, networks: Sequence[Network], names: NamesWriter) -> dict[str, list[int]]:
    """Sections commands, fields, rows, limits and latches: each command's own stretch of every table."""
    words: dict[str, list[int]] = {name: [] for name in ("commands", "fields", "rows", "limits", "latches")}
    counts = {"fields": 0, "limits": 0, "latches": 0}
    limit_lines = {limit.name: names.add(LIMIT, limit.name, limit.why) for limit in compiled.limits}
    for command in compiled.link.commands.values():
        rows = compiled.program(command) if command.is_forward else []
        limits = [limit for limit in compiled.limits if command in limit.commands]
        latches = compiled.sequence.latches_of(command)
        spans = {
            "rows": (len(words["rows"]), len(rows)),
            "limits": (counts["limits"], len(limits)),
            "latches": (counts["latches"], len(latches)),
        }
        nets = sum(1 << index for index, network in enumerate(networks) if command in network.commands)
        line = names.add(COMMAND, command.name, command.role)
        words["commands"] += command_words(command, counts["fields"], spans, nets, line)
        words["fields"] += field_words(command)
        words["rows"] += [word for row in rows for word in row.words()]
        words["limits"] += [word for limit in limits for word in limit.words(limit_lines[limit.name])]
        words["latches"] += [word for latch in latches for word in (latch.target.slot, latch.source.slot)]
        for key, many in (("fields", len(command.fields)), ("limits", len(limits)), ("latches", len(latches))):
            counts[key] += many
    return words


def _params(compiled: Compiled, nets: int, tables: NetTables) -> list[int]:
    words = [0] * core.P_PARAMS
    for word, value in compiled.timing.items():
        words[word] = value
    words[core.P_BAUD] = compiled.link.baud
    words[core.P_HELD_REPLY], words[core.P_REFUSED_REPLY] = compiled.link.held_reply, compiled.link.refused_reply
    words[core.P_REASON_SLOT] = compiled.link.reason_slot
    words[core.P_REST_SLOT], words[core.P_REST_VALUES], words[core.P_REST_COMMAND] = compiled.link.rest
    words[core.P_VALUES] = len(compiled.vector)
    words[core.P_FIELDS] = len(compiled.vector.of_kind("field"))
    words[core.P_STATES] = len(compiled.vector.of_kind("memory"))
    words[core.P_FIRST_STATE] = compiled.sequence.first
    words[core.P_NETS], words[core.P_WIDEST] = nets, tables.widest
    words[core.P_SEQUENCE_STATES] = len(compiled.sequence.states)
    words[core.P_COMMANDS] = len(compiled.link.commands)
    return words


def seal(compiled: Compiled, parts: Mapping[str, bytes], board: str) -> bytes:
    """Header, table of sections and sections, with the digest."""
    table, body = layout(parts)
    at = core.HEADER_BYTES + len(table)
    header = struct.pack(
        core.HEADER,
        core.MAGIC,
        core.FORMAT,
        compiled.mode,
        at + len(body),
        core.layout_hash(),
        core.board_hash(board),
        compiled.counter,
        len(core.SECTIONS),
        core.ENTRY_BYTES // 4,
        compiled.name.encode(),
        core.ANY,
        core.ANY,
        compiled.issued,
        compiled.expires,
        bytes(hashlib.sha256().digest_size),
    )
    return redigest(header + table + body, board)


def layout(parts: Mapping[str, bytes]) -> tuple[bytes, bytes]:
    """Table of sections, and what it tells about, of sections as little-endian words."""
    at = core.HEADER_BYTES + core.ENTRY_BYTES * len(core.SECTIONS)
    table, body = b"", b""
    for index, name in enumerate(core.SECTIONS):
        content = packed_words(parts[name]) if name in core.PACKED_SECTIONS else parts[name]
        table += struct.pack(core.ENTRY, index, at + len(body), len(content), len(parts[name]) // 4)
        body += content
    return table, body


def redigest(blob: bytes, board: str = DEFAULT_BOARD) -> bytes:
    """The same package, unsigned, with hashes and digest that fit; hashes stay where tables cannot be read."""
    length = int.from_bytes(blob[LENGTH_AT : LENGTH_AT + 4], "little")
    if blob[length : length + len(core.TAIL_MAGIC)] == core.TAIL_MAGIC:
        blob = blob[:length]
    package = core.Package(_digested(blob), board)
    if package.reason in (NONE, PACKAGE_WIRE, PACKAGE_SCHEMA):
        hashes = core.wire_hash(package.table) + core.schema_hash(package.table)
        blob = blob[:WIRE_AT] + hashes + blob[WIRE_AT + len(hashes) :]
    return _digested(blob)


def _digested(blob: bytes) -> bytes:
    digest: bytes = core.digest_of(blob, len(blob))
    return blob[: core.DIGEST_AT] + digest + blob[core.DIGEST_AT + len(digest) :]


def with_words(blob: bytes, words: Mapping[tuple[str, int], int], board: str = DEFAULT_BOARD) -> bytes:
    """The package, unsigned, with words of its tables replaced, by section and index, and a digest that fits."""
    package = core.Package(blob, board)
    parts = {name: bytearray(package.table(name)) for name in core.SECTIONS}
    for (section, index), value in words.items():
        struct.pack_into("<i", parts[section], 4 * index, value)
    return relaid(blob, {name: bytes(part) for name, part in parts.items()}, board)


def relaid(blob: bytes, parts: Mapping[str, bytes], board: str = DEFAULT_BOARD) -> bytes:
    """The package, unsigned, with other sections behind its header."""
    table, body = layout(parts)
    header = bytearray(blob[: core.HEADER_BYTES])
    struct.pack_into("<I", header, LENGTH_AT, len(header) + len(table) + len(body))
    return redigest(bytes(header) + table + body, board)


def packed_words(section: bytes) -> bytes:
    """A section's words as `core.unpack` reads them, filled up to a word."""
    packed = bytearray()
    for (word,) in struct.iter_unpack("<i", section):
        while not -64 <= word < 64:
            packed.append(128 | word & 127)
            word >>= 7
        packed.append(word & 127)
    return bytes(packed) + bytes(-len(packed) % 4)


def _little(words: Sequence[int]) -> bytes:
    """Words as little-endian int32."""
    packed = array("i", words)
    if sys.byteorder != "little":
        packed.byteswap()
    return packed.tobytes()
