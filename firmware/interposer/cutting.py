"""The bridge of a package that asks for cut-through: frames leave while they come, spoiled unless their verdict is PASS.

Only while frames pass, the guard enforces and the console's line was at rest before: everything else goes by store-and-forward
as in `bridge.py`. Every frame is judged once, by the same core. One that passes but was judged too late has arrived spoiled,
and is sent whole once the receiver has given the spoiled one up. See docs/adr/0010-cut-through.md.
"""

import time
from array import array

from interposer.bridge import FOR_EVER, Bridge
from interposer.core.codec import (
    ALWAYS_PASSES,
    C_DIRECTION,
    C_FIELDS,
    C_FLAGS,
    C_LENGTH,
    C_OPCODE,
    COMMAND_WORDS,
    PASSES_WHILE_HELD,
)
from interposer.core.compat import compiled, const, elapsed, functions, micropython, pointers, ptr8, ptr32
from interposer.core.exam import OTHER, SESSION_WORDS, X_AHEAD, X_TRIAL, copy_words
from interposer.core.gate import PASSING
from interposer.core.link import (
    COUNT_MASK,
    D_COUNT,
    D_LENGTH,
    F_CHECK_FROM,
    F_CHECK_SIZE,
    F_MAX,
    F_MIN,
    F_OPCODE_FORM,
    F_START,
    F_STARTS,
    FORWARD,
    OPCODE_BYTE,
    check_value,
    move,
    put_check,
    same,
)
from interposer.core.package import P_BAUD
from interposer.core.pipeline import B_RESULT, B_TRIAL, R_ASKED, R_IS_LAST, judge_frame
from interposer.core.reasons import NONE, PASS
from interposer.core.ring import pull, unread
from interposer.hal.cut_through import (
    LAST,
    REFUSED,
    W_CLOCK,
    CutThrough,
    answer,
    attend,
    follow,
    has_arrived,
    has_left,
    is_under_way,
)
from interposer.hal.ports import is_sending
from interposer.lines import later
from interposer.places import BACK, JUDGED, NOTHING, W_IS_TOLD

SOILED_US = const(1000)  # between two looks whether the gantry has given up what was spoiled
NONE_CAME = const(-1)
ATTEND_US = const(5000)  # of waiting awake for the next frame, then the maintenance port has a turn
SOON_US = const(300)  # until somebody looks again whether the next frame may be repeated


# What `follow_and_judge` works on: places in its list of pointers.
Q_CUT = const(0)
Q_FRAME = const(1)
Q_FRAMING = const(2)
Q_LAST = const(3)  # the exam's last frame
Q_JUDGE = const(4)
Q_NETWORKS = const(5)
Q_STOPS = const(6)  # as `follow` wants them
Q_BACKWARD = const(7)  # ring from the gantry
Q_SUSPECT = const(8)  # answer: the first network that has to be heard, or JUDGED
K_WORKS = const(9)


def works_of(judge, port):
    """What `functions` hands out: on the device alone, by the compiler."""
    raise NotImplementedError  # the compiler puts its own in this place; the host never cuts through


@compiled
@micropython.viper
def follow_and_judge(block: ptr32, now: int) -> int:
    """Let a frame leave as far as it may, judge it before its check has come, and release it where it passes; its length.

    NONE_CAME where no frame begins for a while, 0 where one is given up. Its check is taken to be that of the last frame, as
    a retry's is: no other verdict depends on it.
    """
    works = functions(block[K_WORKS])
    evaluate = works[0]
    ask = works[1]
    cut = ptr32(block[Q_CUT])
    frame = ptr8(block[Q_FRAME])
    framing = ptr32(block[Q_FRAMING])
    clock = ptr32(cut[W_CLOCK])
    since = clock[0]
    if not int(attend(cut, ptr32(block[Q_BACKWARD]), ATTEND_US)):
        return NONE_CAME
    length = int(follow(cut, frame, framing, ptr8(block[Q_STOPS])))
    if not length:
        return 0
    last = ptr8(block[Q_LAST])
    at = length - framing[F_CHECK_SIZE]
    while at < length:
        frame[at] = last[at]
        at += 1
    judge = ptr32(block[Q_JUDGE])
    now = int(later(now, clock[0] - since))
    verdict = int(judge_frame(judge, evaluate, frame, length, now, 0))
    asked = ptr32(judge[B_RESULT])[R_ASKED]
    suspect = JUDGED
    if asked:
        suspect = int(ask(ptr32(block[Q_NETWORKS]), 0, asked, ptr32(judge[B_TRIAL])))
    if verdict == PASS and suspect == JUDGED:
        answer(cut, LAST)
    ptr32(block[Q_SUSPECT])[0] = suspect
    return length


def lengths_of_stops(judge):
    """By opcode the lengths of the console's commands that always pass and hold nothing; 0 for others."""
    lengths = bytearray(256)
    if judge.forward.framing[F_OPCODE_FORM] == OPCODE_BYTE:
        commands = judge.commands
        for at in range(0, len(commands), COMMAND_WORDS):
            passes = commands[at + C_FLAGS] & ALWAYS_PASSES and not commands[at + C_FIELDS]
            if passes and commands[at + C_DIRECTION] == FORWARD and commands[at + C_LENGTH] < 256:
                lengths[commands[at + C_OPCODE]] = commands[at + C_LENGTH]
    return lengths


class CuttingBridge(Bridge):
    """A `Bridge` that lets frames leave while they come."""

    hurries = True
    writes_beside = False

    def __init__(self, package, judge, console, gantry, relay, red, green, keys):
        super().__init__(package, judge, console, gantry, relay, red, green, keys)
        self.framing = self.forward.framing
        self.cut = CutThrough(self.params[P_BAUD], self.gap_ms)
        self.leaving = bytearray(self.framing[F_MAX])
        self.session = array("i", bytes(4 * SESSION_WORDS))
        self.last_frame = bytearray(self.framing[F_MAX])
        self.suspect = array("i", (JUDGED,))
        engine = judge.network_engine
        self.cutting_works = works_of(judge, console)
        self.stops = lengths_of_stops(judge)
        self.paths = pointers(
            self.cut.words,
            self.leaving,
            self.framing,
            judge.exam.last_frame,
            judge.block,
            engine.block,
            self.stops,
            self.gantry.ring,
            self.suspect,
            self.cutting_works,
        )
        self.is_soiled = False  # the gantry may hold the beginning of a frame, until its line was silent for the gap
        self.soiled_at = 0

    @micropython.native
    def step(self, now):
        """As the bridge's. Nobody sleeps while a frame may be repeated."""
        if self.cut.armed:
            if is_under_way(self.cut.words):
                self._repeat(now)
                now = time.ticks_ms()  # what was judged must not lie ahead of the clock
            elif unread(self.console.ring):  # the machine missed what the UART heard
                self.cut.disarm()
        pause_us = Bridge.step(self, now)
        if not self.cut.armed:
            if not self._is_clean():
                return SOILED_US
            if not self._wants_cut():
                return pause_us
            if self._is_free():
                self.cut.arm(self.framing[F_MIN] - 1)
            if not self.cut.armed:
                return min(pause_us, SOON_US) if pause_us >= 0 else SOON_US
        if pause_us == FOR_EVER and self._repeat(now):
            return 0
        return 0 if pause_us > 0 else pause_us

    def idle_ms(self):
        """As the bridge's; not at all while the next frame is to be repeated, of which a sleeper would miss the beginning."""
        return 0 if self.cut.armed else Bridge.idle_ms(self)

    @micropython.native
    def is_quiet(self):
        """Whether nothing has come or is coming that was not dealt with."""
        return Bridge.is_quiet(self) and not (self.cut.armed and is_under_way(self.cut.words))

    @micropython.native
    def _wants_cut(self):
        return self.shown == PASSING and self.gate.state == PASSING and self.fault == NONE and self.enforcing

    @micropython.native
    def _is_free(self):
        """Whether nothing is on its way from console to gantry."""
        state = self.forward.state
        return not unread(self.console.ring) and state[D_COUNT] == state[D_LENGTH] and not is_sending(self.gantry.sender)

    # ---- a frame that leaves while it comes

    @micropython.native
    def _repeat(self, now):
        """Let a frame leave while it comes and is judged, and say what becomes of its last byte; whether one came."""
        self._remember()
        length = follow_and_judge(self.paths, now)
        if length == NONE_CAME:
            return False
        now = time.ticks_ms()
        self.forward_at = now
        if not length:
            self.cut.disarm()
            self._soil()
            return True
        cut, frame, framing = self.cut.words, self.leaving, self.framing
        judge = self.judge
        at = length - framing[F_CHECK_SIZE]
        suspect = self.suspect[0]
        passes = suspect == JUDGED and judge.verdict == PASS
        if suspect == JUDGED:
            self._strobe()
        put_check(frame, at, check_value(frame, framing[F_CHECK_FROM], at, framing, self.forward.table), framing)
        if not passes:
            answer(cut, REFUSED | (frame[length - 1] >> 6 & 2 ^ 2))
        if judge.result[R_IS_LAST]:
            move(judge.exam.last_frame, 0, frame, 0, length)
        has_passed = has_left(cut, length - at)
        self.cut.disarm()
        has_arrived(cut, self.console.ring, length)
        if pull(self.console.ring, self.forward.block) == length and same(frame, length, self.forward.frame, length):
            self._settle(suspect, passes, has_passed, now)
        else:
            self._forget(now)
        return True

    @micropython.native
    def _settle(self, suspect, passes, has_passed, now):
        """The frame was intact: it has left, or is sent now, or becomes of it what the gate says."""
        if not passes:
            if self._may_begin_a_frame():
                self._soil()
            self._frame(suspect, now)
        elif has_passed:
            self.verdicts[PASS] = (self.verdicts[PASS] + 1) & COUNT_MASK
            self.judge.accept(self.forward.frame, self.forward.length, now)
            if not self.judge.flags & PASSES_WHILE_HELD:
                self.watch[W_IS_TOLD] = 0
        else:
            self._soil()
            self._frame(suspect, now)

    @micropython.native
    def _may_begin_a_frame(self):
        """Whether a receiver that drops this frame may take its end for the beginning of another, spoiled as it is."""
        frame, framing = self.forward.frame, self.framing
        at = self.forward.length - framing[F_CHECK_SIZE] - framing[F_STARTS] + 1
        while at < self.forward.length:
            if (frame[at] ^ framing[F_START]) & 127 == 0:
                return True
            at += 1
        return False

    @micropython.native
    def _remember(self):
        exam = self.judge.exam
        copy_words(exam.session, self.session, SESSION_WORDS)
        move(self.last_frame, 0, exam.last_frame, 0, self.framing[F_MAX])

    @micropython.native
    def _forget(self, now):
        """The frame was judged before its check, which was wrong: it leaves no trace."""
        exam = self.judge.exam
        copy_words(self.session, exam.session, SESSION_WORDS)
        exam.session[X_TRIAL] = OTHER  # the frame's fields are in it, and its rows
        exam.session[X_AHEAD] = -1
        move(exam.last_frame, 0, self.last_frame, 0, self.framing[F_MAX])
        self._soil()
        if self.forward.length:  # the UART read another frame than the one that left: that one counts for nothing
            self._overrun(self.forward, now)
        self._note_bad(now)

    # ---- what the gantry still holds

    @micropython.native
    def _soil(self):
        self.is_soiled = True
        self.soiled_at = time.ticks_ms()

    @micropython.native
    def _is_clean(self):
        if self.is_soiled and elapsed(time.ticks_ms(), self.soiled_at) > self.gap_ms + 1:
            self.is_soiled = False
        return not self.is_soiled

    @micropython.native
    def _carry(self, now, near, resting):
        """As the bridge's, but for the console's bytes while they are repeated, or while the gantry has to forget."""
        if self.cut.armed or not self._is_clean():
            self._let_back(BACK, now)
            self.found = NOTHING
            return now
        return Bridge._carry(self, now, near, resting)

    def _send(self, frame, length):
        self.cut.disarm()
        while not self._is_clean():
            time.sleep_ms(1)
        Bridge._send(self, frame, length)

    def _enter(self, state, now):
        if state != PASSING:
            self.cut.disarm()
        Bridge._enter(self, state, now)
