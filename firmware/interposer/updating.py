"""An update over the maintenance port: receives a package into the spare slot, verifies it, has it tried and confirmed.

While one is under way the link is in its safe mode: relay open, a stop alone passes. One step at a time, so that frames have
their turn in between. Loaded when the first update begins and for good: the next reset drops it. Steps, each `update WORD`:
  begin BYTES DIGEST       what will come (DIGEST: the first eight digits of the package's own); again after a broken cable
  data AT COUNT CHECK      then COUNT bytes, filled up to whole packets; CHECK is their CRC-32
  end                      verify what came
  install                  try it at the next start, which comes at once
  confirm DIGEST           the package on trial is good
  abort                    give it up
"""

import gc
import json
import time

import machine

from interposer.core.compat import const, elapsed
from interposer.core.package import Package
from interposer.core.reasons import (
    NONE,
    PACKAGE_CORRUPT,
    PACKAGE_TOO_LONG,
    PASS,
    UPDATE_ABORTED,
    UPDATE_BUSY,
    UPDATE_ORDER,
    UPDATE_SILENT,
    UPDATE_TOO_MUCH,
    UPDATING,
)
from interposer.core.trust import Trust
from interposer.hal import board_record as board
from interposer.hal.arrival import Arrival
from interposer.hal.faults import expect_reset
from interposer.hal.slots import MOST_BYTES, Slots
from interposer.service.events import CONFIRMED, INSTALLED, REFUSED, UPDATE

SILENCE_MS = const(30000)  # after which a host is given up, and a package on trial
LEAVING_MS = const(4)  # for the last answer to leave
BREATH_MS = const(40)  # between two turns of the frames while a signature is verified

IDLE = const(0)
RECEIVING = const(1)
VERIFIED = const(2)
TRIAL = const(3)
LEAVING = const(4)
STATES = ("idle", "receiving", "verified", "trial", "leaving")


class Updating:
    """One update. `bridge` is None where nothing could be loaded; `loaded` says what is on trial; `room`: see `Arrival`."""

    def __init__(self, bridge, loaded, watchdog, room, logbook):
        self.bridge = bridge
        self.loaded = loaded
        self.watchdog = watchdog
        self.state = TRIAL if loaded.is_trial else IDLE
        self.touched = time.ticks_ms()
        self.room = room
        self.logbook = logbook
        self.arrival = None
        self.digest = ""
        self.counter = 0

    # ---- asked by the maintenance port

    def answer(self, words):
        """The answer to one request, in pieces."""
        self.touched = time.ticks_ms()
        step = words[0].decode() if words else ""
        try:
            reason = self._carry_out(step, words[1:])
        except (TypeError, ValueError):  # too few words, too many, or no number
            reason = UPDATE_ORDER
        if reason is not None:
            yield self._report(reason)

    def _carry_out(self, step, words):
        if step == "begin":
            return self._start(*words)
        if step == "data":
            return self._data(*words)
        if step == "end":
            return self._end(*words)
        if step == "install":
            return self._install(*words)
        if step == "confirm":
            return self._confirm(*words)
        if step == "abort":
            return self._abort(*words)
        return UPDATE_ORDER if step else NONE

    def _report(self, reason):
        at = self.arrival.at if self.arrival else 0
        return json.dumps({"update": STATES[self.state], "at": at, "error": reason, "counter": self.counter})

    def wants_data(self):
        """Whether what comes next is no request but bytes of the package."""
        return self.arrival is not None and self.arrival.left > 0

    def is_due(self):
        """Whether `tick` has something to do; allocates nothing."""
        return self.state != IDLE and elapsed(time.ticks_ms(), self.touched) > SILENCE_MS

    def tick(self):
        """The host has been silent for too long."""
        if self.state >= TRIAL:
            self._restart()
        self._give_up(UPDATE_SILENT)

    def answered(self):
        """The last answer has been handed over."""
        if self.state == LEAVING:
            time.sleep_ms(LEAVING_MS)
            self._restart()

    def _restart(self):
        self.logbook.flush_all()
        expect_reset()
        machine.reset()

    # ---- steps

    def _start(self, length, digest):
        length, digest = int(length), digest.decode()
        arrival = self.arrival
        if arrival and (length, digest) == (arrival.length, arrival.digest):
            arrival.left = 0
            return NONE  # goes on where the cable broke
        if self.state >= TRIAL or (self.state == IDLE and self.bridge and not self.bridge.may_rest()):
            return UPDATE_BUSY
        if not 0 < length <= MOST_BYTES:
            return PACKAGE_TOO_LONG
        self._close()
        if self.bridge:
            self.bridge.enter_safe_mode(UPDATING, time.ticks_ms())
        self.digest = digest
        self.arrival = Arrival(Slots().open_spare(), length, digest, self.room)
        self.state = RECEIVING
        return NONE

    def _data(self, at, count, check):
        if not self.arrival:
            return UPDATE_ORDER
        reason = self.arrival.expect(int(at), int(count), int(check))
        if reason == UPDATE_TOO_MUCH:
            self._give_up(reason)
        return None if reason == NONE else reason  # answered when the bytes have come

    def read(self):
        """Some packets of the piece that is coming; the answer where it is complete, else None."""
        self.touched = time.ticks_ms()
        reason = self.arrival.read() if self.arrival else UPDATE_ORDER
        return None if reason is None else self._report(reason)

    def _end(self):
        if not self.arrival or self.arrival.at != self.arrival.length:
            return UPDATE_ORDER
        self._close()
        gc.collect()
        reason = self._verify()
        self.touched = time.ticks_ms()
        if reason == NONE:
            self.state = VERIFIED
        else:
            self._give_up(reason)
        return reason

    def _verify(self):
        slots = Slots()
        least = slots.counter
        if self.bridge:
            least = max(least, self.bridge.package.counter)
        trust = Trust(slots.root(), least + 1, self._breathe)
        with slots.open(1 - slots.active) as file:
            package = Package(file, board.NAME, trust, False)
        if package.reason == NONE and package.digest.hex()[: len(self.digest)] != self.digest:
            return PACKAGE_CORRUPT
        self.counter = package.counter
        return package.reason

    def _breathe(self):
        """Frames have their turn while something takes long."""
        self.watchdog.feed()
        if self.bridge and elapsed(time.ticks_ms(), self.bridge.tended_at) >= BREATH_MS:
            self.bridge.step(time.ticks_ms())

    def _install(self):
        if self.state != VERIFIED:
            return UPDATE_ORDER
        Slots().install()
        self._log(NONE, INSTALLED)
        self.state = LEAVING
        return NONE

    def _confirm(self, digest):
        if self.state != TRIAL or not self.loaded.package.digest.hex().startswith(digest.decode()) or len(digest) < 8:
            return UPDATE_ORDER
        package = self.loaded.package
        Slots().confirm(package.counter, self.loaded.record)
        self.loaded.is_trial = False
        self.counter = package.counter
        self.state = IDLE
        self._log(NONE, CONFIRMED)
        self.bridge.leave_safe_mode(time.ticks_ms())
        return NONE

    def _abort(self):
        if self.state == TRIAL:
            self.state = LEAVING  # a start that finds a trial goes back
        elif self.state in (RECEIVING, VERIFIED):
            self._give_up(UPDATE_ABORTED)
        return NONE

    def _give_up(self, reason):
        self._close()
        self.state = IDLE
        Slots().refuse(reason)
        self._log(reason, REFUSED)
        self.loaded.refusal = reason
        if self.bridge and self.bridge.fault == UPDATING:
            self.bridge.leave_safe_mode(time.ticks_ms())

    def _log(self, reason, step):
        self.logbook.events.add(UPDATE, time.ticks_ms(), -1, PASS, reason, -1, self.counter, step, 0)

    def _close(self):
        if self.arrival:
            self.arrival.close()
        self.arrival = None
