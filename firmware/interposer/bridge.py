"""Carries frames from the console to the gantry as the gate decides, and the gantry's bytes back.

One instance owns both ports, the relay and the lamps. What usually happens to bytes is in `carry.py`; here is the rest, in one
file because all of it is the state of one object. Nothing allocates after construction.
"""

import time
from array import array

from machine import Pin

from interposer import places
from interposer.carry import turn, works_of
from interposer.core.codec import ALWAYS_PASSES
from interposer.core.compat import const, elapsed, micropython
from interposer.core.gate import BLOCKING, HOLDING, KEEP, PASSING, REFUSE_HELD, SAY_HELD, SAY_REFUSED, SEND, SEND_HELD, Gate
from interposer.core.limits import L_NAME, LIMIT_WORDS
from interposer.core.link import BACKWARD, COUNT_MASK, D_COUNT, D_LAST_BAD, D_LENGTH, F_MAX, FRAMING_WORDS, Deframer, move, same
from interposer.core.package import ENFORCE, P_GAP_MS
from interposer.core.pipeline import R_BLAMED, R_COMMAND, R_IS_RETRY, R_LIMIT, R_NETWORK, R_REASON, R_VERDICT
from interposer.core.reasons import BLOCK, NONE, OVERRUN, PASS, RELAY_FAULT
from interposer.core.ring import take, unread
from interposer.core.suggestion import Suggestion
from interposer.hal import board_record as board
from interposer.hal.panel import FAST, OFF, ON, SLOW
from interposer.replies import ANSWERS, Replies
from interposer.service.events import BAD_FRAME, BOOT, PROPOSAL, STATE, VERDICT, Events

FAULT = const(3)  # above PASSING, HOLDING and BLOCKING, beyond the gate's own states: the relay cannot be trusted
TEND_MS = const(10)
LATE_MS = const(30)  # after so long the rest has the next turn even where bytes are about to come
SEARCH_AFTER_MS = const(50)  # the search for a proposal must not be in the way of frames that come close together
ATTENTIVE_MS = const(50)
FOR_EVER = const(-1)
LONGEST_PAUSE_US = const(5000)
LAST_BYTE_US = const(20)  # between two looks at a line whose next byte completes a frame
NEAR_US = const(60)  # a frame that will be complete this soon is waited for awake
BRIEF_US = const(200)  # of carrying, then the flash or the filesystem has its turn
NEAR_BYTES = const(2)  # and not fewer of its bytes: of the one that is under way nobody knows how far it is
REFUSING_US = const(2000)  # where one command after another is refused, they are dealt with several at a time
UNHURRIED_US = const(1000)  # a pause in which the rest may have its turn


class Bridge:
    """The guard between two ports. `step` is one turn of the loop."""

    hurries = False  # whether a frame wants its turn as soon as it begins
    writes_beside = True  # whether frames can be carried by what lies in RAM, while the flash works

    def __init__(self, package, judge, console, gantry, relay, red, green, keys):
        params = package.table("params")
        framings = package.table("framings")
        self.params = params
        self.limits = package.table("limits")
        self.package = package
        self.enforcing = package.mode == ENFORCE
        self.judge = judge
        self.suggestion = Suggestion(package, judge)
        self.gate = Gate(params)
        self.events = Events(framings[F_MAX])
        self.verdicts = array("i", bytes(12))
        self.reasons = array("i", bytes(4 * 128))
        self.console = console
        self.gantry = gantry
        self.relay = relay
        self.red = red
        self.green = green
        self.keys = keys
        Pin(board.STROBE, Pin.OUT, value=0)
        self.forward = Deframer(framings[:FRAMING_WORDS])
        self.backward = Deframer(framings[BACKWARD * FRAMING_WORDS : (BACKWARD + 1) * FRAMING_WORDS])
        self.held = bytearray(len(self.forward.frame))
        self.held_length = 0
        self.replies = Replies(params, judge, console, self.backward, self.events.tally)
        self.forward_at = 0  # when a frame was seen last
        self.gap_ms = params[P_GAP_MS]
        self.near = NEAR_US // console.byte_us + NEAR_BYTES
        self.found = places.NOTHING  # what became of the console's bytes in the last turn
        self.watch = array("i", bytes(4 * places.WATCH_WORDS))
        self.watch[places.W_STROBE] = 1 << board.STROBE
        self.watch[places.W_BYTE_US] = console.byte_us
        self.works = works_of(judge, console)
        self.block = places.block_of(self)
        self.released = 0
        self.fault = NONE
        self.tended_at = 0
        self.shown = -1
        self.is_blinking = True

    def start(self, death, now):
        """Close the relay, or block after the `death` of the run before. From now on `step` has to be called."""
        self.forward_at = self.tended_at = now
        self.events.add(BOOT, now, -1, PASS, death, -1, 0, 0, 0)
        if death != NONE and self.enforcing:
            self.gate.block(death, now)
        if not self.relay.settle():  # a contact that is closed before its coil was ever driven is welded
            self.fault = RELAY_FAULT
        self._show(now)

    # ---- an update

    def may_rest(self):
        """Whether nothing is held, blocked or wrong."""
        return self.fault == NONE and self.gate.state == PASSING

    def enter_safe_mode(self, reason, now):
        """Open the relay: a stop alone passes, until `leave_safe_mode`."""
        self.fault = reason
        self.suggestion.stop()
        self._show(now)

    def leave_safe_mode(self, now):
        """Back to work, unless the relay cannot be trusted: that stays until a reset."""
        if self.fault != RELAY_FAULT:
            self.fault = NONE
        self._show(now)

    # ---- one turn

    def idle_ms(self):
        """How long the loop may rest: as short as a press or a search needs, or as long as the relay's contact allows."""
        if self.suggestion.active or self.gate.fresh:
            return TEND_MS
        return ATTENTIVE_MS

    @micropython.native
    def step(self, now):
        """One turn; returns how long the loop may sleep, in us, or FOR_EVER: until a line or a key wants something.

        The rest (`_tend`) has its turn every TEND_MS, where possible while nothing is about to come.
        """
        near = self._near()
        wanted = turn(self.block, now, places.LOOK, 0)
        if wanted == places.SOME or (wanted > 0 and near):
            now = self._carry(now, near, 0)
            wanted = turn(self.block, now, places.LOOK, 0)
        if wanted == places.REST:
            pause_us = FOR_EVER
        elif wanted > 0 and self.shown == BLOCKING and self.replies.left < ANSWERS:
            pause_us = REFUSING_US
        elif wanted > 0:
            pause_us = LAST_BYTE_US if near else min(max(wanted * self.console.byte_us, LAST_BYTE_US), LONGEST_PAUSE_US)
        else:
            pause_us = 0
            if wanted != places.SOME:
                self._give_up(wanted, now)
        if pause_us and (self.gantry.is_behind() or self.console.is_behind()):
            pause_us = LAST_BYTE_US  # what waits behind a frame that is leaving must not wait for the next one to come
        changed = self.gate.state != self.shown
        late_ms = elapsed(now, self.tended_at)
        if late_ms < TEND_MS and not changed:
            return pause_us
        if changed or pause_us == FOR_EVER or pause_us > UNHURRIED_US or late_ms > LATE_MS:
            self._tend(now)
            return pause_us if pause_us == FOR_EVER else 0
        return pause_us

    @micropython.native
    def is_quiet(self):
        """Whether nothing has come that was not dealt with, no part of a frame either."""
        ahead, back = self.forward.state, self.backward.state
        is_between = ahead[D_COUNT] == ahead[D_LENGTH] and back[D_COUNT] == back[D_LENGTH]
        return is_between and not unread(self.console.ring) and not unread(self.gantry.ring)

    @micropython.native
    def wait(self, now, most_us):
        """Rest until a line speaks, for so long at most, and carry what comes then; whether nothing came."""
        self.watch[places.W_REST_US] = most_us
        self._carry(now, self._near(), places.MAY_REST)
        return self.found == places.NOTHING and not self.watch[places.W_BACK] and self.is_quiet()

    @micropython.native
    def _near(self):
        """How many bytes of a frame may be missing to wait for them awake; 0: nobody waits."""
        return 0 if self.shown == BLOCKING or self.replies.length else self.near

    @micropython.native
    def _way(self):
        """To carry, and which frames need not be offered to the gate."""
        state = self.gate.state
        if state == BLOCKING:
            is_silent = self.fault == NONE and not self.replies.left and self.enforcing
            return places.CARRY | places.IS_BLOCKED | (places.SILENTLY if is_silent else places.NONE_HERE)
        if self.fault != NONE:
            return places.CARRY | (places.NONE_HERE if self.replies.left else places.SILENTLY)
        return places.CARRY | (places.EVERYTHING if state == PASSING else places.WHAT_MAY)

    @micropython.native
    def _tend(self, now):
        """Keys and time, the search for a proposal, the relay's contact, lamps."""
        self.tended_at = now
        self.replies.allow()
        if self.fault == NONE and self.gate.state != PASSING:  # while frames pass, a key means nothing: see `Gate._enter`
            self._carry_out(self.gate.tick(self.keys.read(now), now), now)
        search = self.suggestion.active and elapsed(now, self.forward_at) >= SEARCH_AFTER_MS
        if search and self.suggestion.step() and self.suggestion.found:
            found = self.suggestion
            self.events.add(PROPOSAL, now, found.command, PASS, NONE, found.slot, found.value, 0, 0)
        if self.fault == NONE and not self.relay.agrees() and not self.relay.settle():
            self._fail(now)
        self._show(now)

    # ---- console to gantry

    @micropython.native
    def _carry(self, now, near, resting):
        """Let native code carry what has come and what is `near`, and deal with what it leaves; the time by now.

        `resting`: MAY_REST or 0.
        """
        return self._come_to(turn(self.block, now, self._way() | resting, near))

    @micropython.native
    def carry_beside(self):
        """Carry while the flash does what was laid out for it."""
        self._carry_briefly(time.ticks_ms(), places.BESIDE)

    @micropython.native
    def attend(self):
        """Carry what waits, if anything does; nothing before `start`."""
        if self.shown < 0:
            return
        now = time.ticks_ms()
        if turn(self.block, now, places.LOOK, 0) == places.SOME:
            self._carry_briefly(now, 0)
        self.gantry.is_behind()
        self.console.is_behind()

    @micropython.native
    def _carry_briefly(self, now, beside):
        self.watch[places.W_REST_US] = BRIEF_US
        self._come_to(turn(self.block, now, self._way() | places.BRIEFLY | beside, 0))

    @micropython.native
    def _come_to(self, found):
        """Deal with what native code has found and leaves; the time by now."""
        self.found = found
        now = self.watch[places.W_NOW]
        if found > places.CARRIED:
            self._frame(found, now)
        if found != places.NOTHING:
            self.forward_at = now
        if self.forward.state[D_LAST_BAD]:
            self._note_bad(now)
        if self.replies.length:
            self.replies.flush()
        if self.watch[places.W_LOST]:
            self._note_lost(now)
        return now

    def _give_up(self, silent, now):
        """A line went quiet inside a frame: the gantry's is passed on as it is; the console's may have hidden a good one."""
        if silent == places.SILENT_GANTRY:
            self._let_back(places.BACK_AT_ONCE, now)
            return
        self.forward_at = now
        ring, state = self.console.ring, self.forward.state
        take(ring, self.forward.block, unread(ring), 1)
        while state[D_LENGTH]:
            self.judge.judge(self.forward.frame, state[D_LENGTH], now, self.gate.state == BLOCKING)
            self._strobe()
            self._offer(now)
            take(ring, self.forward.block, 0, 1)
        self._note_bad(now)

    @micropython.native
    def _strobe(self):
        turn(self.block, 0, places.STROBE, 0)

    @micropython.native
    def _frame(self, found, now):
        """Do what the gate says of a frame that was judged; `found`: the network that has to be heard first, or JUDGED."""
        if found != places.JUDGED:
            self.judge.hear(found, self.judge.exam.trial)
            self._strobe()
        self._offer(now)

    @micropython.native
    def _offer(self, now):
        """Do what the gate says of the frame that has been judged."""
        judge = self.judge
        verdict = judge.result[R_VERDICT]
        self.verdicts[verdict] = (self.verdicts[verdict] + 1) & COUNT_MASK
        if verdict != PASS:
            self._record_verdict(self.forward.frame, self.forward.length, now)
        if self.fault != NONE:
            self._frame_in_fault()
        elif verdict == BLOCK and self.gate.state == BLOCKING and self.enforcing:  # a flood, as the gate would say it
            self.replies.refuse(self.forward.frame, judge.result[R_REASON])
        else:
            self._carry_out(self.gate.offer(judge, self._is_held_frame(), now) if self.enforcing else SEND, now)

    @micropython.native
    def _is_held_frame(self):
        if self.gate.state != HOLDING:
            return False
        return same(self.forward.frame, self.forward.length, self.held, self.held_length)

    def _frame_in_fault(self):
        """The relay does not obey: a stop is tried all the same, anything else is refused."""
        if self.judge.flags & ALWAYS_PASSES and self.judge.verdict == PASS:
            self._send(self.forward.frame, self.forward.length)
        else:
            self.replies.refuse(self.forward.frame, self.fault)

    @micropython.native
    def _record_verdict(self, frame, length, now):
        judge = self.judge
        result = judge.result
        reason = result[R_REASON]
        self.reasons[reason] = (self.reasons[reason] + 1) & COUNT_MASK
        if self.gate.state == BLOCKING:
            if self.events.repeat(VERDICT, now, result[R_VERDICT], reason):
                self.events.add_frame(frame, length)
            return
        blamed, limit, network = result[R_BLAMED], result[R_LIMIT], result[R_NETWORK]
        value = judge.exam.trial[blamed] if blamed >= 0 else 0
        extra = self.limits[limit * LIMIT_WORDS + L_NAME] if limit >= 0 else -1
        threshold = -1
        if network >= 0:
            extra = judge.scores[network]
            threshold = judge.thresholds[network]
        self.events.add(VERDICT, now, result[R_COMMAND], result[R_VERDICT], reason, blamed, value, extra, threshold)
        self.events.add_frame(frame, length)
        if not result[R_IS_RETRY] and self.gate.state == PASSING:
            self.suggestion.start()

    @micropython.native
    def _carry_out(self, actions, now):
        if actions & SEND:
            self._send(self.forward.frame, self.forward.length)
            self.judge.accept(self.forward.frame, self.forward.length, now)
        if actions <= SEND:  # all that most frames and nearly every tick ask for
            return
        if actions & KEEP:
            self.held_length = self.forward.length
            move(self.held, 0, self.forward.frame, 0, self.held_length)
        if actions & SEND_HELD:
            self._release_held(now)
        if actions & REFUSE_HELD:
            self.replies.refuse(self.held, self.gate.reason)
            self.suggestion.stop()
        if actions & SAY_HELD:
            self.replies.tell_held(self.forward.frame, self.gate.reason)
        if actions & SAY_REFUSED:
            self.replies.refuse(self.forward.frame, self.gate.answer)

    def _release_held(self, now):
        """Send the held frame, unless it has become one that nobody may release."""
        self.suggestion.stop()
        if self.judge.assess_held(self.held, self.held_length) == BLOCK:
            self._record_verdict(self.held, self.held_length, now)
            self.gate.block(self.judge.reason, now)
            self.replies.refuse(self.held, self.judge.reason)
            return
        self.forward_at = now
        self._send(self.held, self.held_length)
        self.judge.accept_held(self.held, self.held_length, now)
        self.released = (self.released + 1) & COUNT_MASK

    def _send(self, frame, length):
        """Forward the very bytes that were judged; through an open relay, close it for this frame alone."""
        self.watch[places.W_IS_TOLD] = 0
        was_closed = self.relay.closed
        if not was_closed:
            self.relay.close()
            self.relay.settle()
        if self.gantry.room() < length:  # what passed before it is still leaving: it would be too late for this one
            self.gantry.finish()
        self.gantry.transmit(frame, 0, length)
        if not was_closed:
            self.gantry.finish()
            self.relay.open()
            self.relay.settle()

    # ---- health and state

    @micropython.native
    def _note_bad(self, now):
        state = self.forward.state
        if state[D_LAST_BAD]:
            self.events.repeat(BAD_FRAME, now, PASS, state[D_LAST_BAD])
            state[D_LAST_BAD] = NONE

    @micropython.native
    def _let_back(self, order, now):
        """Let the gantry's bytes come back; `order`: BACK or BACK_AT_ONCE."""
        turn(self.block, now, order, 0)
        if self.watch[places.W_LOST]:
            self._note_lost(now)

    def _note_lost(self, now):
        lost = self.watch[places.W_LOST]
        if lost & places.LOST_FORWARD:
            self._overrun(self.forward, now)
        if lost & places.LOST_BACKWARD:
            self._overrun(self.backward, now)

    def _overrun(self, deframer, now):
        """Bytes were lost: whatever frame they belonged to is gone, and nothing of it may be used."""
        deframer.clear()
        self.reasons[OVERRUN] = (self.reasons[OVERRUN] + 1) & COUNT_MASK
        self.events.repeat(BAD_FRAME, now, PASS, OVERRUN)

    def _fail(self, now):
        self.fault = RELAY_FAULT
        if self.gate.state == HOLDING:
            self.replies.refuse(self.held, RELAY_FAULT)
        self.suggestion.stop()
        self.gate.block(RELAY_FAULT, now)
        self._show(now)

    @micropython.native
    def _show(self, now):
        """The one place where a change of state moves the relay and the lamps."""
        state = FAULT if self.fault != NONE else self.gate.state
        if state != self.shown:
            self._enter(state, now)
        elif not self.is_blinking:
            return
        self.red.show(now)
        self.green.show(now)

    def _enter(self, state, now):
        reason = self.fault if state == FAULT else self.gate.reason
        if state == BLOCKING:
            self.gantry.finish()  # a frame that was passed must not be cut in two
        if state >= BLOCKING:
            self.relay.open()
        else:
            self.relay.close()
        self.shown = state
        self.red.pattern = OFF if state == PASSING else ON if state == BLOCKING else FAST
        self.green.pattern = OFF if state >= BLOCKING else ON if self.enforcing else SLOW
        self.is_blinking = self.red.pattern > ON or self.green.pattern > ON
        self.events.add(STATE, now, -1, PASS, reason, -1, 0, state, 0)
        if not self.relay.settle() and state != FAULT:
            self._fail(now)
