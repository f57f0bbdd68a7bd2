"""What happened, in a ring of plain integers: written from the hot path without heap, read by the maintenance port and the log.

Boots, verdicts, states and updates go into the audit log as well (`logbook.py`): they are counted, and a verdict's frame is
kept beside it until then.
"""

from array import array

from interposer.core.compat import const, micropython
from interposer.core.link import move

EVENT_WORDS = const(11)
EVENTS = const(64)
MOST_FRAME_BYTES = const(3072)  # of all frames that are kept
EVENT_LOGGED = const(10)  # which one of those it is that go into the log, or -1
# Words of an event that native code needs.
EVENT_KIND = const(1)
EVENT_REASON = const(5)
EVENT_EXTRA = const(8)

# The tally: where the last event is, and how many refusals were not answered.
LAST_EVENT = const(0)
UNANSWERED = const(1)
TALLY_WORDS = const(2)

# Kinds.
BOOT = const(0)
VERDICT = const(1)  # a verdict other than PASS
STATE = const(2)  # the gate changed its state
BAD_FRAME = const(3)
PROPOSAL = const(4)  # a correction for the last verdict
UPDATE = const(5)  # a package: `reason` says why it was refused, `value` is its counter, `extra` the step
REFUSED = const(0)
INSTALLED = const(1)
CONFIRMED = const(2)
KINDS = ("boot", "verdict", "state", "bad_frame", "proposal", "update")
LOGGED = (True, True, True, False, False, True)
NOTHING = const(-1)
FIELDS = ("number", "kind", "at_ms", "command", "verdict", "reason", "blamed", "value", "extra", "threshold", "logged")


class Events:
    """A ring of the last EVENTS events; `total` counts all since the start, `logged` those for the log.

    `frame_bytes`: of the longest frame that a verdict may be about. Frames are kept of as many of the newest events as there is
    room for: of all where a frame has at most 48 bytes.
    """

    def __init__(self, frame_bytes=0):
        self.words = array("i", bytes(4 * EVENT_WORDS * (EVENTS + 1)))  # the last one is never one that could be counted up
        self.words[EVENTS * EVENT_WORDS + EVENT_KIND] = NOTHING
        self.tally = array("i", bytes(4 * TALLY_WORDS))
        self.total = 0
        self.logged = 0
        self.frame_bytes = frame_bytes
        self.frame_places = min(MOST_FRAME_BYTES // frame_bytes, EVENTS) if frame_bytes else 1
        self.frames = bytearray(frame_bytes * self.frame_places)
        self.lengths = array("i", bytes(4 * self.frame_places))
        self.owners = array("i", [-1] * self.frame_places)  # the event that each frame belongs to

    @micropython.native
    def add(self, kind, now, command, verdict, reason, blamed, value, extra, threshold):
        """Record one event. `extra` is a score, a limit's number or a gate state, by kind."""
        at = self.total % EVENTS * EVENT_WORDS
        words = self.words
        self.tally[LAST_EVENT] = at
        words[at] = self.total & 0x3FFFFFFF
        words[at + 1] = kind
        words[at + 2] = now
        words[at + 3] = command
        words[at + 4] = verdict
        words[at + 5] = reason
        words[at + 6] = blamed
        words[at + 7] = value
        words[at + 8] = extra
        words[at + 9] = threshold
        words[at + 10] = -1
        self.total = (self.total + 1) & 0x3FFFFFFF
        if LOGGED[kind]:
            words[at + 10] = self.logged
            self.logged = (self.logged + 1) & 0x3FFFFFFF

    @micropython.native
    def add_frame(self, frame, length):
        """Keep the frame that the last event is about."""
        number = (self.total - 1) & 0x3FFFFFFF
        place = number % self.frame_places
        move(self.frames, place * self.frame_bytes, frame, 0, length)
        self.lengths[place] = length
        self.owners[place] = number

    @micropython.native
    def repeat(self, kind, now, verdict, reason):
        """Record an event that may come in thousands: one after another of its kind and reason counts up `extra`.

        Returns whether it is a new one.
        """
        at = self.tally[LAST_EVENT]
        words = self.words
        if self.total and words[at + EVENT_KIND] == kind and words[at + EVENT_REASON] == reason:
            words[at + EVENT_EXTRA] = (words[at + EVENT_EXTRA] + 1) & 0x3FFFFFFF
            return False
        self.add(kind, now, -1, verdict, reason, -1, 0, 1, -1)
        return True

    def cut(self):
        """What comes next is a new event, whatever the last one was: that one has been written down."""
        self.tally[LAST_EVENT] = EVENTS * EVENT_WORDS

    def since(self, number):
        """Yield the kept events from `number` on, each as a list of EVENT_WORDS integers (allocates).

        Events that are overwritten while a slow reader takes the others are left out.
        """
        for index in range(max(number, self.total - EVENTS, 0), self.total):
            at = index % EVENTS * EVENT_WORDS
            if self.words[at] == index:
                yield list(self.words[at : at + EVENT_WORDS])

    def frame_of(self, number):
        """The bytes that event `number` is about; b"" where it is about none, or they are no longer kept."""
        place = number % self.frame_places
        at = place * self.frame_bytes
        return bytes(self.frames[at : at + self.lengths[place]]) if self.owners[place] == number else b""
