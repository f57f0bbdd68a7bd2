"""Waiting for streams without heap."""

import io
import select


class _Ready(io.IOBase):
    """A stream that is always ready."""

    def ioctl(self, _request, flags):
        return flags


def poller(*streams):
    """A `select.poll` for input on the streams whose `ipoll` allocates nothing any more.

    MicroPython makes the tuple that `ipoll` yields at the first event, so one event is had here.
    """
    made = select.poll()
    first = _Ready()
    made.register(first, select.POLLIN)
    for _ in made.ipoll(0):
        pass
    made.unregister(first)
    for stream in streams:
        made.register(stream, select.POLLIN)
    return made
