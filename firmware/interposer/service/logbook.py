"""Takes what has to be remembered from the ring of events into the audit log, at moments when nothing can come of it.

A flash erase takes some 45 ms, and whatever machine code alone cannot do waits for its end: see `is_at_rest`, and `step`,
between two of which the link has its turn. Until then events stay in their ring; what the ring could not keep is counted, and
so is what a reset has cut off (`hal/faults.py` keeps the number over it).
"""

import hashlib
import struct

from interposer.core import journal
from interposer.core.compat import const, elapsed, micropython
from interposer.core.gate import BLOCKING
from interposer.core.package import P_REST_SLOT, P_REST_VALUES
from interposer.places import W_IS_TOLD, W_TOLD_AT
from interposer.service.events import BOOT, EVENT_LOGGED

REST_MS = const(300)  # after the last frame of the console
TOLD_MS = const(3000)  # what the gantry has told of its state is believed for so long
SILENT_MS = const(60000)  # of a console, where nobody tells whether the gantry rests
AT_ONCE = const(16)  # records that are written in one turn
MOST_KEPT = const(0xFFFF)  # that can be remembered over a reset
TICKS_BITS = const(30)  # of the clock that dates events


class Logbook:
    """The log of one guard. `bridge` is None where no package could be loaded; `keep_count` outlives a reset.

    `cut_off`: how many records the run before had not written when it was reset.
    """

    def __init__(self, segments, events, bridge, loaded, keep_count, cut_off):
        self.segments = segments
        self.events = events
        self.bridge = bridge
        self.loaded = loaded
        self.keep_count = keep_count
        self.done = 0  # events that are written, about to be, or lost
        self.bodies = []  # of the records that are announced and will be written next
        self.lost = cut_off + segments.given - segments.last
        self.unannounced = cut_off  # of those that are lost, how many a reset would let nobody know of
        self.seen_ms = 0
        self.wraps = 0  # of the clock
        self.host_s = 0
        self.host_at_ms = 0
        segments.boots += 1

    @micropython.native
    def unwritten(self):
        """How many events and records wait."""
        return self.events.logged - self.done + len(self.bodies)

    @micropython.native
    def is_due(self, now):
        """Whether something has to be written and may be now; allocates nothing."""
        self._see(now)
        if not self.unwritten():
            return False
        self.note()
        return self.is_at_rest(now)

    @micropython.native
    def _see(self, now):
        """The clock is read: it begins anew every 12 days."""
        if now < self.seen_ms:
            self.wraps += 1
        self.seen_ms = now

    def note(self):
        """Let a reset find out how much it cuts off; allocates nothing."""
        self.keep_count(min(self.events.logged - self.done + self.unannounced, MOST_KEPT))

    def is_at_rest(self, now):
        """Whether a stop that came now would not matter: the console is quiet, and the gantry says that it rests.

        It has to have said so since the last command that might have changed it, and lately. Where it says nothing, a minute
        without a frame counts as rest; on a link that has no way to say it, so does a relay that is open.
        """
        bridge = self.bridge
        if bridge is None:
            return True
        if bridge.gate.fresh:  # somebody presses a key: not looked at for so long, it would have to be pressed anew
            return False
        quiet_ms = elapsed(now, bridge.forward_at)
        slot = bridge.params[P_REST_SLOT]
        if slot < 0:
            return quiet_ms >= SILENT_MS or (bridge.shown >= BLOCKING and quiet_ms >= REST_MS)
        told_ms = elapsed(now, bridge.watch[W_TOLD_AT])
        if told_ms >= TOLD_MS or not bridge.watch[W_IS_TOLD]:
            return quiet_ms >= SILENT_MS and told_ms >= SILENT_MS
        value = bridge.judge.exam.values[slot]
        return quiet_ms >= REST_MS and 0 <= value < 30 and bridge.params[P_REST_VALUES] >> value & 1 == 1

    def step(self):
        """Announce some of what waits, make room for it, or write it (allocates): at most three erases in a full log."""
        bodies = self.bodies
        try:
            if not bodies:
                self._announce()
            elif not self.segments.has_room(len(bodies)):
                self.segments.begin(int.from_bytes(bodies[0][:4], "little"))
            else:
                self.segments.append(bodies)
                self.lost = self.unannounced = 0
                self.bodies = []
        except OSError:
            self.bodies = []  # the next record says how many are missing; what the guard is for goes on
        self.note()

    def _announce(self):
        events = self.events
        rows = self._waiting()
        end = rows[-1][EVENT_LOGGED] + 1 if rows else events.logged
        lost = self.lost + (rows[0][EVENT_LOGGED] if rows else end) - self.done
        number = self.segments.given + 1
        bodies = []
        if lost:
            bodies.append(self._body(number, (0, journal.LOST, 0, -1, 0, 0, -1, 0, lost, 0), b""))
        for row in rows:
            bodies.append(self._body(number + len(bodies), row, events.frame_of(row[0])))
        self.lost = self.unannounced = lost + len(rows)
        self.done = end
        events.cut()
        self.segments.announce(number + len(bodies) - 1)
        self.unannounced = lost
        self.bodies = bodies

    def flush(self):
        """Write some of what waits, to the end."""
        self.step()
        while self.bodies:
            self.step()

    def flush_all(self):
        """Write everything: a reset that is wanted comes next."""
        while self.unwritten():
            self.flush()

    def _waiting(self):
        """The oldest events that are still there to be written."""
        rows = []
        for row in self.events.since(0):
            if row[EVENT_LOGGED] >= self.done:
                rows.append(row)
                if len(rows) == AT_ONCE:
                    return rows
        return rows

    def _body(self, number, row, frame):
        _, kind, at_ms, command, verdict, reason, blamed, value, extra, detail = row[:10]
        digest = hashlib.sha256(frame).digest() if frame else b""
        if kind == BOOT:
            package = self.loaded.package
            blamed, detail = self.loaded.refusal, self.loaded.reason
            value, extra, digest = (package.counter, package.mode, package.digest) if package else (0, -1, b"")
        return struct.pack(
            journal.BODY,
            number,
            self.segments.boots,
            self._since_start(at_ms) & 0xFFFFFFFF,
            self._host_s(at_ms),
            kind,
            verdict,
            reason,
            command,
            blamed,
            value,
            extra,
            detail,
            digest[: journal.DIGEST_BYTES],
        )

    def _host_s(self, at_ms):
        """The host's clock at a moment of this run; 0 where no host has told it."""
        return self.host_s + (self._since_start(at_ms) - self.host_at_ms) // 1000 if self.host_s else 0

    def _since_start(self, at_ms):
        """A moment on the clock as milliseconds since the start: what lies ahead of the clock was before it began anew."""
        wraps = self.wraps - 1 if at_ms > self.seen_ms and self.wraps else self.wraps
        return (wraps << TICKS_BITS) + at_ms

    def set_clock(self, now_s, now_ms):
        """A host has told the time, in seconds since 1970."""
        self._see(now_ms)
        self.host_s = now_s
        self.host_at_ms = self._since_start(now_ms)
        yield '{"time": ' + str(now_s) + "}"
