"""What happened, in a ring of plain integers: written from the hot path without heap, read by the maintenance port."""

from array import array

from interposer.core.compat import const, micropython

EVENT_WORDS = const(10)
EVENTS = const(64)
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
KINDS = ("boot", "verdict", "state", "bad_frame", "proposal")
FIELDS = ("number", "kind", "at_ms", "command", "verdict", "reason", "blamed", "value", "extra", "threshold")


class Events:
    """A ring of the last EVENTS events; `total` counts all since the start."""

    def __init__(self):
        self.words = array("i", bytes(4 * EVENT_WORDS * EVENTS))
        self.tally = array("i", bytes(4 * TALLY_WORDS))
        self.total = 0

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
        self.total = (self.total + 1) & 0x3FFFFFFF

    @micropython.native
    def repeat(self, kind, now, reason):
        """Record an event that may come in thousands: one after another of its kind and reason counts up `extra`."""
        at = self.tally[LAST_EVENT]
        words = self.words
        if self.total and words[at + EVENT_KIND] == kind and words[at + EVENT_REASON] == reason:
            words[at + EVENT_EXTRA] = (words[at + EVENT_EXTRA] + 1) & 0x3FFFFFFF
        else:
            self.add(kind, now, -1, 0, reason, -1, 0, 1, 0)

    def since(self, number):
        """Yield the kept events from `number` on, each as a list of EVENT_WORDS integers (allocates).

        Events that are overwritten while a slow reader takes the others are left out.
        """
        for index in range(max(number, self.total - EVENTS, 0), self.total):
            at = index % EVENTS * EVENT_WORDS
            if self.words[at] == index:
                yield list(self.words[at : at + EVENT_WORDS])
