"""The usual way of a frame, in native code from end to end: fields, freshness, rate, sequence, derived quantities, hard limits.

It works on tables and state that it finds through one list of pointers; `verdict.py` makes that list and does what is rarer.
"""

from interposer.core.ahead import A_COUNT, A_REST, A_TOUCHED, AHEAD_WORDS, BIT_OF
from interposer.core.codec import (
    ALWAYS_PASSES,
    ANY_SEQUENCE,
    C_FIELDS,
    C_FLAGS,
    C_LIMIT,
    C_LIMITS,
    C_NETS,
    C_ROW,
    C_ROWS,
    COMMAND_WORDS,
    FOUND_COMMAND,
    FOUND_SLOT,
    command_of,
    decode,
)
from interposer.core.compat import const, micropython, ptr8, ptr32
from interposer.core.exam import (
    AS_LET_THROUGH,
    BEGUN,
    OTHER,
    SENT,
    X_AHEAD,
    X_FATE,
    X_IS_NOTED,
    X_IS_RETRY,
    X_KEPT,
    X_TRIAL,
    admit,
    commit,
    copy_words,
    note,
)
from interposer.core.limits import L_BLAMED, L_MOMENTARY, L_REASON, L_VERDICT, LIMIT_WORDS, first_broken
from interposer.core.link import F_SEQUENCE_AT
from interposer.core.reasons import BLOCK, BLOCKED, NONE, PASS

# What the pipeline works on: places in its list of pointers.
B_RESULT = const(0)
B_PARAMS = const(1)
B_COMMANDS = const(2)
B_FIELDS = const(3)
B_RANGES = const(4)
B_ROWS = const(5)
B_CURVES = const(6)
B_LIMITS = const(7)
B_LATCHES = const(8)
B_POLICIES = const(9)
B_ORDER = const(10)
B_SESSION = const(11)
B_VALUES = const(12)
B_TRIAL = const(13)
B_LAST = const(14)
B_FRAMING = const(15)  # console to gantry
B_INDEX = const(16)
B_BACK_FRAMING = const(17)
B_BACK_INDEX = const(18)
B_AHEAD = const(19)

# The result, one word each; the first two are where `decode` puts them.
R_COMMAND = const(FOUND_COMMAND)  # index, or -1
R_BLAMED = const(FOUND_SLOT)  # slot, or -1
R_VERDICT = const(2)
R_REASON = const(3)
R_LIMIT = const(4)  # index, or -1
R_NETWORK = const(5)  # index, or -1
R_POLICY = const(6)  # how a block ends
R_FLAGS = const(7)  # of the command
R_IS_RETRY = const(8)
R_IS_LAST = const(9)  # the exam remembers this very frame as its last
R_ASKED = const(10)  # networks that have not been asked yet, one bit each
RESULT_WORDS = const(11)


@micropython.viper
def derive(block: ptr32, evaluate, values: ptr32, command: int, is_begun: int):
    """Evaluate a command's rows; `is_begun`: those that come ahead of its frame have been."""
    commands = ptr32(block[B_COMMANDS])
    rows = ptr32(block[B_ROWS])
    curves = ptr32(block[B_CURVES])
    ahead = ptr32(block[B_AHEAD])
    at = command * COMMAND_WORDS
    count = ahead[command * AHEAD_WORDS + A_COUNT]
    if count and not is_begun:
        evaluate(values, rows, commands[at + C_ROW], count, curves)
    count = commands[at + C_ROWS] - count
    if count:
        evaluate(values, rows, ahead[command * AHEAD_WORDS + A_REST], count, curves)


@micropython.viper
def begin(block: ptr32, evaluate, frame: ptr8):
    """Do what a frame's command needs and its other bytes have no part in. If the frame is bad, nothing comes of it."""
    command = int(command_of(frame, ptr32(block[B_FRAMING]), ptr8(block[B_INDEX])))
    if command < 0:
        return
    session = ptr32(block[B_SESSION])
    trial = ptr32(block[B_TRIAL])
    if session[X_TRIAL] == OTHER:
        copy_words(ptr32(block[B_VALUES]), trial, session[X_KEPT])
    session[X_TRIAL] = BEGUN
    count = ptr32(block[B_AHEAD])[command * AHEAD_WORDS + A_COUNT]
    if count and session[X_AHEAD] != command:
        at = ptr32(block[B_COMMANDS])[command * COMMAND_WORDS + C_ROW]
        evaluate(trial, ptr32(block[B_ROWS]), at, count, ptr32(block[B_CURVES]))
        session[X_AHEAD] = command


@micropython.viper
def weigh(block: ptr32, evaluate, values: ptr32, command: int, is_begun: int) -> int:
    """Quantities and limits on a value vector; the verdict so far, before the networks in R_ASKED."""
    result = ptr32(block[B_RESULT])
    commands = ptr32(block[B_COMMANDS])
    at = command * COMMAND_WORDS
    result[R_VERDICT] = PASS
    result[R_REASON] = NONE
    result[R_BLAMED] = -1
    result[R_LIMIT] = -1
    result[R_NETWORK] = -1
    result[R_ASKED] = commands[at + C_NETS]
    derive(block, evaluate, values, command, is_begun)
    if commands[at + C_LIMITS]:
        limits = ptr32(block[B_LIMITS])
        found = int(first_broken(values, limits, commands[at + C_LIMIT], commands[at + C_LIMITS]))
        if found >= 0:
            limit = found * LIMIT_WORDS
            result[R_LIMIT] = found
            result[R_VERDICT] = limits[limit + L_VERDICT]
            result[R_REASON] = limits[limit + L_REASON]
            result[R_BLAMED] = limits[limit + L_BLAMED]
            result[R_POLICY] = limits[limit + L_MOMENTARY]
    return result[R_VERDICT]


@micropython.viper
def judge_frame(block: ptr32, evaluate, frame: ptr8, length: int, now: int, is_blocked: int) -> int:
    """Everything about an intact frame but the networks: fields, whether it may come now, quantities and limits."""
    result = ptr32(block[B_RESULT])
    commands = ptr32(block[B_COMMANDS])
    session = ptr32(block[B_SESSION])
    framing = ptr32(block[B_FRAMING])
    trial = ptr32(block[B_TRIAL])
    ranges = ptr32(block[B_RANGES])
    if session[X_TRIAL] == OTHER:
        copy_words(ptr32(block[B_VALUES]), trial, session[X_KEPT])
    session[X_TRIAL] = AS_LET_THROUGH
    i = R_VERDICT
    while i < RESULT_WORDS:
        result[i] = 0
        i += 1
    result[R_LIMIT] = -1
    result[R_NETWORK] = -1
    reason = int(decode(frame, length, framing, ptr8(block[B_INDEX]), commands, ptr32(block[B_FIELDS]), ranges, trial, result))
    command = result[R_COMMAND]
    if command >= 0 and commands[command * COMMAND_WORDS + C_FIELDS]:
        session[X_TRIAL] = OTHER
    if reason == NONE:
        flags = commands[command * COMMAND_WORDS + C_FLAGS]
        result[R_FLAGS] = flags
        if flags & ALWAYS_PASSES:
            return PASS
        sequence = -1
        if framing[F_SEQUENCE_AT] >= 0:
            sequence = int(frame[framing[F_SEQUENCE_AT]])
        params = ptr32(block[B_PARAMS])
        order = ptr32(block[B_ORDER])
        is_free = flags & ANY_SEQUENCE
        reason = int(admit(session, params, order, ptr8(block[B_LAST]), frame, length, sequence, now, command, is_free))
        result[R_IS_RETRY] = session[X_IS_RETRY]
        result[R_IS_LAST] = session[X_IS_RETRY] | session[X_IS_NOTED]
        if reason == NONE and is_blocked:
            reason = BLOCKED
    if reason != NONE:
        policies = ptr32(block[B_POLICIES])
        result[R_VERDICT] = BLOCK
        result[R_REASON] = reason
        result[R_POLICY] = policies[reason]
        return BLOCK
    if result[R_IS_RETRY] and session[X_FATE] == SENT:
        return PASS
    is_ahead = 1 if session[X_AHEAD] == command else 0
    if commands[command * COMMAND_WORDS + C_ROWS]:
        session[X_AHEAD] = command
    return int(weigh(block, evaluate, trial, command, is_ahead))


@micropython.viper
def let_through(block: ptr32, frame: ptr8, length: int, now: int):
    """The frame just judged is let through: its command becomes part of the exam, unless it already is.

    Only now does a command that may have any sequence number set the count: a refused one must not.
    """
    result = ptr32(block[B_RESULT])
    session = ptr32(block[B_SESSION])
    framing = ptr32(block[B_FRAMING])
    is_last = result[R_IS_LAST]
    if not is_last and result[R_FLAGS] & ANY_SEQUENCE:
        sequence = -1
        if framing[F_SEQUENCE_AT] >= 0:
            sequence = int(frame[framing[F_SEQUENCE_AT]])
        note(session, ptr8(block[B_LAST]), frame, length, sequence, now)
        is_last = 1
    is_there = 1 if result[R_IS_RETRY] and session[X_FATE] == SENT else 0
    if result[R_COMMAND] >= 0 and not is_there:
        take_over(block, result[R_COMMAND])
    if is_last:
        session[X_FATE] = SENT


@micropython.viper
def take_over(block: ptr32, command: int):
    """What the trial holds of a command becomes the exam's."""
    commit(
        ptr32(block[B_SESSION]),
        ptr32(block[B_PARAMS]),
        ptr32(block[B_ORDER]),
        ptr32(block[B_COMMANDS]),
        ptr32(block[B_FIELDS]),
        ptr32(block[B_LATCHES]),
        ptr32(block[B_TRIAL]),
        ptr32(block[B_VALUES]),
        command,
    )
    session = ptr32(block[B_SESSION])
    ahead = session[X_AHEAD]
    if ahead >= 0 and (ptr32(block[B_AHEAD])[ahead * AHEAD_WORDS + A_TOUCHED] >> (command & BIT_OF)) & 1:
        session[X_AHEAD] = -1


@micropython.viper
def read_again(block: ptr32, frame: ptr8, length: int, found: ptr32):
    """Replies were read into the trial after a frame was judged: bring its fields back; its rows are still there."""
    session = ptr32(block[B_SESSION])
    trial = ptr32(block[B_TRIAL])
    ranges = ptr32(block[B_RANGES])
    framing = ptr32(block[B_FRAMING])
    index_of = ptr8(block[B_INDEX])
    copy_words(ptr32(block[B_VALUES]), trial, session[X_KEPT])
    session[X_TRIAL] = OTHER
    decode(frame, length, framing, index_of, ptr32(block[B_COMMANDS]), ptr32(block[B_FIELDS]), ranges, trial, found)


@micropython.viper
def follow_reply(block: ptr32, frame: ptr8, length: int, found: ptr32) -> int:
    """Read a reply of the gantry into the exam; a reason."""
    session = ptr32(block[B_SESSION])
    trial = ptr32(block[B_TRIAL])
    ranges = ptr32(block[B_RANGES])
    framing = ptr32(block[B_BACK_FRAMING])
    index_of = ptr8(block[B_BACK_INDEX])
    if session[X_TRIAL] == OTHER:
        copy_words(ptr32(block[B_VALUES]), trial, session[X_KEPT])
    session[X_TRIAL] = OTHER
    fields = ptr32(block[B_FIELDS])
    reason = int(decode(frame, length, framing, index_of, ptr32(block[B_COMMANDS]), fields, ranges, trial, found))
    if reason == NONE:
        take_over(block, found[FOUND_COMMAND])
    return reason
