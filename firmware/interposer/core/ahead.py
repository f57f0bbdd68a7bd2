"""Which rows of a command need nothing of its frame: those at the beginning of its run that read none of its fields.

So they come out the same again until another command is let through that writes what they read.
"""

from array import array

from interposer.core.codec import (
    C_FIELD,
    C_FIELDS,
    C_LATCH,
    C_LATCHES,
    C_ROW,
    C_ROWS,
    COMMAND_WORDS,
    FIELD_WORDS,
)
from interposer.core.compat import const, micropython, ptr8, ptr32
from interposer.core.package import LATCH_WORDS, P_VALUES
from interposer.core.quantities import ROW_WORDS

# Per command, AHEAD_WORDS words.
AHEAD_WORDS = const(3)
A_COUNT = const(0)  # how many such rows it has
A_REST = const(1)  # the word where its other rows begin
A_TOUCHED = const(2)  # commands that, let through, write what those rows read: the bit of each is its number's last four bits
BIT_OF = const(15)


def split(table):
    """AHEAD_WORDS words per command; `table` gives a section of a package by name, its rows as they are in it."""
    commands, fields, rows, latches = table("commands"), table("fields"), table("rows"), table("latches")
    number = len(commands) // COMMAND_WORDS
    ahead = array("i")
    for at in range(0, len(commands), COMMAND_WORDS):
        told = bytearray(table("params")[P_VALUES])
        for field in range(commands[at + C_FIELD], commands[at + C_FIELD] + commands[at + C_FIELDS]):
            told[fields[field * FIELD_WORDS + 2]] = 1
        count = count_ahead(rows, commands[at + C_ROW], commands[at + C_ROWS], told)
        end = end_of(rows, commands[at + C_ROW], count)
        read = bytearray(len(told))
        mark_read(rows, commands[at + C_ROW], count, read)
        ahead.append(count)
        ahead.append(end)
        ahead.append(touched_by(commands, number, fields, latches, read))
    return ahead


@micropython.viper
def count_ahead(rows: ptr32, at: int, count: int, told: ptr8) -> int:
    """How many of `count` rows from word `at` on come before the first that reads a slot marked in `told`."""
    done = 0
    while done < count:
        end = at + ROW_WORDS + 2 * rows[at + 6]
        at += ROW_WORDS
        while at < end:
            if told[rows[at]]:
                return done
            at += 2
        done += 1
    return done


@micropython.viper
def end_of(rows: ptr32, at: int, count: int) -> int:
    """The word behind `count` rows that begin at word `at`."""
    while count:
        at += ROW_WORDS + 2 * rows[at + 6]
        count -= 1
    return at


@micropython.viper
def mark_read(rows: ptr32, at: int, count: int, read: ptr8):
    """Mark the slots that `count` rows from word `at` on read."""
    while count:
        end = at + ROW_WORDS + 2 * rows[at + 6]
        at += ROW_WORDS
        while at < end:
            read[rows[at]] = 1
            at += 2
        count -= 1


@micropython.viper
def touched_by(commands: ptr32, number: int, fields: ptr32, latches: ptr32, read: ptr8) -> int:
    """Which of the `number` commands write a slot marked in `read` when they are let through, as A_TOUCHED says it."""
    touched = 0
    command = 0
    while command < number:
        at = command * COMMAND_WORDS
        writes = 0
        i = commands[at + C_FIELD]
        end = i + commands[at + C_FIELDS]
        while i < end:
            writes |= read[fields[i * FIELD_WORDS + 2]]
            i += 1
        i = commands[at + C_LATCH]
        end = i + commands[at + C_LATCHES]
        while i < end:
            writes |= read[latches[i * LATCH_WORDS]]
            i += 1
        touched |= writes << (command & BIT_OF)
        command += 1
    return touched
