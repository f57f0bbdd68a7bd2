"""The maintenance port: one line in, one JSON line out, over USB.

Requests: `status`, `events N` (those from number N on), `names` (the package's names, for the host to label numbers).
Answers leave in small pieces and only while the host takes them, so a host that stops reading never stops the guard.
Each is filled up with blanks to whole pieces of one USB packet: MicroPython calls the port ready when a single byte
fits, and then waits half a second for room for the rest.
"""

import json
import select
import sys

from interposer.core.compat import const
from interposer.polling import poller

LINE_BYTES = const(64)
PIECE_BYTES = const(64)
TURN_BYTES = const(8)  # read in one turn: a frame that comes meanwhile waits for them


class Maintenance:
    """Serves requests. `answers` maps a request's first word to a function of its argument (an int) that returns an object."""

    def __init__(self, answers):
        self.answers = answers
        self.line = bytearray(LINE_BYTES)
        self.count = 0
        self.output = b""
        self.sent = 0
        self.source = poller(sys.stdin)
        self.sink = select.poll()
        self.sink.register(sys.stdout, select.POLLOUT)

    def is_sending(self):
        """Whether an answer has not left yet."""
        return self.sent < len(self.output)

    def pending(self):
        """Whether there is something to read or to send; allocates nothing."""
        if self.is_sending():
            return True
        for _ in self.source.ipoll(0):
            return True
        return False

    def pump(self):
        """Read a few bytes, answer at most one request, or send at most one piece."""
        if self.is_sending():
            self._send()
            return
        for _ in range(TURN_BYTES):
            if not self.source.poll(0):
                return
            byte = sys.stdin.buffer.read(1)[0]
            if byte in b"\r\n":
                if self.count:
                    self._answer(bytes(self.line[: self.count]))
                self.count = 0
                return
            if self.count < LINE_BYTES:
                self.line[self.count] = byte
                self.count += 1

    def _send(self):
        if self.sink.poll(0):
            piece = self.output[self.sent : self.sent + PIECE_BYTES]
            sys.stdout.buffer.write(piece)
            self.sent += len(piece)

    def _answer(self, line):
        word, _, argument = line.partition(b" ")
        answer = self.answers.get(word.decode() if word.isalpha() else "")
        if answer is None:
            result = {"error": "unknown request"}
        elif argument and not argument.isdigit():
            result = {"error": "argument is not a number"}
        else:
            result = answer(int(argument or b"0"))
        text = json.dumps(result).encode()
        self.output = text + b" " * (-(len(text) + 1) % PIECE_BYTES) + b"\n"
        self.sent = 0
