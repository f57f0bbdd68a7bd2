"""Which rows of a command need nothing of its frame: those at the beginning of its run that read none of its fields."""

from array import array

from interposer.core.codec import C_FIELD, C_FIELDS, C_ROW, C_ROWS, COMMAND_WORDS, FIELD_WORDS
from interposer.core.compat import const, micropython, ptr8, ptr32
from interposer.core.package import P_VALUES
from interposer.core.quantities import ROW_WORDS

# Per command, AHEAD_WORDS words.
AHEAD_WORDS = const(2)
A_COUNT = const(0)  # how many such rows it has
A_REST = const(1)  # the word where its other rows begin


def split(table):
    """AHEAD_WORDS words per command; `table` gives a section of a package by name, its rows as they are in it."""
    commands, fields, rows = table("commands"), table("fields"), table("rows")
    ahead = array("i")
    for at in range(0, len(commands), COMMAND_WORDS):
        told = bytearray(table("params")[P_VALUES])
        for field in range(commands[at + C_FIELD], commands[at + C_FIELD] + commands[at + C_FIELDS]):
            told[fields[field * FIELD_WORDS + 2]] = 1
        count = count_ahead(rows, commands[at + C_ROW], commands[at + C_ROWS], told)
        ahead.append(count)
        ahead.append(end_of(rows, commands[at + C_ROW], count))
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
