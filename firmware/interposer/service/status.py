"""Answers of the maintenance port: what the guard is, what it has seen and what it is doing, as plain numbers.

Numbers, not words: the host has the same enumerations (`core/reasons.py`) and the package's own names. Each answer is a
generator of JSON text in pieces: whatever is made at once keeps the guard from its frames meanwhile.
"""

import json
import sys
import time

from interposer.core.compat import const
from interposer.service.events import FIELDS, KINDS, UNANSWERED

PROTOCOL = 4
ROWS = const(4)  # events made at once
PIECE_CHARS = const(384)  # of names made at once
FIRMWARE = "0.1.0"


class Status:
    """Builds the answers. `bridge` is None where no package could be loaded; `loaded` says why."""

    def __init__(self, bridge, loaded, death, crash):
        self.bridge = bridge
        self.loaded = loaded
        self.death = death
        self.crash = crash

    def answers(self):
        """Request word to function, for the maintenance port."""
        return {"status": self.status, "events": self.events, "names": self.names}

    def status(self, _):
        """The whole state as one object."""
        answer = {
            "protocol": PROTOCOL,
            "firmware": FIRMWARE,
            "micropython": ".".join(str(part) for part in sys.implementation.version[:3]),
            "uptime_ms": time.ticks_ms(),
            "last_reset": self.death,
            "crash": self.crash,
            "reason": self.loaded.reason,
            "state": 3,
            "root_version": self.loaded.root_version,
            "refusal": self.loaded.refusal,
            "on_trial": self.loaded.is_trial,
        }
        if self.bridge:
            answer.update(self._running())
        yield json.dumps(answer)

    def _running(self):
        bridge = self.bridge
        reasons = bridge.reasons
        package = bridge.package
        return {
            "state": bridge.shown,
            "reason": bridge.fault or bridge.gate.reason,
            "mode": package.mode,
            "package": package.name,
            "package_counter": package.counter,
            "package_issued": package.issued,
            "package_digest": package.digest.hex(),
            "relay_closed": bridge.relay.closed,
            "relay_agrees": bridge.relay.agrees(),
            "verdicts": list(bridge.verdicts),
            "released": bridge.released,
            "replies_lost": bridge.events.tally[UNANSWERED],
            "reasons": {code: reasons[code] for code in range(len(reasons)) if reasons[code]},
            "bad_frames": bridge.forward.bad(),
            "gantry_bad_frames": sum(bridge.backward.bad().values()),
            "events": bridge.events.total,
            "proposal": self._proposal(),
        }

    def _proposal(self):
        found = self.bridge.suggestion
        return [found.slot, found.value] if found.found else None

    def events(self, number):
        """Events from `number` on, oldest first, with the names of their columns."""
        yield '{"columns": ' + json.dumps(FIELDS) + ', "kinds": ' + json.dumps(KINDS) + ', "rows": ['
        comma = ""
        rows = []
        for row in self.bridge.events.since(number) if self.bridge else ():
            rows.append(row)
            if len(rows) == ROWS:
                yield comma + json.dumps(rows)[1:-1]
                comma = ","
                rows = []
        yield (comma + json.dumps(rows)[1:-1] if rows else "") + "]}"

    def names(self, _):
        """The package's names section, as a list of texts that together are it."""
        yield "["
        comma = ""
        text = ""
        for line in self.bridge.package.name_lines() if self.bridge else ():
            if len(text) + len(line) > PIECE_CHARS:
                yield comma + json.dumps(text)
                comma = ","
                text = ""
            text += line.decode()
        yield comma + json.dumps(text) + "]"
