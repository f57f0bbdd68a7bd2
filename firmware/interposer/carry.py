"""The usual way of bytes through the guard, in native code: frames that pass, and the gantry's answers.

Whatever is not usual, `bridge.py` deals with: a frame that is not to pass or comes at a time when nothing passes is left in
its deframer, judged. Nothing here allocates.

For the device `turn` and all that it calls, up to the decision core, become one piece of machine code (ADR 16): what is
written here is what runs there, but `works_of`, which the compiler writes.
"""

from interposer.core.codec import ALWAYS_PASSES, FOUND_COMMAND, PASSES_WHILE_HELD
from interposer.core.compat import compiled, const, functions, micropython, ptr8, ptr32
from interposer.core.exam import BEGUN, X_TRIAL
from interposer.core.link import COUNT_MASK, D_COUNT, D_LENGTH, D_MISSING, F_MAX, F_MIN, F_OPCODE_AT
from interposer.core.package import P_REST_COMMAND
from interposer.core.pipeline import (
    B_PARAMS,
    B_RESULT,
    B_SESSION,
    B_TRIAL,
    R_ASKED,
    R_FLAGS,
    R_REASON,
    begin,
    follow_reply,
    judge_frame,
    let_through,
    read_again,
)
from interposer.core.reasons import BLOCK, NONE, PASS
from interposer.core.ring import E_FRAME, E_FRAMING, E_STATE, G_BYTES, G_WORDS, V_MASK, V_READ, pull, take, unread
from interposer.lines import is_ending, later, look, note_lost, to_come
from interposer.places import (
    BACK,
    BESIDE,
    BRIEFLY,
    C_COMMAND,
    C_COUNT,
    C_ENABLE,
    C_STATUS,
    CARRIED,
    CARRY,
    EVERYTHING,
    IS_BLOCKED,
    JUDGED,
    K_BACKWARD,
    K_BACKWARD_FRAMES,
    K_CHIP,
    K_CLOCK,
    K_COUNTS,
    K_EVENTS,
    K_FORWARD,
    K_FORWARD_FRAMES,
    K_FOUND,
    K_JUDGE,
    K_NETWORKS,
    K_REASONS,
    K_REST,
    K_STROBE,
    K_TALLY,
    K_TO_CONSOLE,
    K_TO_GANTRY,
    K_WATCH,
    K_WORKS,
    LOST_FORWARD,
    MAY_REST,
    NOTHING,
    REST,
    SILENTLY,
    SOME,
    STROBE,
    W_BACK,
    W_BYTE_US,
    W_IS_TOLD,
    W_LOST,
    W_NOW,
    W_REST_US,
    W_STROBE,
    W_TOLD_AT,
    WAY,
    WHAT_MAY,
)
from interposer.service.events import EVENT_EXTRA, EVENT_KIND, EVENT_REASON, LAST_EVENT, UNANSWERED, VERDICT

AT_ONCE = const(2)  # frames of the console, then the other direction has a turn; and of the gantry, which take less:
BACK_AT_ONCE = const(8)
TURN_US = const(50000)  # of carrying frame after frame, then somebody else has a turn
EASY_US = const(25000)  # or so much earlier, where he is not in the way of the console's frame:
FREE_US = const(600)  # it ends so much later: nearly all turns of his end before
EARLY_US = const(50)  # what can be done ahead of a frame is not begun where its end is nearer than this
LEAST_REST_US = const(20)  # shorter pauses are spent awake
LONGEST_REST_US = const(4000)  # inside a frame
IS_BUSY = const(1)  # of the flash's status


def works_of(judge, port):
    """What `functions` hands out."""
    return (judge.evaluate, judge.network_engine.ask, *port.functions, port.rest, *port.chip.functions)


@micropython.viper
def count_unanswered(block: ptr32, reason: int):
    """Count one more block that the console is not told of."""
    tally = ptr32(block[K_TALLY])
    tally[UNANSWERED] = (tally[UNANSWERED] + 1) & COUNT_MASK
    for_reason = ptr32(block[K_REASONS])
    for_reason[reason] = (for_reason[reason] + 1) & COUNT_MASK
    counts = ptr32(block[K_COUNTS])
    counts[BLOCK] = (counts[BLOCK] + 1) & COUNT_MASK


@micropython.viper
def is_counted(block: ptr32, reason: int) -> int:
    """1 where one more block for a reason could be counted in the last event, 0 where it needs an event of its own."""
    events = ptr32(block[K_EVENTS])
    tally = ptr32(block[K_TALLY])
    at = tally[LAST_EVENT]
    if events[at + EVENT_KIND] != VERDICT or events[at + EVENT_REASON] != reason:
        return 0
    events[at + EVENT_EXTRA] = (events[at + EVENT_EXTRA] + 1) & COUNT_MASK
    count_unanswered(block, reason)
    return 1


@micropython.viper
def strobe(block: ptr32):
    """Show on a pin that a verdict has fallen."""
    pins = ptr32(block[K_STROBE])
    pins[0] = ptr32(block[K_WATCH])[W_STROBE]
    pins[1] = ptr32(block[K_WATCH])[W_STROBE]


@micropython.viper
def carry_forward(block: ptr32, now: int, order: int) -> int:
    """Judge the frames that the console has sent and pass them on, until one needs more than that.

    Nothing is read while the way to the gantry has no room for it.
    """
    works = functions(block[K_WORKS])
    evaluate = works[0]
    ask = works[1]
    room = works[2]
    transmit = works[3]
    sender = ptr32(block[K_TO_GANTRY])
    deframer = ptr32(block[K_FORWARD_FRAMES])
    frame = ptr8(deframer[E_FRAME])
    judge = ptr32(block[K_JUDGE])
    result = ptr32(judge[B_RESULT])
    watch = ptr32(block[K_WATCH])
    way = order & WAY
    done = NOTHING
    left = AT_ONCE
    while left:
        left -= 1
        if int(room(sender)) < ptr32(deframer[E_FRAMING])[F_MAX]:
            return done
        length = int(pull(ptr32(block[K_FORWARD]), deframer))
        if not length:
            return done
        verdict = int(judge_frame(judge, evaluate, frame, length, now, 1 if way == SILENTLY else order & IS_BLOCKED))
        if result[R_ASKED]:
            suspect = int(ask(ptr32(block[K_NETWORKS]), 0, result[R_ASKED], ptr32(judge[B_TRIAL])))
            if suspect >= 0:
                return suspect
        strobe(block)
        if way == SILENTLY and verdict == BLOCK:
            if order & IS_BLOCKED and not int(is_counted(block, result[R_REASON])):
                return JUDGED
            if not order & IS_BLOCKED:  # in the safe mode, of which an event has told
                count_unanswered(block, result[R_REASON])
            done = CARRIED
            continue
        if verdict != PASS or way < EVERYTHING:
            return JUDGED
        if way == WHAT_MAY and result[R_FLAGS] & (PASSES_WHILE_HELD | ALWAYS_PASSES) != PASSES_WHILE_HELD:
            return JUDGED
        counts = ptr32(block[K_COUNTS])
        counts[PASS] = (counts[PASS] + 1) & COUNT_MASK
        transmit(sender, frame, 0, length)
        let_through(judge, frame, length, now)
        if not result[R_FLAGS] & PASSES_WHILE_HELD:
            watch[W_IS_TOLD] = 0
        done = CARRIED
    return CARRIED


@micropython.viper
def carry_backward(block: ptr32, now: int, is_over: int) -> int:
    """Pass the gantry's bytes on, up to the end of a frame, and read the frame; how many bytes there were.

    `is_over`: the gantry went quiet inside a frame, which is passed on and no longer waited for.
    """
    works = functions(block[K_WORKS])
    room = works[2]
    transmit = works[3]
    sender = ptr32(block[K_TO_CONSOLE])
    ring = ptr32(block[K_BACKWARD])
    deframer = ptr32(block[K_BACKWARD_FRAMES])
    state = ptr32(deframer[E_STATE])
    own = ptr32(ring[G_WORDS])
    count = int(unread(ring))
    missing = state[D_MISSING]
    if count < missing and not is_over:
        return 0
    if count > missing:
        count = missing
    start = own[V_READ] & own[V_MASK]
    if start + count > own[V_MASK] + 1:
        count = own[V_MASK] + 1 - start
    if int(room(sender)) < count:
        return 0
    transmit(sender, ptr8(ring[G_BYTES]), start, count)
    take(ring, deframer, count, is_over)
    while state[D_LENGTH]:
        judge = ptr32(block[K_JUDGE])
        found = ptr32(block[K_FOUND])
        reason = int(follow_reply(judge, ptr8(deframer[E_FRAME]), state[D_LENGTH], found))
        if reason == NONE and found[FOUND_COMMAND] == ptr32(judge[B_PARAMS])[P_REST_COMMAND]:
            watch = ptr32(block[K_WATCH])
            watch[W_IS_TOLD] = 1
            watch[W_TOLD_AT] = now
        take(ring, deframer, 0, is_over)
    return count


@micropython.viper
def begin_early(block: ptr32):
    """Begin with the console's frame, as far as it has come, where that has not been done."""
    works = functions(block[K_WORKS])
    evaluate = works[0]
    judge = ptr32(block[K_JUDGE])
    deframer = ptr32(block[K_FORWARD_FRAMES])
    state = ptr32(deframer[E_STATE])
    if state[D_LENGTH] or ptr32(judge[B_SESSION])[X_TRIAL] >= BEGUN:
        return
    if state[D_COUNT] > ptr32(deframer[E_FRAMING])[F_OPCODE_AT] + 1:
        begin(judge, evaluate, ptr8(deframer[E_FRAME]))


@micropython.viper
def carry(block: ptr32, now: int, order: int, near: int) -> int:
    """Carry both ways for as long as bytes keep coming, but not for long; what became of the console's.

    A frame of which at most `near` bytes are missing is waited for here, awake, so that its verdict begins with its last byte.
    With MAY_REST the processor stands still until then, and before anything comes at all.
    """
    works = functions(block[K_WORKS])
    is_behind = works[4]
    rest = works[6]
    clock = ptr32(block[K_CLOCK])
    watch = ptr32(block[K_WATCH])
    began = clock[0]
    most_us = TURN_US
    if order & (MAY_REST | BRIEFLY):
        most_us = watch[W_REST_US]
    spoken = began - 2 * watch[W_BYTE_US]
    soonest = ptr32(ptr32(block[K_FORWARD_FRAMES])[E_FRAMING])[F_MIN] - 1
    is_awake = 0
    carried = NOTHING
    wanted = SOME
    passed = 0
    watch[W_NOW] = now
    watch[W_LOST] = 0
    watch[W_BACK] = 0
    while passed < most_us:
        at = int(later(now, passed))
        watch[W_NOW] = at
        if wanted == SOME:
            if int(note_lost(block)):
                return carried
            if int(is_ending(block, near)):
                begin_early(block)
            else:
                left = BACK_AT_ONCE
                back = 1
                while left and back:
                    left -= 1
                    back = int(carry_backward(block, at, 0))
                    watch[W_BACK] += back
            found = int(carry_forward(block, at, order))
            if found > CARRIED:
                return found
            if found == CARRIED:
                carried = CARRIED
        wanted = int(look(block, at))
        if wanted != SOME:
            if wanted < REST:
                return carried
            if clock[0] - spoken > EASY_US and (int(to_come(block)) - 1) * watch[W_BYTE_US] > FREE_US:  # one is under way
                return carried
            if wanted * watch[W_BYTE_US] > EARLY_US:
                begin_early(block)
            behind = int(is_behind(ptr32(block[K_TO_GANTRY]))) | int(is_behind(ptr32(block[K_TO_CONSOLE])))
            if wanted > soonest and int(to_come(block)) < 0:
                wanted = soonest  # the console may have begun a frame of which no byte is there yet
            if wanted == REST:
                if not order & MAY_REST or carried != NOTHING:
                    return carried
                if not behind and clock[0] - spoken >= 2 * watch[W_BYTE_US]:
                    pause = most_us - passed
                    if pause < LEAST_REST_US or not int(rest(ptr32(block[K_REST]), pause, 1)):
                        return carried
                    spoken = clock[0]
                    if not is_awake:  # once: what speaks again and again must not hold up everything else
                        most_us = spoken - began + TURN_US
                    is_awake = 1
            elif wanted > near:
                if not near:
                    return carried
                pause = (wanted - near) * watch[W_BYTE_US]
                if pause > LONGEST_REST_US:  # the other line is not heard meanwhile
                    pause = LONGEST_REST_US
                if not behind and pause > LEAST_REST_US:
                    rest(ptr32(block[K_REST]), pause, 0)
            elif not near:
                return carried
        passed = clock[0] - began
    return carried


@micropython.viper
def carry_beside(block: ptr32, now: int, order: int) -> int:
    """Let the flash do what was laid out for it, and carry meanwhile, until a frame needs more than that; as `carry`.

    Everything that is called here lies in RAM. Nothing is near, so that `carry` waits for nothing and never rests.
    """
    works = functions(block[K_WORKS])
    is_behind = works[4]
    begin_flash = works[7]
    exchange = works[8]
    end_flash = works[9]
    chip = ptr32(block[K_CHIP])
    clock = ptr32(block[K_CLOCK])
    watch = ptr32(block[K_WATCH])
    began = clock[0]
    carried = NOTHING
    lost = 0
    followed = 0
    watch[W_NOW] = now
    begin_flash(chip)
    exchange(chip, chip[C_ENABLE], 1)
    exchange(chip, chip[C_COMMAND], chip[C_COUNT])
    while int(exchange(chip, chip[C_STATUS], 2)) & IS_BUSY:
        at = int(later(now, clock[0] - began))
        if carried > CARRIED or lost & LOST_FORWARD:  # they wait for bytecode; what has passed does not, nor does the gantry
            lost |= int(note_lost(block))
            followed += int(carry_backward(block, at, 0))
            is_behind(ptr32(block[K_TO_GANTRY]))
            is_behind(ptr32(block[K_TO_CONSOLE]))
            continue
        found = int(carry(block, at, order, 0))
        lost |= watch[W_LOST]
        if found != NOTHING:
            carried = found
    end_flash(chip)
    if carried > CARRIED and followed:
        deframer = ptr32(block[K_FORWARD_FRAMES])
        read_again(ptr32(block[K_JUDGE]), ptr8(deframer[E_FRAME]), ptr32(deframer[E_STATE])[D_LENGTH], ptr32(block[K_FOUND]))
    watch[W_LOST] = lost
    return carried


@compiled
@micropython.viper
def turn(block: ptr32, now: int, order: int, near: int) -> int:
    """Do what `order` says at `now`: what it returns is told where the orders are carried out."""
    if order & BESIDE:
        return int(carry_beside(block, now, order))
    if order >= CARRY:
        return int(carry(block, now, order, near))
    if order == STROBE:
        strobe(block)
        return 0
    if order >= BACK:
        return 0 if int(note_lost(block)) else int(carry_backward(block, now, order - BACK))
    return int(look(block, now))
