"""Carries frames from the console to the gantry as the gate decides, and the gantry's bytes back.

One instance owns both ports, the relay and the lamps. Nothing here allocates after construction.
"""

from array import array

from machine import Pin

from interposer.core.codec import ALWAYS_PASSES
from interposer.core.compat import const, elapsed, micropython
from interposer.core.gate import (
    BLOCKING,
    HOLDING,
    KEEP,
    PASSING,
    REFUSE_HELD,
    SAY_HELD,
    SAY_REFUSED,
    SEND,
    SEND_HELD,
    Gate,
)
from interposer.core.limits import L_NAME, LIMIT_WORDS
from interposer.core.link import BACKWARD, D_LAST_BAD, FRAMING_WORDS, Deframer, move, same
from interposer.core.package import (
    ENFORCE,
    P_GAP_MS,
    P_HELD_REPLY,
    P_REASON_SLOT,
    P_REFUSED_REPLY,
    P_VALUES,
)
from interposer.core.reasons import BLOCK, NONE, OVERRUN, PASS, RELAY_FAULT
from interposer.core.suggestion import Suggestion
from interposer.core.verdict import R_BLAMED, R_COMMAND, R_IS_RETRY, R_LIMIT, R_NETWORK, R_REASON, R_VERDICT
from interposer.hal import board_record as board
from interposer.hal.panel import FAST, OFF, ON, SLOW
from interposer.service.events import BAD_FRAME, BOOT, PROPOSAL, STATE, VERDICT, Events

COUNT_MASK = const(0x3FFFFFFF)  # counters start again before they would need heap
FAULT = const(3)  # above PASSING, HOLDING and BLOCKING, beyond the gate's own states: the relay cannot be trusted
REPLY_BYTES = const(256)
TEND_MS = const(10)
ANSWERS = const(4)  # own replies within TEND_MS: a flood of commands must not become a flood of refusals
SEARCH_AFTER_MS = const(50)  # the search for a proposal must not be in the way of frames that come close together
ATTENTIVE_MS = const(50)
QUIET_MS = const(200)  # the relay's contact is still looked at five times a second
STATE_NAMES = ("PASSING", "HOLDING", "BLOCKING", "FAULT")


class Bridge:
    """The guard between two ports. `step` is one turn of the loop."""

    def __init__(self, package, judge, console, gantry, relay, red, green, keys, death, now):
        params = package.table("params")
        framings = package.table("framings")
        self.params = params
        self.limits = package.table("limits")
        self.package = package
        self.enforcing = package.mode == ENFORCE
        self.judge = judge
        self.suggestion = Suggestion(package, judge)
        self.gate = Gate(params)
        self.events = Events()
        self.console = console
        self.gantry = gantry
        self.relay = relay
        self.red = red
        self.green = green
        self.keys = keys
        self.strobe = Pin(board.STROBE, Pin.OUT, value=0)
        self.forward = Deframer(framings[:FRAMING_WORDS])
        self.backward = Deframer(framings[BACKWARD * FRAMING_WORDS : (BACKWARD + 1) * FRAMING_WORDS])
        self.held = bytearray(len(self.forward.frame))
        self.held_length = 0
        self.reply_values = array("i", bytes(4 * params[P_VALUES]))
        self.replies = bytearray(REPLY_BYTES)
        self.replies_length = 0
        self.forward_at = 0
        self.backward_at = 0
        self.verdicts = array("i", bytes(12))
        self.reasons = array("i", bytes(4 * 128))
        self.released = 0
        self.replies_lost = 0
        self.answers_left = ANSWERS
        self.fault = NONE
        self.tended_at = now
        self.shown = -1
        self._start(death, now)

    def _start(self, death, now):
        self.events.add(BOOT, now, -1, PASS, death, -1, 0, 0, 0)
        if death != NONE and self.enforcing:
            self.gate.block(death, now)
        if not self.relay.settle():  # a contact that is closed before its coil was ever driven is welded
            self.fault = RELAY_FAULT
        self._show(now)

    # ---- one turn

    @micropython.native
    def idle_ms(self):
        """How long the loop may wait for a byte: as short as a press or a search needs, as keys and gaps allow, or long."""
        if self.suggestion.active or self.gate.fresh:
            return TEND_MS
        if self.shown != PASSING or self.forward.count or self.backward.count:
            return ATTENTIVE_MS
        return QUIET_MS

    @micropython.native
    def pause_us(self):
        """How long the rest of a frame that is coming in still needs; 0 where none is."""
        forward = self.console.missing_us()
        backward = self.gantry.missing_us()
        return min(forward, backward) if forward and backward else forward + backward

    @micropython.native
    def step(self, now):
        """One turn: console, gantry, and at least every TEND_MS the rest. True where the rest had its turn."""
        self._from_console(now)
        self._from_gantry(now)
        due = elapsed(now, self.tended_at) >= TEND_MS or self.gate.state != self.shown
        if due:
            self._tend(now)
        return due

    def _tend(self, now):
        """Keys and time, the search for a proposal, the relay's contact, lamps."""
        self.tended_at = now
        self.answers_left = ANSWERS
        if self.fault == NONE:
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
    def _from_console(self, now):
        count = self.console.take(self.forward.missing, now)
        if count < 0:
            self._overrun(self.forward, now)
            return
        if count:
            self.forward_at = now
            self._feed_forward(count, now)
            if self.console.is_over:
                self._expire_forward(now)
        elif self.forward.count and not self.console.missing and elapsed(now, self.forward_at) >= self.params[P_GAP_MS]:
            self._expire_forward(now)

    @micropython.native
    def _feed_forward(self, count, now):
        forward = self.forward
        chunk = self.console.chunk
        at = forward.feed(chunk, 0, count)
        while forward.length:
            self._frame(now)
            if at == count and forward.count == forward.length:
                forward.clear()
                break
            at = forward.feed(chunk, at, count)
        self._note_bad(now)

    def _expire_forward(self, now):
        """The console went quiet inside a frame; one may be hidden in what was taken for its beginning."""
        self.forward.expire()
        while self.forward.length:
            self._frame(now)
            self.forward.expire()
        self._note_bad(now)

    @micropython.native
    def _frame(self, now):
        """Judge one intact frame and do what the gate says."""
        judge = self.judge
        frame = self.forward.frame
        length = self.forward.length
        state = self.gate.state
        verdict = judge.judge(frame, length, now, state == BLOCKING)
        self.strobe(1)
        self.strobe(0)
        self.verdicts[verdict] = (self.verdicts[verdict] + 1) & COUNT_MASK
        if verdict == PASS and state == PASSING and self.fault == NONE:  # the usual case, as the gate would say it
            self._send(frame, length)
            judge.accept(frame, length, now)
            return
        if verdict != PASS:
            self._record_verdict(now)
        if self.fault != NONE:
            self._frame_in_fault()
        elif verdict == BLOCK and state == BLOCKING and self.enforcing:  # a flood, as the gate would say it
            self._reply(self.params[P_REFUSED_REPLY], frame, judge.result[R_REASON])
        else:
            self._carry_out(self.gate.offer(judge, self._is_held_frame(), now) if self.enforcing else SEND, now)

    def _is_held_frame(self):
        if self.gate.state != HOLDING:
            return False
        return same(self.forward.frame, self.forward.length, self.held, self.held_length)

    def _frame_in_fault(self):
        """The relay does not obey: a stop is tried all the same, anything else is refused."""
        if self.judge.flags & ALWAYS_PASSES and self.judge.verdict == PASS:
            self._send(self.forward.frame, self.forward.length)
        else:
            self._reply(self.params[P_REFUSED_REPLY], self.forward.frame, self.fault)

    def _record_verdict(self, now):
        judge = self.judge
        result = judge.result
        reason = result[R_REASON]
        self.reasons[reason] = (self.reasons[reason] + 1) & COUNT_MASK
        if self.gate.state == BLOCKING:
            self.events.repeat(VERDICT, now, reason)
            return
        blamed, limit, network = result[R_BLAMED], result[R_LIMIT], result[R_NETWORK]
        value = judge.exam.trial[blamed] if blamed >= 0 else 0
        extra = self.limits[limit * LIMIT_WORDS + L_NAME] if limit >= 0 else -1
        threshold = -1
        if network >= 0:
            extra = judge.scores[network]
            threshold = judge.thresholds[network]
        self.events.add(VERDICT, now, result[R_COMMAND], result[R_VERDICT], reason, blamed, value, extra, threshold)
        if not result[R_IS_RETRY] and self.gate.state == PASSING:
            self.suggestion.start()

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
            self._reply(self.params[P_REFUSED_REPLY], self.held, self.gate.reason)
            self.suggestion.stop()
        if actions & SAY_HELD:
            self._reply(self.params[P_HELD_REPLY], self.forward.frame, self.gate.reason)
        if actions & SAY_REFUSED:
            self._reply(self.params[P_REFUSED_REPLY], self.forward.frame, self.gate.answer)

    def _release_held(self, now):
        """Send the held frame, unless it has become one that nobody may release."""
        self.suggestion.stop()
        if self.judge.assess_held(self.held, self.held_length) == BLOCK:
            self._record_verdict(now)
            self.gate.block(self.judge.reason, now)
            self._reply(self.params[P_REFUSED_REPLY], self.held, self.judge.reason)
            return
        self._send(self.held, self.held_length)
        self.judge.accept_held(self.held, self.held_length, now)
        self.released = (self.released + 1) & COUNT_MASK

    @micropython.native
    def _send(self, frame, length):
        """Forward the very bytes that were judged; through an open relay, close it for this frame alone."""
        was_closed = self.relay.closed
        if not was_closed:
            self.relay.close()
            self.relay.settle()
        if self.gantry.send(frame, 0, length) != length:
            raise OSError("the gantry port took half a frame")
        if not was_closed:
            self.gantry.finish()
            self.relay.open()
            self.relay.settle()

    # ---- gantry to console

    @micropython.native
    def _from_gantry(self, now):
        count = self.gantry.take(self.backward.missing, now)
        if count < 0:
            self._overrun(self.backward, now)
        elif count:
            self.backward_at = now
            lost = count - self.console.queue(self.gantry.chunk, 0, count)
            self.replies_lost = (self.replies_lost + lost) & COUNT_MASK
            self._follow(count)
            if self.gantry.is_over:
                self.backward.expire()
        elif self.backward.count and not self.gantry.missing and elapsed(now, self.backward_at) >= self.params[P_GAP_MS]:
            self.backward.expire()
        if self.replies_length and not self.backward.count:
            self._flush_replies()

    @micropython.native
    def _follow(self, count):
        backward = self.backward
        at = backward.feed(self.gantry.chunk, 0, count)
        while backward.length:
            self.judge.follow(backward.frame, backward.length)
            at = backward.feed(self.gantry.chunk, at, count)

    def _reply(self, command, frame, reason):
        """Queue a reply to the console; it leaves between two frames of the gantry."""
        if command < 0:
            return
        if not self.answers_left:
            self.replies_lost = (self.replies_lost + 1) & COUNT_MASK
            return
        self.answers_left -= 1
        codec = self.judge.backward
        self.reply_values[self.params[P_REASON_SLOT]] = reason
        length = codec.write(command, self.judge.forward.sequence_of(frame), self.reply_values)
        if self.replies_length + length > REPLY_BYTES:
            self.replies_lost = (self.replies_lost + 1) & COUNT_MASK
            return
        move(self.replies, self.replies_length, codec.buffer, 0, length)
        self.replies_length += length
        if not self.backward.count:
            self._flush_replies()

    def _flush_replies(self):
        if self.console.has_room(self.replies_length):
            self.console.queue(self.replies, 0, self.replies_length)
            self.replies_length = 0

    # ---- health and state

    def _note_bad(self, now):
        state = self.forward.state
        if state[D_LAST_BAD]:
            self.events.repeat(BAD_FRAME, now, state[D_LAST_BAD])
            state[D_LAST_BAD] = NONE

    def _overrun(self, deframer, now):
        """Bytes were lost: whatever frame they belonged to is gone, and nothing of it may be used."""
        deframer.clear()
        self.reasons[OVERRUN] = (self.reasons[OVERRUN] + 1) & COUNT_MASK
        self.events.repeat(BAD_FRAME, now, OVERRUN)

    def _fail(self, now):
        self.fault = RELAY_FAULT
        if self.gate.state == HOLDING:
            self._reply(self.params[P_REFUSED_REPLY], self.held, RELAY_FAULT)
        self.suggestion.stop()
        self.gate.block(RELAY_FAULT, now)
        self._show(now)

    def _show(self, now):
        """The one place where a change of state moves the relay and the lamps."""
        state = FAULT if self.fault != NONE else self.gate.state
        if state != self.shown:
            self._enter(state, now)
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
        self.events.add(STATE, now, -1, PASS, reason, -1, 0, state, 0)
        if not self.relay.settle() and state != FAULT:
            self._fail(now)
