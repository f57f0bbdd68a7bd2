"""The exam in progress: its values, its place in the sequence, and whether a command is fresh.

The value vector holds raw fields, session state and derived rows. A command is read into a trial copy and becomes part of
the exam only when its frame is let through; a refused command leaves no trace but its sequence number.
"""

from array import array

from interposer.core.codec import C_LATCH, C_LATCHES, COMMAND_WORDS, RANGE_WORDS
from interposer.core.compat import const, elapsed, micropython, ptr32
from interposer.core.link import F_MAX, move, same
from interposer.core.package import (
    LATCH_WORDS,
    P_COMMANDS,
    P_FIELDS,
    P_FIRST_STATE,
    P_RATE_FRAMES,
    P_RATE_WINDOW_MS,
    P_RETRIES,
    P_RETRY_MS,
    P_SEQUENCE_WINDOW,
    P_STATES,
    P_VALUES,
)
from interposer.core.reasons import NONE, OUT_OF_SEQUENCE, RATE, TOO_MANY_RETRIES

# What became of the last frame.
UNSENT = const(0)
SENT = const(1)
SENT_ONCE = const(2)  # by an override: may not be sent again


@micropython.viper
def copy_words(source: ptr32, target: ptr32, count: int):
    """Copy `count` words."""
    i = 0
    while i < count:
        target[i] = source[i]
        i += 1


class Exam:
    """Session state of one link. `values` is what was let through, `trial` is what is being judged."""

    def __init__(self, package):
        params = package.table("params")
        self.params = params
        self.commands = package.table("commands")
        self.latches = package.table("latches")
        self.sequence = package.table("sequence")
        self.size = params[P_VALUES]
        self.kept = params[P_FIELDS] + params[P_STATES]
        self.values = array("i", bytes(4 * self.size))
        self.trial = array("i", bytes(4 * self.size))
        self._set_start_values(package.table("ranges"), package.table("states"))
        self.state = params[P_FIRST_STATE]
        self.last_sequence = -1
        self.last_frame = bytearray(package.table("framings")[F_MAX])
        self.last_length = 0
        self.last_fate = UNSENT
        self.last_at = 0
        self.retries = 0
        self.window_start = 0
        self.window_count = 0

    def _set_start_values(self, ranges, states):
        fields = self.params[P_FIELDS]
        for slot in range(fields):
            self.values[slot] = ranges[slot * RANGE_WORDS + 2]
        for index in range(self.params[P_STATES]):
            self.values[fields + index] = states[index]

    def start_trial(self):
        """Begin a trial from what was let through so far; rows are left: a command evaluates those that it needs."""
        copy_words(self.values, self.trial, self.kept)
        return self.trial

    def within_rate(self, now):
        """NONE, or RATE where more frames came in this window than the profile allows."""
        if elapsed(now, self.window_start) >= self.params[P_RATE_WINDOW_MS]:
            self.window_start = now
            self.window_count = 0
        self.window_count += 1
        return RATE if self.window_count > self.params[P_RATE_FRAMES] else NONE

    def is_retry(self, frame, length, sequence, now):
        """True where this is the last frame again, byte for byte, under its own sequence number, soon after it."""
        soon = elapsed(now, self.last_at) <= self.params[P_RETRY_MS]
        return sequence >= 0 and soon and same(frame, length, self.last_frame, self.last_length)

    def count_retry(self):
        """NONE, or TOO_MANY_RETRIES (at once where the frame was sent by an override)."""
        self.retries += 1
        spent = self.last_fate == SENT_ONCE or self.retries > self.params[P_RETRIES]
        return TOO_MANY_RETRIES if spent else NONE

    def is_next(self, sequence):
        """Whether a sequence number is one of the next few, or there is nothing to compare it with."""
        ahead = (sequence - self.last_sequence) & 255
        return sequence < 0 or self.last_sequence < 0 or 1 <= ahead <= self.params[P_SEQUENCE_WINDOW]

    def note(self, frame, length, sequence, now):
        """Remember a frame as the last one."""
        self.last_sequence = sequence
        self.last_at = now
        self.last_length = length
        self.last_fate = UNSENT
        self.retries = 0
        move(self.last_frame, 0, frame, 0, length)

    def in_sequence(self, command):
        """NONE, or OUT_OF_SEQUENCE."""
        return NONE if self._next_state(command) >= 0 else OUT_OF_SEQUENCE

    def _next_state(self, command):
        return self.sequence[self.state * self.params[P_COMMANDS] + command]

    def commit(self, command):
        """The trial's command was let through: its values, latches and state become the exam's."""
        self.values, self.trial = self.trial, self.values
        values = self.values
        at = command * COMMAND_WORDS
        latch = self.commands[at + C_LATCH] * LATCH_WORDS
        for _ in range(self.commands[at + C_LATCHES]):
            values[self.latches[latch]] = values[self.latches[latch + 1]]
            latch += LATCH_WORDS
        self.go_on(command)

    def go_on(self, command):
        """Take the transition of a command, or of a reply of the gantry, where there is one."""
        after = self._next_state(command)
        if after >= 0:
            self.state = after
