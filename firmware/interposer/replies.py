"""The guard's own replies to the console, for what it holds or refuses; they leave between two frames of the gantry."""

from array import array

from interposer.core.compat import const, micropython
from interposer.core.link import COUNT_MASK, D_COUNT, move
from interposer.core.package import P_HELD_REPLY, P_REASON_SLOT, P_REFUSED_REPLY, P_VALUES
from interposer.service.events import UNANSWERED

REPLY_BYTES = const(256)
ANSWERS = const(4)  # between two calls of `allow`: a flood of commands must not become a flood of refusals


class Replies:
    """Frames that wait for their turn on the line to the console; nothing allocates after construction."""

    def __init__(self, params, judge, console, backward, tally):
        self.params = params
        self.forward = judge.forward
        self.codec = judge.backward
        self.console = console
        self.state = backward.state  # of the gantry's deframer: whether one of its frames is under way
        self.tally = tally
        self.values = array("i", bytes(4 * params[P_VALUES]))
        self.waiting = bytearray(REPLY_BYTES)
        self.length = 0
        self.left = ANSWERS

    def allow(self):
        """From now on there are ANSWERS more."""
        self.left = ANSWERS

    @micropython.native
    def refuse(self, frame, reason):
        """Tell the console that this frame is refused."""
        self._say(self.params[P_REFUSED_REPLY], frame, reason)

    @micropython.native
    def tell_held(self, frame, reason):
        """Tell the console that this frame is held."""
        self._say(self.params[P_HELD_REPLY], frame, reason)

    @micropython.native
    def _say(self, command, frame, reason):
        if command < 0:
            return
        if not self.left:
            self._count_unanswered()
            return
        self.left -= 1
        self.values[self.params[P_REASON_SLOT]] = reason
        length = self.codec.write(command, self.forward.sequence_of(frame), self.values)
        if self.length + length > REPLY_BYTES:
            self._count_unanswered()
            return
        move(self.waiting, self.length, self.codec.buffer, 0, length)
        self.length += length
        self.flush()

    def _count_unanswered(self):
        self.tally[UNANSWERED] = (self.tally[UNANSWERED] + 1) & COUNT_MASK

    @micropython.native
    def flush(self):
        """Send what waits, unless the gantry is in the middle of a frame or there is no room yet."""
        if not self.state[D_COUNT] and self.console.room() >= self.length:
            self.console.transmit(self.waiting, 0, self.length)
            self.length = 0
