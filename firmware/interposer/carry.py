"""The usual way of bytes through the guard, in native code: frames that pass, and the gantry's answers.

Whatever is not usual, `bridge.py` deals with: a frame that is not to pass or comes at a time when nothing passes is left in
its deframer, judged. Nothing here allocates.
"""

from interposer.core.codec import ALWAYS_PASSES, FOUND_COMMAND, PASSES_WHILE_HELD
from interposer.core.compat import TICKS_MASK, const, micropython, pointers, ptr8, ptr32
from interposer.core.link import COUNT_MASK, D_COUNT, D_LENGTH, D_MISSING, F_MAX
from interposer.core.network import first_suspect
from interposer.core.package import P_REST_COMMAND
from interposer.core.pipeline import (
    B_PARAMS,
    B_RESULT,
    B_TRIAL,
    R_ASKED,
    R_FLAGS,
    R_REASON,
    follow_reply,
    judge_frame,
    let_through,
)
from interposer.core.reasons import BLOCK, NONE, PASS
from interposer.core.ring import E_FRAME, E_FRAMING, E_STATE, G_BYTES, G_WORDS, V_MASK, V_READ, pull, take, unread
from interposer.service.events import EVENT_EXTRA, EVENT_KIND, EVENT_REASON, LAST_EVENT, UNANSWERED, VERDICT

# What carrying works on: places in its list of pointers.
K_FORWARD = const(0)  # ring from the console
K_FORWARD_FRAMES = const(1)  # its deframer
K_BACKWARD = const(2)
K_BACKWARD_FRAMES = const(3)
K_TO_GANTRY = const(4)  # senders
K_TO_CONSOLE = const(5)
K_JUDGE = const(6)
K_NETWORKS = const(7)
K_FOUND = const(8)  # what `follow_reply` found
K_COUNTS = const(9)  # verdicts by kind
K_REASONS = const(10)  # verdicts other than PASS by reason
K_EVENTS = const(11)
K_TALLY = const(12)  # of the events
K_WATCH = const(13)  # per direction, at K_FORWARD and K_BACKWARD: bytes that had come, and when that changed; then:
W_IS_TOLD = const(4)  # 1: the gantry has told its state since a command was passed that may change it
W_TOLD_AT = const(5)  # when it did last
WATCH_WORDS = const(6)
K_CLOCK = const(14)  # microseconds

# What the lines want; numbers above 0: so many bytes are awaited.
REST = const(0)
SOME = const(-1)
SILENT_CONSOLE = const(-2)
SILENT_GANTRY = const(-3)

# What became of the console's bytes.
NOTHING = const(-3)  # no frame is complete
CARRIED = const(-2)  # frames have passed; there may be more
JUDGED = const(-1)  # a frame waits for what the gate says; numbers from 0 on: a network that has to be heard
# Which frames are dealt with here: none; those that are refused without an answer, while the gate blocks; those of a verdict
# PASS; of these only the ones that pass while another is held.
NONE_HERE = const(-1)
SILENTLY = const(0)
EVERYTHING = const(1)
WHAT_MAY = const(2)
AT_ONCE = const(4)  # frames, then the other direction has a turn
TURN_US = const(4000)  # then somebody else has a turn, or sooner: `now` stands still meanwhile, and silence is told by it
TURN_OF_GAP_US = const(250)  # a quarter of the silence that ends a frame


def block_of(bridge):
    """The list of pointers, in the order of the places above, into what a bridge keeps."""
    judge = bridge.judge
    return pointers(
        bridge.console.ring,
        bridge.forward.block,
        bridge.gantry.ring,
        bridge.backward.block,
        bridge.gantry.sender,
        bridge.console.sender,
        judge.block,
        judge.network_engine.block,
        judge.backward.found,
        bridge.verdicts,
        bridge.reasons,
        bridge.events.words,
        bridge.events.tally,
        bridge.watch,
        bridge.console.clock,
    )


@micropython.viper
def is_counted(block: ptr32, reason: int) -> int:
    """1 where one more block for a reason could be counted in the last event, 0 where it needs an event of its own."""
    events = ptr32(block[K_EVENTS])
    tally = ptr32(block[K_TALLY])
    at = tally[LAST_EVENT]
    if events[at + EVENT_KIND] != VERDICT or events[at + EVENT_REASON] != reason:
        return 0
    events[at + EVENT_EXTRA] = (events[at + EVENT_EXTRA] + 1) & COUNT_MASK
    tally[UNANSWERED] = (tally[UNANSWERED] + 1) & COUNT_MASK
    for_reason = ptr32(block[K_REASONS])
    for_reason[reason] = (for_reason[reason] + 1) & COUNT_MASK
    counts = ptr32(block[K_COUNTS])
    counts[BLOCK] = (counts[BLOCK] + 1) & COUNT_MASK
    return 1


@micropython.viper
def carry_forward(block: ptr32, works, now: int, way: int, is_blocked: int) -> int:
    """Judge the frames that the console has sent and pass them on, until one needs more than that.

    `works`: kernels of rows and of networks, room and transmit of a port, strobe. `way`: which frames
    are dealt with here. Nothing is read while the way to the gantry has no room for it.
    """
    evaluate = works[0]
    kernel = works[1]
    room = works[2]
    transmit = works[3]
    strobe = works[4]
    sender = ptr32(block[K_TO_GANTRY])
    deframer = ptr32(block[K_FORWARD_FRAMES])
    frame = ptr8(deframer[E_FRAME])
    judge = ptr32(block[K_JUDGE])
    result = ptr32(judge[B_RESULT])
    counts = ptr32(block[K_COUNTS])
    watch = ptr32(block[K_WATCH])
    done = NOTHING
    left = AT_ONCE
    framing = ptr32(deframer[E_FRAMING])
    while left:
        left -= 1
        if int(room(sender)) < framing[F_MAX]:
            return done
        length = int(pull(ptr32(block[K_FORWARD]), deframer))
        if not length:
            return done
        verdict = int(judge_frame(judge, evaluate, frame, length, now, is_blocked))
        if result[R_ASKED]:
            asked = result[R_ASKED]
            suspect = int(first_suspect(ptr32(block[K_NETWORKS]), kernel, 0, asked, ptr32(judge[B_TRIAL])))
            if suspect >= 0:
                return suspect
        strobe(1)
        strobe(0)
        if way == SILENTLY and verdict == BLOCK:
            if int(is_counted(block, result[R_REASON])):
                done = CARRIED
                continue
            return JUDGED
        if verdict != PASS or way < EVERYTHING:
            return JUDGED
        if way == WHAT_MAY and result[R_FLAGS] & (PASSES_WHILE_HELD | ALWAYS_PASSES) != PASSES_WHILE_HELD:
            return JUDGED
        counts[PASS] = (counts[PASS] + 1) & COUNT_MASK
        transmit(sender, frame, 0, length)
        let_through(judge, frame, length, now)
        if not result[R_FLAGS] & PASSES_WHILE_HELD:
            watch[W_IS_TOLD] = 0
        done = CARRIED
    return CARRIED


@micropython.viper
def carry_backward(block: ptr32, works, now: int, is_over: int) -> int:
    """Pass the gantry's bytes on, up to the end of a frame, and read the frame; how many bytes there were.

    `is_over`: the gantry went quiet inside a frame, which is passed on and no longer waited for.
    """
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
def look(block: ptr32, now: int, gap_ms: int) -> int:
    """What the lines want: REST, SOME, a line that fell silent in a frame, or how many bytes are awaited at least."""
    awaited = 0
    side = K_FORWARD
    while side <= K_BACKWARD:
        ring = ptr32(block[side])
        deframer = ptr32(block[side + 1])
        state = ptr32(deframer[E_STATE])
        waiting = int(unread(ring))
        if waiting >= state[D_MISSING] or (state[D_LENGTH] and state[D_COUNT] > state[D_LENGTH]):
            return SOME
        if waiting or state[D_COUNT] != state[D_LENGTH]:
            watch = ptr32(block[K_WATCH])
            total = int(ptr32(ring[G_WORDS])[V_READ]) + waiting
            if total != watch[side]:
                watch[side] = total
                watch[side + 1] = now
            elif (now - watch[side + 1]) & TICKS_MASK >= gap_ms:
                return SILENT_CONSOLE if side == K_FORWARD else SILENT_GANTRY
            missing = state[D_MISSING] - waiting
            if not awaited or missing < awaited:
                awaited = missing
        side += K_BACKWARD - K_FORWARD
    return awaited


@micropython.viper
def carry(block: ptr32, works, now: int, way: int, is_blocked: int, near: int, gap_ms: int) -> int:
    """Carry both ways for as long as bytes keep coming, but not for long; what became of the console's.

    A frame of which at most `near` bytes are missing is waited for here, awake, so that its verdict begins with its last byte.
    """
    room = works[2]
    clock = ptr32(block[K_CLOCK])
    began = clock[0]
    turn_us = gap_ms * TURN_OF_GAP_US
    if turn_us > TURN_US:
        turn_us = TURN_US
    carried = NOTHING
    wanted = SOME
    while clock[0] - began < turn_us:
        if wanted == SOME:
            carry_backward(block, works, now, 0)
            found = int(carry_forward(block, works, now, way, is_blocked))
            if found > CARRIED:
                return found
            if found == CARRIED:
                carried = CARRIED
        wanted = int(look(block, now, gap_ms))
        if wanted != SOME and (wanted <= REST or wanted > near):
            return carried
        if not near:
            return carried
        room(ptr32(block[K_TO_GANTRY]))  # what waits behind a frame that is leaving
        room(ptr32(block[K_TO_CONSOLE]))
    return carried
