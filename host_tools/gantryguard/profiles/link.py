"""`link.toml`: framings, fields and commands of a link, compiled into the tables that core's link and codec read."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass

from gantryguard.profiles.framing import OPCODES, framing_record
from gantryguard.profiles.source import Entry
from gantryguard.profiles.vector import Quantity, Vector, raw_ceil, raw_floor
from interposer.core import codec, link

# Wire kinds: code of core, bytes, lowest and highest value. Nothing may need more than the 31 bits of a small integer.
RAW_LIMIT = (1 << 30) - 1
TEXT_LIMIT = 10**codec.MAX_DIGITS - 1
KINDS: Mapping[str, tuple[int, int, int, int]] = {
    "u8": (codec.U8, 1, 0, 0xFF),
    "i8": (codec.I8, 1, -0x80, 0x7F),
    "u16": (codec.U16_LITTLE, 2, 0, 0xFFFF),
    "i16": (codec.I16_LITTLE, 2, -0x8000, 0x7FFF),
    "u32": (codec.U32_LITTLE, 4, 0, RAW_LIMIT),
    "i32": (codec.I32_LITTLE, 4, -RAW_LIMIT, RAW_LIMIT),
    "u16be": (codec.U16_BIG, 2, 0, 0xFFFF),
    "i16be": (codec.I16_BIG, 2, -0x8000, 0x7FFF),
    "decimal": (codec.DECIMAL, 0, -TEXT_LIMIT, TEXT_LIMIT),
}
DIRECTIONS = ("forward", "backward")
ROLES = ("keep_alive", "context", "parameters", "motion", "prepare", "expose", "stop", "reply", "status")
PASSES: Mapping[str, int] = {"always": codec.ALWAYS_PASSES, "while_held": codec.PASSES_WHILE_HELD, "checked": 0}
MOST_COMMANDS = 250
REST_VALUES = 30  # bits of a small integer


@dataclass(frozen=True)
class WireField:
    """A field of a command: which quantity, in which form, at which byte of the frame (or as which argument)."""

    quantity: Quantity
    form: str
    at: int


@dataclass(frozen=True)
class Command:
    """One command of the link. `length` is that of the whole frame, or 0 where fields are text."""

    name: str
    index: int
    opcode: int
    direction: int
    role: str
    flags: int
    fields: tuple[WireField, ...]
    length: int
    about: str
    entry: Entry

    @property
    def is_forward(self) -> bool:
        """Whether the console sends it."""
        return self.direction == link.FORWARD


@dataclass(frozen=True)
class Link:
    """The compiled link: commands by name, both framing records, and the parameters that refer to replies."""

    baud: int
    commands: Mapping[str, Command]
    framings: array[int]
    held_reply: int
    refused_reply: int
    reason_slot: int
    rest: tuple[int, int, int]  # slot of the gantry's state, the values at which it rests (a bit each), the reply that has it
    root: Entry

    def find(self, name: str, entry: Entry, key: str) -> Command:
        """The command that a key of a table names."""
        command = self.commands.get(name)
        if command is None:
            entry.fail(key, f"names the command {name!r}, which link.toml does not have", "mend the name.")
        return command

    def forward(self, entry: Entry, key: str) -> list[Command]:
        """The console's commands that a list of names gives."""
        commands = [self.find(name, entry, key) for name in entry.words(key)]
        for command in commands:
            if not command.is_forward:
                entry.fail(key, f"names {command.name!r}, a reply of the gantry", "name commands of the console.")
        return commands


def read_link(root: Entry, vector: Vector) -> Link:
    """Compile `link.toml`; its fields become the first slots of `vector`."""
    baud = root.integer("baud", 9600, 1_000_000)
    for name, entry in root.children("fields"):
        vector.add(_field(name, entry, len(vector)), entry)
    frames = {direction: _framing_entry(root, direction) for direction in DIRECTIONS}
    commands: dict[str, Command] = {}
    for entry in root.items("command"):
        command = _command(entry, len(commands), frames, vector)
        _check_unique(command, commands)
        commands[command.name] = command
    if not any(command.is_forward for command in commands.values()) or len(commands) > MOST_COMMANDS:
        root.fail("command", f"lists {len(commands)} commands", f"state 1 to {MOST_COMMANDS} of them.")
    framings = array("i")
    for direction, name in enumerate(DIRECTIONS):
        mine = [command for command in commands.values() if command.direction == direction]
        from_console = direction == link.FORWARD
        framings.extend(framing_record(frames[name], _longest(mine, frames[name]), from_console=from_console))
    held, refused, slot = _replies(root, commands, vector)
    rest = _rest(root, commands, vector)
    root.done()
    return Link(baud, commands, framings, held, refused, slot, rest, root)


def _field(name: str, entry: Entry, slot: int) -> Quantity:
    """A field's unit, scale, range (physical, or raw as `raw_range`), start value and codes."""
    scale = entry.number("scale", 1.0)
    if scale <= 0:
        entry.fail("scale", f"is {scale:g}", "give the physical size of one raw step, above 0.")
    codes = _codes(entry)
    low, high = _range(entry, scale, codes)
    unknown = entry.integer("unknown_raw", -RAW_LIMIT, RAW_LIMIT) if entry.has("unknown_raw") else None
    if unknown is not None and not low <= unknown <= high:
        entry.fail("unknown_raw", f"{unknown} lies outside the range {low}..{high}", "widen the range.")
    start = entry.integer("start_raw", -RAW_LIMIT, RAW_LIMIT, 0 if unknown is None else unknown)
    unit = entry.text("unit", "")
    entry.text("about", "")
    entry.done()
    return Quantity(
        name,
        slot,
        "field",
        unit,
        scale,
        min(low, start),
        max(high, start),
        start=start,
        unknown=unknown,
        codes=codes,
        bounds=(low, high),
    )


def _codes(entry: Entry) -> dict[str, int]:
    if not entry.has("values"):
        return {}
    table = entry.child("values")
    codes = {name: table.integer(name, 0, 254) for name in table.data}
    first = min(codes.values(), default=0)
    if not codes or sorted(codes.values()) != list(range(first, first + len(codes))):
        remedy = "number the values without gaps: the range is all that the link checks."
        entry.fail("values", "is empty, has gaps or repeats a code", remedy)
    return codes


def _range(entry: Entry, scale: float, codes: Mapping[str, int]) -> tuple[int, int]:
    if codes:
        return min(codes.values()), max(codes.values())
    key = "raw_range" if entry.has("raw_range") else "range"
    bounds = entry.numbers(key)
    if len(bounds) != 2 or bounds[0] > bounds[1]:
        entry.fail(key, f"is {bounds}", f"write `{key} = [lowest, highest]`.")
    factor = 1.0 if key == "raw_range" else scale
    low, high = raw_ceil(bounds[0] / factor), raw_floor(bounds[1] / factor)
    if max(abs(low), abs(high)) > RAW_LIMIT:
        entry.fail(key, f"needs more than {RAW_LIMIT} raw steps", "choose a coarser scale or a narrower range.")
    return low, high


def _framing_entry(root: Entry, direction: str) -> Entry:
    """The framing table of a direction; `same_as_forward = true` borrows the other one."""
    entry = root.child(direction)
    if entry.flag("same_as_forward"):
        entry.done()
        return root.child("forward")
    if direction != DIRECTIONS[link.FORWARD] and entry.has("cut_through"):
        entry.fail("cut_through", "is for the console's frames", "remove it: the gantry's bytes are passed on unjudged.")
    return entry


def _command(entry: Entry, index: int, frames: Mapping[str, Entry], vector: Vector) -> Command:
    name = entry.text("name")
    direction = entry.choice("direction", DIRECTIONS, "forward")
    frame = frames[direction]
    digits = frame.choice("opcode", tuple(OPCODES), "byte") == "digits"
    opcode = entry.integer("opcode", 0, 99 if digits else 255)
    flags = PASSES[entry.choice("passes", tuple(PASSES), "checked")]
    flags |= codec.ANY_SEQUENCE if entry.flag("any_sequence") else 0
    is_text = frame.choice("framing", ("counted", "delimited")) == "delimited"
    fields, end = _wire_fields(entry, frame, is_text, vector)
    length = 0 if is_text else end + frame.child("check").integer("size", 0, 4, 0)
    role = entry.choice("role", ROLES)
    about = entry.text("about", "")
    entry.done()
    return Command(name, index, opcode, DIRECTIONS.index(direction), role, flags, fields, length, about, entry)


def _wire_fields(entry: Entry, frame: Entry, is_text: bool, vector: Vector) -> tuple[tuple[WireField, ...], int]:
    """The fields of `fields = ["name kind", ...]` and the place after the last one."""
    at = frame.integer("body_at", 1, 255)
    fields: list[WireField] = []
    for text in entry.words("fields", []):
        name, _, form = text.partition(" ")
        if form not in KINDS or is_text != (form == "decimal"):
            known = "decimal" if is_text else ", ".join(kind for kind in KINDS if kind != "decimal")
            entry.fail("fields", f"holds {text!r}", f'write "name kind" with one of the kinds {known}.')
        quantity = vector.find(name, entry, "fields")
        _, size, low, high = KINDS[form]
        if quantity.bounds[0] < low or quantity.bounds[1] > high:
            entry.fail("fields", f"sends {name} ({quantity.bounds[0]}..{quantity.bounds[1]}) as {form}", "use a wider kind.")
        if any(field.quantity is quantity for field in fields):
            entry.fail("fields", f"holds {name} twice", "remove one.")
        fields.append(WireField(quantity, form, len(fields) if is_text else at))
        at += size
    return tuple(fields), at


def _check_unique(command: Command, commands: Mapping[str, Command]) -> None:
    for other in commands.values():
        if other.name == command.name:
            command.entry.fail("name", f"{command.name!r} is used twice", "rename one of the commands.")
        if other.direction == command.direction and other.opcode == command.opcode:
            command.entry.fail("opcode", f"{command.opcode} also means {other.name!r}", "choose a free one.")


def _longest(commands: list[Command], frame: Entry) -> int:
    """Length of the longest frame of one direction."""
    if frame.choice("framing", ("counted", "delimited")) == "counted":
        return max((command.length for command in commands), default=0)
    around = frame.integer("body_at", 1, 255) + frame.child("check").integer("size", 0, 4, 0) + 1
    texts = [sum(_text_width(field.quantity) for field in command.fields) for command in commands]
    return around + max(texts, default=0)


def _text_width(quantity: Quantity) -> int:
    """Characters of the widest value with its comma."""
    return max(len(str(bound)) for bound in quantity.bounds) + 1


def _replies(root: Entry, commands: Mapping[str, Command], vector: Vector) -> tuple[int, int, int]:
    """Indices of the replies that the guard itself may give, and the slot of the reason in them."""
    if not root.has("replies"):
        return -1, -1, 0
    entry = root.child("replies")
    indices = []
    for key in ("held", "refused"):
        command = commands.get(entry.text(key))
        if command is None or command.is_forward:
            entry.fail(key, "names no backward command of this file", "name one of direction backward.")
        indices.append(command.index)
    reason = vector.find(entry.text("reason"), entry, "reason")
    entry.done()
    return indices[0], indices[1], reason.slot


def _rest(root: Entry, commands: Mapping[str, Command], vector: Vector) -> tuple[int, int, int]:
    """Where the gantry says that nothing moves or radiates; (-1, 0, -1) for a link on which it does not."""
    if not root.has("rest"):
        return -1, 0, -1
    entry = root.child("rest")
    field = vector.find(entry.text("field"), entry, "field")
    replies = [command for command in commands.values() if not command.is_forward]
    telling = [reply.index for reply in replies if any(field is sent.quantity for sent in reply.fields)]
    if len(telling) != 1:
        entry.fail("field", f"names {field.name}, which {len(telling)} replies have", "name a field that one reply alone has.")
    bits = 0
    for name in entry.words("values"):
        if not 0 <= field.codes.get(name, -1) < REST_VALUES:
            entry.fail("values", f"holds {name!r}", f"use {', '.join(field.codes) or 'a field with named values'}.")
        bits |= 1 << field.codes[name]
    entry.done()
    return field.slot, bits, telling[0]


def command_words(command: Command, first_field: int, spans: Mapping[str, tuple[int, int]], nets: int, name: int) -> list[int]:
    """The words of one command; `spans` gives (first, count) of its rows, limits and latches."""
    words = [0] * codec.COMMAND_WORDS
    words[codec.C_OPCODE] = command.opcode
    words[codec.C_DIRECTION] = command.direction
    words[codec.C_LENGTH] = command.length
    words[codec.C_FIELD], words[codec.C_FIELDS] = first_field, len(command.fields)
    words[codec.C_FLAGS] = command.flags
    words[codec.C_ROW], words[codec.C_ROWS] = spans["rows"]
    words[codec.C_LIMIT], words[codec.C_LIMITS] = spans["limits"]
    words[codec.C_LATCH], words[codec.C_LATCHES] = spans["latches"]
    words[codec.C_NETS] = nets
    words[codec.C_NAME] = name
    return words


def field_words(command: Command) -> list[int]:
    """The words of a command's fields."""
    return [word for field in command.fields for word in (KINDS[field.form][0], field.at, field.quantity.slot)]
