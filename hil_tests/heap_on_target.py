"""Runs on the device: an exam's passing commands, a reply before each, from deframer to acceptance with the heap locked."""

import gc

import micropython

from interposer.core.ahead import split
from interposer.core.link import Deframer
from interposer.core.network_thumb import layers
from interposer.core.package import Package
from interposer.core.quantities_thumb import evaluate
from interposer.core.reasons import PASS
from interposer.core.rows_program import arrange
from interposer.core.verdict import Judge
from interposer.hal import board_record


def test_nothing_allocates():
    package = Package(open("package.bin", "rb"), board_record.NAME)  # noqa: SIM115 - the package keeps its file
    ahead = split(package.table)
    arrange(package.table("rows"), package.table("curves"), package.table("commands"), ahead)
    with open("stream.bin", "rb") as file:
        stream = file.read()
    with open("reply.bin", "rb") as file:
        reply = file.read()
    judge = Judge(package, layers, evaluate, ahead)
    deframer = Deframer(judge.forward.framing)
    passed = 0
    gc.collect()
    before = gc.mem_alloc()
    micropython.heap_lock()
    at = deframer.feed(stream, 0, len(stream))
    while deframer.length:
        judge.follow(reply, len(reply))
        if judge.judge(deframer.frame, deframer.length, 0) == PASS:
            passed += 1
            judge.accept(deframer.frame, deframer.length, 0)
        at = deframer.feed(stream, at, len(stream))
    micropython.heap_unlock()
    assert gc.mem_alloc() - before <= 0
    assert passed == FRAMES, (passed, judge.reason)  # noqa: F821 - filled in by the test that sends this file
