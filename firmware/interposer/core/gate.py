"""What happens to a frame after its verdict: one flat state machine around holds, blocks, keys and time-outs.

Pure: it is told frames, keys and the time, and answers with actions that `bridge.py` carries out. Only a fresh OVERRIDE (an
edge after the hold began, kept down for the key hold time) releases a held frame, and only once. A key is taken as down until
it is seen up in the present state, so that a stuck or an early press does nothing.
"""

from interposer.core.codec import ALWAYS_PASSES, PASSES_WHILE_HELD
from interposer.core.compat import const, elapsed, micropython
from interposer.core.package import P_HOLD_MS, P_KEY_HOLD_MS, P_MOMENTARY_MS, POLICY_MOMENTARY, POLICY_REFUSE
from interposer.core.reasons import (
    ACKNOWLEDGED,
    BLOCK,
    BLOCKED,
    CANCELLED,
    HOLD_PENDING,
    HOLD_TIMEOUT,
    NONE,
    OVERRIDDEN,
    PASS,
    STOPPED,
)

# States.
PASSING = const(0)
HOLDING = const(1)
BLOCKING = const(2)

# Actions, one bit each.
SEND = const(1)  # forward the frame just judged
KEEP = const(2)  # keep a copy of it as the held frame
SAY_HELD = const(4)  # tell the console that its command is held
SAY_REFUSED = const(8)  # tell the console that the frame just judged is refused, with `reason`
SEND_HELD = const(16)  # forward the held frame
REFUSE_HELD = const(32)  # tell the console that the held frame is refused, with `reason`

OVERRIDE_DOWN = const(1)
CANCEL_DOWN = const(2)
UNKNOWN = const(4)  # nobody looked for a while: nothing may be concluded from what comes next


class Gate:
    """State of the gate: `reason` explains the last change of state, `answer` the last refusal."""

    def __init__(self, params):
        self.params = params
        self.state = PASSING
        self.reason = NONE
        self.since = 0
        self.momentary = False
        self.keys = OVERRIDE_DOWN | CANCEL_DOWN
        self.fresh = 0
        self.pressed_at = 0
        self.answer = NONE

    def _enter(self, state, reason, now):
        self.state = state
        self.reason = reason
        self.since = now
        self.keys = OVERRIDE_DOWN | CANCEL_DOWN  # whatever was pressed before counts for nothing
        self.fresh = 0
        self.momentary = False

    def block(self, reason, now):
        """Block for a reason that lies outside any frame, until acknowledged."""
        self._enter(BLOCKING, reason, now)

    @micropython.native
    def offer(self, judge, is_held_frame, now):
        """Actions for the frame that the judge has just judged; `is_held_frame`: it is the held one, sent again."""
        if judge.flags & ALWAYS_PASSES and judge.verdict == PASS:
            return self._pass_stop(now)
        if self.state == BLOCKING:
            return self._refuse(judge.reason or BLOCKED)
        if judge.verdict == BLOCK:
            return self._block(judge, now)
        if self.state == HOLDING:
            return self._offer_while_held(judge, is_held_frame)
        if judge.verdict == PASS:
            return SEND
        if judge.is_retry:
            return self._refuse(self.reason)
        self._enter(HOLDING, judge.reason, now)
        return KEEP | SAY_HELD

    def _pass_stop(self, now):
        if self.state == HOLDING:
            self._enter(PASSING, STOPPED, now)
            return SEND | REFUSE_HELD
        return SEND

    @micropython.native
    def _refuse(self, reason):
        self.answer = reason
        return SAY_REFUSED

    @micropython.native
    def _offer_while_held(self, judge, is_held_frame):
        if judge.verdict == PASS and judge.flags & PASSES_WHILE_HELD:
            return SEND
        if is_held_frame:
            return SAY_HELD
        return self._refuse(HOLD_PENDING)

    def _block(self, judge, now):
        dropped = REFUSE_HELD if self.state == HOLDING and judge.policy != POLICY_REFUSE else 0
        if judge.policy == POLICY_REFUSE:
            return self._refuse(judge.reason)
        self._enter(BLOCKING, judge.reason, now)
        self.momentary = judge.policy == POLICY_MOMENTARY
        return self._refuse(judge.reason) | dropped

    @micropython.native
    def tick(self, keys, now):
        """Actions due to the keys' debounced levels (OVERRIDE_DOWN, CANCEL_DOWN, or UNKNOWN) and to time."""
        if keys & UNKNOWN:
            self.fresh = 0
            keys = self.keys = OVERRIDE_DOWN | CANCEL_DOWN
        edges = keys & ~self.keys
        self.keys = keys
        if edges:
            self.fresh = edges if edges & CANCEL_DOWN else self.fresh | edges
            self.pressed_at = now
        self.fresh &= keys
        if self.state == PASSING:
            self.fresh = 0
            return 0
        pressed = self.fresh if elapsed(now, self.pressed_at) >= self.params[P_KEY_HOLD_MS] else 0
        if self.state == HOLDING:
            return self._tick_hold(keys, pressed, now)
        waited = self.momentary and elapsed(now, self.since) >= self.params[P_MOMENTARY_MS]
        if waited or pressed & CANCEL_DOWN:
            self._enter(PASSING, ACKNOWLEDGED, now)
        return 0

    def _tick_hold(self, keys, pressed, now):
        if pressed & CANCEL_DOWN:
            self._enter(PASSING, CANCELLED, now)
            return REFUSE_HELD
        if elapsed(now, self.since) >= self.params[P_HOLD_MS]:
            self._enter(BLOCKING, HOLD_TIMEOUT, now)
            return REFUSE_HELD
        if pressed & OVERRIDE_DOWN and not keys & CANCEL_DOWN:
            self._enter(PASSING, OVERRIDDEN, now)
            return SEND_HELD
        return 0
