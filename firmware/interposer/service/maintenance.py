"""The maintenance port: one line in, one JSON line out, over USB.

Requests: `status`, `events N` (those from number N on), `names` (the package's names, for the host to label numbers),
`update ...`. Answers are made and leave in small pieces, and only while the host takes them: neither a long answer nor a
host that stops reading may stop the guard. Each piece is filled up with blanks to whole USB packets: MicroPython calls the port
ready when a single byte fits, and then waits half a second for room for the rest.
"""

import select
import sys

from interposer.core.compat import const
from interposer.polling import poller

LINE_BYTES = const(64)
PACKET_BYTES = const(64)
TURN_BYTES = const(8)  # read in one turn: a frame that comes meanwhile waits for them


def _only(text):
    """An answer of one piece."""
    yield text


class Maintenance:
    """Serves requests. `answers` maps a request's first word to a function of its argument (an int) that yields the answer:
    pieces of text, divided where JSON allows blanks. `open_update` makes the session that answers `update` requests and takes
    the bytes of a package (`interposer/updating.py`).
    """

    def __init__(self, answers, open_update):
        self.answers = answers
        self.open_update = open_update
        self.update = None
        self.line = bytearray(LINE_BYTES)
        self.count = 0
        self.pieces = _only("")
        self.text = ""
        self.is_answering = False
        self.output = b""
        self.sent = 0
        self.source = poller(sys.stdin)
        self.sink = select.poll()
        self.sink.register(sys.stdout, select.POLLOUT)

    def is_sending(self):
        """Whether an answer has not left yet."""
        return self.is_answering or self.sent < len(self.output)

    def pending(self):
        """Whether there is something to read or to send; allocates nothing."""
        if self.is_sending() or (self.update is not None and self.update.is_due()):
            return True
        for _ in self.source.ipoll(0):
            return True
        return False

    def pump(self):
        """Read a few bytes, begin at most one answer, make one piece of it, or send one packet of that."""
        if self.sent < len(self.output):
            self._send()
            return
        if self.is_answering:
            self._make()
            return
        if self.update is not None:
            if self.update.is_due():
                self.update.tick()
                return
            if self.update.wants_data():
                self._take_data()
                return
        for _ in range(TURN_BYTES if self.update is None else LINE_BYTES):
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

    def _take_data(self):
        if self.source.poll(0):
            text = self.update.read() if self.update else None
            if text is not None:
                self._begin(_only(text))

    def _begin(self, pieces):
        self.pieces = pieces
        self.text = next(pieces, "")
        self.is_answering = self.text != ""  # bytes of a package are answered when they have come

    def _send(self):
        if self.sink.poll(0):
            packet = self.output[self.sent : self.sent + PACKET_BYTES]
            sys.stdout.buffer.write(packet)
            self.sent += len(packet)
            if self.update is not None and not self.is_sending():
                self.update.answered()

    def _make(self):
        output = self.text.encode()
        self.text = next(self.pieces, "")
        end = b" "
        if not self.text:
            self.is_answering = False
            end = b"\n"
        self.output = output + b" " * (-(len(output) + 1) % PACKET_BYTES) + end
        self.sent = 0

    def _answer(self, line):
        word, _, argument = line.partition(b" ")
        if word == b"update":
            if self.update is None:
                self.update = self.open_update()
            self._begin(self.update.answer(argument.split()))
            return
        answer = self.answers.get(word.decode() if word.isalpha() else "")
        if answer is None:
            self._begin(_only('{"error": "unknown request"}'))
        elif argument and not argument.isdigit():
            self._begin(_only('{"error": "argument is not a number"}'))
        else:
            self._begin(answer(int(argument or b"0")))
