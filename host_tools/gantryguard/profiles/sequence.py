"""`sequence.toml`: the states of an exam, the memory of the session, and what each command leaves there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gantryguard.profiles.link import RAW_LIMIT, Command, Link
from gantryguard.profiles.source import Entry
from gantryguard.profiles.vector import Quantity, Vector, raw_ceil, raw_floor

NOWHERE = -1


@dataclass(frozen=True)
class Latch:
    """When its command is let through, `target` takes the value of `source`."""

    command: Command
    target: Quantity
    source: Quantity


@dataclass(frozen=True)
class SequenceTable:
    """States by number, the first state, the next state by (state, command), and the latches in order."""

    states: tuple[str, ...]
    first: int
    following: Mapping[tuple[int, int], int]
    latches: tuple[Latch, ...]

    def words(self, commands: int) -> list[int]:
        """The matrix states x commands of following states, -1 where a command may not come."""
        states = range(len(self.states))
        return [self.following.get((state, index), NOWHERE) for state in states for index in range(commands)]

    def latches_of(self, command: Command) -> list[Latch]:
        """Latches of one command, in order."""
        return [latch for latch in self.latches if latch.command is command]


def read_memory(root: Entry, vector: Vector) -> None:
    """Add every `[memory.<name>]` to the vector."""
    for name, entry in root.children("memory"):
        scale = entry.number("scale", 1.0)
        if scale <= 0:
            entry.fail("scale", f"is {scale:g}", "give the physical size of one raw step, above 0.")
        bounds = entry.numbers("range")
        if len(bounds) != 2 or bounds[0] > bounds[1]:
            entry.fail("range", f"is {bounds}", "write `range = [lowest, highest]`.")
        low, high = raw_ceil(bounds[0] / scale), raw_floor(bounds[1] / scale)
        if max(abs(low), abs(high)) > RAW_LIMIT:
            entry.fail("range", f"needs more than {RAW_LIMIT} raw steps", "choose a coarser scale.")
        start = round(entry.number("start", 0.0) / scale)
        if not low <= start <= high:
            entry.fail("start", "lies outside the range", "choose a start value inside it.")
        unit = entry.text("unit", "")
        entry.text("about", "")
        entry.done()
        vector.add(Quantity(name, len(vector), "memory", unit, scale, low, high, start=start), entry)


def read_sequence(root: Entry, vector: Vector, link: Link) -> SequenceTable:
    """Compile states, transitions and latches."""
    states = tuple(root.words("states"))
    if not states or len(set(states)) != len(states):
        root.fail("states", "is empty or repeats a name", "list each state once.")
    first = root.choice("start", states)
    following: dict[tuple[int, int], int] = {}
    for entry in root.items("transition"):
        _transition(entry, states, link, following)
    latches = [latch for entry in root.items("latch") for latch in _latches(entry, vector, link)]
    root.has("memory")
    root.done()
    return SequenceTable(states, states.index(first), following, tuple(latches))


def _transition(entry: Entry, states: Sequence[str], link: Link, following: dict[tuple[int, int], int]) -> None:
    """One `[[transition]]`: from which states which commands may come, and where they lead (nowhere else: they stay).

    Replies of the gantry may be named too: they can always come, and lead somewhere only where a transition says so.
    """
    commands = [link.find(name, entry, "commands") for name in entry.words("commands")]
    names = entry.words("from")
    for name in names:
        if name not in states:
            entry.fail("from", f"names the state {name!r}", f"use one of {', '.join(states)}.")
        state = states.index(name)
        target = states.index(entry.choice("to", states)) if entry.has("to") else state
        for command in commands:
            if (state, command.index) in following:
                entry.fail("commands", f"{command.name} has two ways out of {name!r}", "remove one.")
            following[state, command.index] = target
    entry.done()


def _latches(entry: Entry, vector: Vector, link: Link) -> list[Latch]:
    commands = link.forward(entry, "on")
    target = vector.find(entry.text("set"), entry, "set")
    source = vector.find(entry.text("to"), entry, "to")
    if target.kind != "memory":
        entry.fail("set", f"names {target.name!r}, which is no memory", "declare it under [memory].")
    if not target.same_scale(source) or target.is_log != source.is_log:
        entry.fail("to", f"{source.name} has another scale than {target.name}", "bring both to one scale.")
    if source.low < target.low or source.high > target.high:
        problem = f"{source.name} ({source.low}..{source.high}) does not fit {target.name} ({target.low}..{target.high})"
        entry.fail("to", problem, "clamp the row, or widen the memory's range.")
    entry.done()
    return [Latch(command, target, source) for command in commands]
