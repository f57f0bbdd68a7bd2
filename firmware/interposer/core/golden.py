"""Golden frames: a package proves on the device itself that it is judged as it was where it was built, to the bit.

Layout of a frame in the `golden` section: its length, the verdict and the reason that it has to get, the first bytes of the
SHA-256 over everything that the pipeline worked out about it, then its bytes, filled up to a word. Frames are judged in order,
each after every one before it that passed.
"""

import hashlib
import struct

from interposer.core.compat import const
from interposer.core.reasons import NONE, PACKAGE_UNPROVEN, PASS

FRAME = "<HBB4s"  # length verdict reason outcome
FRAME_BYTES = const(8)
STEP_MS = const(500)  # between two frames


def outcome(judge):
    """First four bytes of the SHA-256 of the result, the value vector and the networks' scores."""
    hashed = hashlib.sha256(judge.result)
    hashed.update(judge.exam.trial)
    hashed.update(judge.scores)
    return hashed.digest()[:4]


def judge_next(judge, frame, number):
    """(verdict, reason, outcome) of golden frame `number`, which becomes part of the exam where it passes."""
    now = number * STEP_MS
    judge.judge(frame, len(frame), now)
    found = (judge.verdict, judge.reason, outcome(judge))
    if judge.verdict == PASS:
        judge.accept(frame, len(frame), now)
    return found


def prove(package, judge, breathe):
    """NONE, or PACKAGE_UNPROVEN. Uses `judge` up; `breathe` is called after each frame."""
    section = memoryview(package.table("golden"))
    at = number = 0
    while at < len(section):
        if at + FRAME_BYTES > len(section):
            return PACKAGE_UNPROVEN
        length, verdict, reason, expected = struct.unpack(FRAME, section[at : at + FRAME_BYTES])
        at += FRAME_BYTES
        if not 0 < length <= min(len(section) - at, len(judge.forward.buffer)):
            return PACKAGE_UNPROVEN
        if judge_next(judge, bytes(section[at : at + length]), number) != (verdict, reason, expected):
            return PACKAGE_UNPROVEN
        at += (length + 3) & ~3
        number += 1
        breathe()
    return NONE if number else PACKAGE_UNPROVEN
