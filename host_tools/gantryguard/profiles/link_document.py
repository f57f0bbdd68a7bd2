"""Byte tables of a profile's link for those who implement the other end, as Markdown."""

from __future__ import annotations

from gantryguard import markdown
from gantryguard.profiles.framing import CHECKS, FORMS
from gantryguard.profiles.limits import POLICIES
from gantryguard.profiles.link import KINDS, Command
from gantryguard.profiles.package import Compiled
from gantryguard.profiles.vector import Quantity
from gantryguard.reasons import TEXTS
from interposer.core import codec, link, package

TITLES = {link.FORWARD: "Console to gantry", link.BACKWARD: "Gantry to console"}
SIGNS = {"u": "unsigned", "i": "signed"}


def link_document(compiled: Compiled) -> str:
    """The whole document."""
    parts = [
        f"# The link of the profile `{compiled.name}`",
        f"Generated from `models/{compiled.name}/`: change the sources, not this page.",
        f"Serial, {compiled.link.baud:,} baud, 8 data bits, no parity, 1 stop bit.",
        *(_framing(compiled, direction) for direction in TITLES),
        *(_commands(compiled, direction) for direction in TITLES),
        _codes(compiled),
        _replies(compiled),
        _order(compiled),
        _timing(compiled),
    ]
    return "\n\n".join(parts) + "\n"


def _framing(compiled: Compiled, direction: int) -> str:
    at = direction * link.FRAMING_WORDS
    words = compiled.link.framings[at : at + link.FRAMING_WORDS]
    counted = words[link.F_KIND] == link.COUNTED
    start = " ".join(f"{words[link.F_START + i]:02X}" for i in range(words[link.F_STARTS]))
    rows = [(_places(0, words[link.F_STARTS]), f"start: `{start}` (hexadecimal)")]
    if counted:
        text = f"length: bytes of the whole frame minus {words[link.F_LENGTH_EXTRA]}"
        rows.append((_places(words[link.F_LENGTH_AT], 1), text))
    if words[link.F_SEQUENCE_AT] >= 0:
        rows.append((_places(words[link.F_SEQUENCE_AT], 1), "sequence number; a reply has that of its command"))
    is_byte = words[link.F_OPCODE_FORM] == link.OPCODE_BYTE
    opcode = "opcode" if is_byte else "opcode: two ASCII digits"
    rows.append((_places(words[link.F_OPCODE_AT], 1 if is_byte else 2), opcode))
    body = "fields, without padding" if counted else "arguments: ASCII decimal numbers, each ended by a comma"
    rows.append((f"from {words[link.F_BODY_AT]}", body))
    rows.append(("then", _check(list(words))))
    if not counted:
        rows.append(("last", f"end: `{words[link.F_END]:02X}`"))
    size = f"{words[link.F_MIN]} to {words[link.F_MAX]} bytes"
    return f"## Frame, {TITLES[direction].lower()}\n\n{size}.\n\n" + markdown.table(("byte", "content"), rows)


def _check(words: list[int]) -> str:
    kind = next(name for name, code in CHECKS.items() if code == words[link.F_CHECK])
    form = next(name for name, code in FORMS.items() if code == words[link.F_CHECK_FORM])
    if kind == "none":
        return "no check"
    size, first = words[link.F_CHECK_SIZE], words[link.F_CHECK_FROM]
    where = f"{size} bytes {form}-endian, over byte {first} to the last byte before it"
    if form == "hex":
        where = f"{size} hexadecimal digits, over byte {first} to the last byte before it"
    if kind == "crc16":
        return (
            f"CRC-16: polynomial 0x{words[link.F_CHECK_A]:04X}, initial 0x{words[link.F_CHECK_B]:04X}, "
            f"{'reflected' if words[link.F_CHECK_C] else 'not reflected'}, final xor 0x{words[link.F_CHECK_D]:04X}; {where}"
        )
    sign = "minus the " if words[link.F_CHECK_C] else ""
    masks = f"and 0x{words[link.F_CHECK_A]:02X}, or 0x{words[link.F_CHECK_B]:02X}"
    return f"{sign}{kind} of the bytes, {masks}; {where}"


def _commands(compiled: Compiled, direction: int) -> str:
    commands = [command for command in compiled.link.commands.values() if command.direction == direction]
    rows = [
        (f"`{_opcode(compiled, command)}`", f"`{command.name}`", command.role, str(command.length or ""), _flags(command))
        for command in commands
    ]
    head = markdown.table(("opcode", "command", "role", "bytes", "rules"), rows)
    return f"## Commands, {TITLES[direction].lower()}\n\n{head}\n\n" + "\n\n".join(map(_command, commands))


def _opcode(compiled: Compiled, command: Command) -> str:
    words = compiled.link.framings[command.direction * link.FRAMING_WORDS :]
    return f"{command.opcode:02X}" if words[link.F_OPCODE_FORM] == link.OPCODE_BYTE else f"{command.opcode:02d}"


def _flags(command: Command) -> str:
    if not command.is_forward:
        return ""
    texts = {
        codec.ALWAYS_PASSES: "always passes, also while blocked or held",
        codec.PASSES_WHILE_HELD: "passes while a command is held",
        codec.ANY_SEQUENCE: "may have any sequence number",
    }
    return "; ".join(text for flag, text in texts.items() if command.flags & flag)


def _command(command: Command) -> str:
    title = f"### `{command.name}`\n\n{command.about[:1].upper()}{command.about[1:]}."
    if not command.fields:
        return f"{title} No fields."
    rows = []
    for number, field in enumerate(command.fields):
        size = KINDS[field.form][1]
        place = _places(field.at, size) if size else f"argument {number + 1}"
        rows.append((place, f"`{field.quantity.name}`", _form(field.form), _unit(field.quantity), _range(field.quantity)))
    return f"{title}\n\n" + markdown.table(("byte", "field", "form", "raw step", "range"), rows)


def _form(form: str) -> str:
    if form == "decimal":
        return "decimal text"
    order = " big-endian" if form.endswith("be") else "" if form.endswith("8") else " little-endian"
    return f"{SIGNS[form[0]]} {form.strip('uibe')} bit{order}"


def _unit(quantity: Quantity) -> str:
    if quantity.codes:
        return "code"
    step = f"{quantity.scale:.6g}" if quantity.unit != "y" else f"1/{1 / quantity.scale:.0f}"
    return f"{step} {quantity.unit}".strip()


def _range(quantity: Quantity) -> str:
    low, high = quantity.bounds
    text = f"{low} to {high}"
    return text if quantity.unknown is None else f"{text}; {quantity.unknown} means unknown"


def _codes(compiled: Compiled) -> str:
    rows = [
        (f"`{q.name}`", ", ".join(f"{code} {name}" for name, code in q.codes.items()))
        for q in compiled.vector.of_kind("field")
        if q.codes
    ]
    return "## Codes\n\nA code that is not listed is refused.\n\n" + markdown.table(("field", "codes"), rows)


def _replies(compiled: Compiled) -> str:
    names = {command.index: command.name for command in compiled.link.commands.values()}
    held, refused = names.get(compiled.link.held_reply), names.get(compiled.link.refused_reply)
    if held is None or refused is None:
        return "## Replies of the guard\n\nThis link gives the guard no replies."
    codes = ", ".join(f"{code} {name}" for code, (name, _) in TEXTS.items() if code)
    return (
        "## Replies of the guard\n\n"
        f"The guard answers for the gantry in two cases only: `{held}` when it keeps a command for the technologist "
        f"(the final reply follows), `{refused}` when a command does not reach the gantry. Everything else that the "
        "console receives is the gantry's own. Both carry the sequence number of the command and a reason:\n\n"
        f"{codes}."
    )


def _order(compiled: Compiled) -> str:
    sequence = compiled.sequence
    rows = []
    for command in compiled.link.commands.values():
        leads = [sequence.following.get((state, command.index)) for state in range(len(sequence.states))]
        nowhere = "refused" if command.is_forward else "stays"
        if command.is_forward or any(after is not None for after in leads):
            cells = (nowhere if after is None else sequence.states[after] for after in leads)
            rows.append((f"`{command.name}`", *cells))
    table = markdown.table(("command", *(f"in {state}" for state in sequence.states)), rows)
    start = sequence.states[sequence.first]
    about = "each cell is the state afterwards. A reply of the gantry is named where it changes the state."
    return f"## Order of commands\n\nBegins in `{start}`; {about}\n\n{table}"


def _timing(compiled: Compiled) -> str:
    t = compiled.timing
    endings = {code: name for name, code in POLICIES.items()}
    ends = [f"{TEXTS[code][0]} {endings[policy]}" for code, policy in enumerate(compiled.policy) if 20 <= code < 24]
    lines = [
        f"- A frame that stops for {t[package.P_GAP_MS]} ms before its end is dropped.",
        f"- At most {t[package.P_RATE_FRAMES]} frames in {t[package.P_RATE_WINDOW_MS]} ms; a stop is not counted.",
        "- Each new command has a sequence number 1 to "
        f"{t[package.P_SEQUENCE_WINDOW]} ahead of the last one's (modulo 256), refused ones included.",
        "- A command without a reply is repeated byte for byte, sequence number included, at most "
        f"{t[package.P_RETRIES]} times; an overridden one not at all.",
        f"- A held command waits up to {t[package.P_HOLD_MS] / 1000:g} s for the technologist; meanwhile only commands "
        "that may pass do.",
        f"- How a refusal ends: {', '.join(ends)} (block: until somebody acknowledges at the device; momentary: after "
        f"{t[package.P_MOMENTARY_MS]} ms; refuse: at once).",
    ]
    return "## Times and rules\n\n" + "\n".join(lines)


def _places(at: int, size: int) -> str:
    return str(at) if size == 1 else f"{at}-{at + size - 1}"
