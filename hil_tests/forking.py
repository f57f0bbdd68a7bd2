"""Runs a piece of work in a forked copy of this process, with everything that has been booted so far."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

import pytest

DONE = b"done"


def in_fork(work: Callable[[], object]) -> str:
    """Run `work` in a child; "" if it came to its end, else the traceback of what it raised."""
    sys.stdout.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _work_and_leave(work, writer)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as pipe:
            said = pipe.read()
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(child, 0)
    if said == DONE:
        return ""
    return said.decode(errors="replace") or f"the forked test died without a word (status {status})"


def _work_and_leave(work: Callable[[], object], writer: int) -> None:
    """Never returns: the child must not go on as a second test runner."""
    said = b"the forked test never ended"
    try:
        work()
        said = DONE
    except BaseException:
        said = str(pytest.ExceptionInfo.from_current().getrepr(style="short")).encode()
    finally:
        sys.stdout.flush()
        os.write(writer, said[:60_000])
        os._exit(0)
