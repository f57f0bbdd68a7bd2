"""Which rows of a command need nothing of its frame: those at the beginning of its run that read none of its fields."""

from array import array

from interposer.core.codec import C_FIELD, C_FIELDS, C_LATCH, C_LATCHES, C_ROW, C_ROWS, COMMAND_WORDS, FIELD_WORDS
from interposer.core.compat import const, micropython, ptr8, ptr32
from interposer.core.package import LATCH_WORDS, P_VALUES
from interposer.core.quantities import ROW_WORDS

# Per command, AHEAD_WORDS words.
AHEAD_WORDS = const(3)
A_COUNT = const(0)  # how many such rows it has
A_REST = const(1)  # the word where its other rows begin
A_IS_APART = const(2)  # 1: none of these rows, of any command, reads what this command changes


def split(table):
    """AHEAD_WORDS words per command; `table` gives a section of a package by name, its rows as they are in it."""
    commands, rows = table("commands"), table("rows")
    size = table("params")[P_VALUES]
    ahead = array("i")
    read = bytearray(size)
    for at in range(0, len(commands), COMMAND_WORDS):
        changed = bytearray(size)
        for slot in _changed(table, at):
            changed[slot] = 1
        first = commands[at + C_ROW]
        count = count_ahead(rows, first, commands[at + C_ROWS], changed)
        ahead.append(count)
        ahead.append(mark_read(rows, first, count, read))
        ahead.append(0)
    for index in range(len(ahead) // AHEAD_WORDS):
        is_apart = not any(read[slot] for slot in _changed(table, index * COMMAND_WORDS))
        ahead[index * AHEAD_WORDS + A_IS_APART] = int(is_apart)
    return ahead


def _changed(table, at):
    """The slots that the command at word `at` sets: its fields and its latches."""
    commands, fields, latches = table("commands"), table("fields"), table("latches")
    first = commands[at + C_FIELD]
    slots = [fields[field * FIELD_WORDS + 2] for field in range(first, first + commands[at + C_FIELDS])]
    first = commands[at + C_LATCH]
    return slots + [latches[latch * LATCH_WORDS] for latch in range(first, first + commands[at + C_LATCHES])]


@micropython.viper
def count_ahead(rows: ptr32, at: int, count: int, changed: ptr8) -> int:
    """How many of `count` rows from word `at` on come before the first that reads a slot marked in `changed`."""
    done = 0
    while done < count:
        end = at + ROW_WORDS + 2 * rows[at + 6]
        at += ROW_WORDS
        while at < end:
            if changed[rows[at]]:
                return done
            at += 2
        done += 1
    return done


@micropython.viper
def mark_read(rows: ptr32, at: int, count: int, read: ptr8) -> int:
    """Mark the slots that `count` rows from word `at` on read; the word behind these rows."""
    while count:
        end = at + ROW_WORDS + 2 * rows[at + 6]
        at += ROW_WORDS
        while at < end:
            read[rows[at]] = 1
            at += 2
        count -= 1
    return at


@micropython.viper
def end_of(rows: ptr32, at: int, count: int) -> int:
    """The word behind `count` rows that begin at word `at`."""
    while count:
        at += ROW_WORDS + 2 * rows[at + 6]
        count -= 1
    return at
