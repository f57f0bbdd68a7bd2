"""The exam in progress: its values, its place in the sequence, and whether a command is fresh.

The value vector holds raw fields, session state and derived rows. A command is read into a trial copy and becomes part of
the exam only when its frame is let through; a refused command leaves no trace but its sequence number.
"""

from array import array

from interposer.core.codec import C_FIELD, C_FIELDS, C_LATCH, C_LATCHES, COMMAND_WORDS, FIELD_WORDS, RANGE_WORDS
from interposer.core.compat import TICKS_MASK, const, micropython, ptr8, ptr32
from interposer.core.link import F_MAX
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
from interposer.core.reasons import NONE, OUT_OF_SEQUENCE, RATE, STALE, TOO_MANY_RETRIES

# What became of the last frame.
UNSENT = const(0)
SENT = const(1)
SENT_ONCE = const(2)  # by an override: may not be sent again

# The session, one word each.
X_STATE = const(0)  # place in the sequence
X_SEQUENCE = const(1)  # number of the last frame, or -1
X_LENGTH = const(2)  # of the last frame
X_FATE = const(3)
X_AT_MS = const(4)  # when it came
X_RETRIES = const(5)
X_WINDOW_MS = const(6)  # when the window of the rate began
X_WINDOW_COUNT = const(7)
X_IS_RETRY = const(8)  # the frame admitted last is the last one again
X_IS_NOTED = const(9)  # the frame admitted last has become the last one
X_KEPT = const(10)  # fields and states: what a trial begins with; rows are evaluated anew by each command that needs them
X_TRIAL = const(11)  # what the trial is: OTHER, AS_LET_THROUGH, or BEGUN: the same, and seen to for the frame that comes
X_AHEAD = const(12)  # the command whose rows ahead stand in the trial as they would come out now, or -1
SESSION_WORDS = const(13)

OTHER = const(0)
AS_LET_THROUGH = const(1)
BEGUN = const(2)


@micropython.viper
def copy_words(source: ptr32, target: ptr32, count: int):
    """Copy `count` words."""
    i = 0
    while i + 4 <= count:
        target[i] = source[i]
        target[i + 1] = source[i + 1]
        target[i + 2] = source[i + 2]
        target[i + 3] = source[i + 3]
        i += 4
    while i < count:
        target[i] = source[i]
        i += 1


@micropython.viper
def admit(
    session: ptr32,
    params: ptr32,
    order: ptr32,
    last: ptr8,
    frame: ptr8,
    length: int,
    sequence: int,
    now: int,
    command: int,
    is_free: int,
) -> int:
    """NONE, or why this command may not come now: rate, retries, freshness, order. A fresh frame becomes the last one.

    A retry is the last frame again, byte for byte, under its own sequence number, soon after it. `is_free`: a command that
    may have any sequence number.
    """
    session[X_IS_RETRY] = 0
    session[X_IS_NOTED] = 0
    if (now - session[X_WINDOW_MS]) & TICKS_MASK >= params[P_RATE_WINDOW_MS]:
        session[X_WINDOW_MS] = now
        session[X_WINDOW_COUNT] = 0
    frames = session[X_WINDOW_COUNT] + 1
    session[X_WINDOW_COUNT] = frames
    if frames > params[P_RATE_FRAMES]:
        return RATE
    i = 0
    if sequence >= 0 and length == session[X_LENGTH] and (now - session[X_AT_MS]) & TICKS_MASK <= params[P_RETRY_MS]:
        while i < length and frame[i] == last[i]:
            i += 1
    if i == length:
        session[X_IS_RETRY] = 1
        retries = session[X_RETRIES] + 1
        session[X_RETRIES] = retries
        if session[X_FATE] == SENT_ONCE or retries > params[P_RETRIES]:
            return TOO_MANY_RETRIES
        if session[X_FATE] == SENT:
            return NONE
    else:
        ahead = (sequence - session[X_SEQUENCE]) & 255
        if sequence < 0 or session[X_SEQUENCE] < 0:
            ahead = 1
        if ahead >= 1 and ahead <= params[P_SEQUENCE_WINDOW]:
            note(session, last, frame, length, sequence, now)
            session[X_IS_NOTED] = 1
        elif not is_free:
            return STALE
    if order[session[X_STATE] * params[P_COMMANDS] + command] < 0:
        return OUT_OF_SEQUENCE
    return NONE


@micropython.viper
def note(session: ptr32, last: ptr8, frame: ptr8, length: int, sequence: int, now: int):
    """Remember a frame as the last one."""
    session[X_SEQUENCE] = sequence
    session[X_AT_MS] = now
    session[X_LENGTH] = length
    session[X_FATE] = UNSENT
    session[X_RETRIES] = 0
    i = 0
    while i < length:
        last[i] = frame[i]
        i += 1


@micropython.viper
def commit(
    session: ptr32,
    params: ptr32,
    order: ptr32,
    commands: ptr32,
    fields: ptr32,
    latches: ptr32,
    trial: ptr32,
    values: ptr32,
    command: int,
):
    """The trial's command was let through, or came from the gantry: values, latches and state become the exam's."""
    at = command * COMMAND_WORDS
    after = order[session[X_STATE] * params[P_COMMANDS] + command]
    if after >= 0:
        session[X_STATE] = after
    if not commands[at + C_FIELDS] and not commands[at + C_LATCHES]:
        return
    field = commands[at + C_FIELD] * FIELD_WORDS
    end = field + commands[at + C_FIELDS] * FIELD_WORDS
    while field < end:
        slot = fields[field + 2]
        values[slot] = trial[slot]
        field += FIELD_WORDS
    end = (commands[at + C_LATCH] + commands[at + C_LATCHES]) * LATCH_WORDS
    at = commands[at + C_LATCH] * LATCH_WORDS
    while at < end:
        slot = latches[at]
        trial[slot] = trial[latches[at + 1]]
        values[slot] = trial[slot]
        at += LATCH_WORDS
    session[X_TRIAL] = AS_LET_THROUGH


class Exam:
    """Session state of one link. `values` is what was let through, `trial` is what is being judged."""

    def __init__(self, package):
        params = package.table("params")
        fields = params[P_FIELDS]
        kept = fields + params[P_STATES]
        ranges = package.table("ranges")
        self.params = params
        self.order = package.table("sequence")
        self.latches = package.table("latches")
        self.size = params[P_VALUES]
        self.values = array("i", bytes(4 * kept))
        self.trial = array("i", bytes(4 * self.size))
        for slot in range(fields):
            self.values[slot] = ranges[slot * RANGE_WORDS + 2]
        for index in range(params[P_STATES]):
            self.values[fields + index] = package.table("states")[index]
        self.last_frame = bytearray(package.table("framings")[F_MAX])
        self.session = array("i", bytes(4 * SESSION_WORDS))
        self.session[X_STATE] = params[P_FIRST_STATE]
        self.session[X_SEQUENCE] = self.session[X_AHEAD] = -1
        self.session[X_KEPT] = kept

    def start_trial(self):
        """Begin a trial from what was let through so far."""
        self.session[X_TRIAL] = OTHER
        self.session[X_AHEAD] = -1
        copy_words(self.values, self.trial, self.session[X_KEPT])
        return self.trial

    def may_follow(self, command):
        """Whether the sequence allows a command now."""
        return self.order[self.session[X_STATE] * self.params[P_COMMANDS] + command] >= 0
