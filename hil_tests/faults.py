"""Faults planted in every callback of the firmware: a module for the device, and what makes each of them happen.

Nothing here may allocate on the device: the loop runs with the heap locked. Each fault raises the strobe at its moment.
"""

from __future__ import annotations

import ast
from functools import partial

from guard import Guard

from gantryguard import paths
from gantryguard.rig import cases
from gantryguard.rig.clock import MS

# Everything that the loop calls, by module, class and method.
METHODS = {
    "bridge.Bridge": "idle_ms pause_us step _tend _from_console _feed_forward _frame _record_verdict _carry_out _send "
    "_from_gantry _follow _reply _flush_replies _note_bad _show _enter",
    "core.verdict.Judge": "judge assess accept follow",
    "core.gate.Gate": "offer tick",
    "core.link.Deframer": "feed",
    "core.suggestion.Suggestion": "start step",
    "hal.panel.Keys": "read",
    "hal.panel.Lamp": "show",
    "hal.ports.Port": "take send",
    "hal.relay.Relay": "agrees settle",
    "service.events.Events": "add",
    "service.maintenance.Maintenance": "pending pump",
    "service.status.Status": "status",
}
CALLBACKS = [f"{place}.{name}" for place, names in METHODS.items() for name in names.split()]
# What else may be raised, in the judging of a frame.
JUDGING = "core.verdict.Judge.judge"
KINDS = {
    "ZeroDivisionError": "1 // 0",
    "MemoryError": "bytearray(100)",
    "SystemExit": "raise SystemExit",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "RuntimeError": "deeper()",
}
HANG = "while True: sleep_ms(100)"  # asleep, so that the emulator need not count out the watchdog's time
HEAD = """
from time import sleep_ms
from machine import Pin
from interposer.hal import board_record
strobe = Pin(board_record.STROBE, Pin.OUT)
armed = [-1]
def deeper():
    deeper()
from interposer.bridge import Bridge
right_frame = Bridge._frame
def arming(self, now):
    if armed[0] < 0:
        armed[0] = self.forward.frame[3]
    right_frame(self, now)
Bridge._frame = arming
"""
PLANT = """
from interposer.{module} import {owner}
right_{number} = {owner}.{name}
def wrong_{number}({parameters}):
    if armed[0] == {number}:
        strobe(1)
        {fault}
    return right_{number}({parameters})
{owner}.{name} = wrong_{number}
"""


def parameters_of(callback: str) -> str:
    """The parameters of a method of the firmware, from its source."""
    module, owner, name = callback.rsplit(".", 2)
    tree = ast.parse((paths.FIRMWARE / "interposer" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner]
    (method,) = [node for node in classes[0].body if isinstance(node, ast.FunctionDef) and node.name == name]
    return ", ".join(argument.arg for argument in method.args.args)


def patch() -> str:
    """The module: every callback, then every kind, then the hang. The number to fail is the sequence number of a frame."""
    faults = [(callback, "raise ValueError") for callback in CALLBACKS]
    faults += [(JUDGING, fault) for fault in (*KINDS.values(), HANG)]
    text = HEAD
    for number, (callback, fault) in enumerate(faults):
        module, owner, name = callback.rsplit(".", 2)
        parameters = parameters_of(callback)
        text += PLANT.format(number=number, module=module, owner=owner, name=name, parameters=parameters, fault=fault)
    return text


def provoke(guard: Guard, number: int) -> None:
    """Begin to send what reaches every callback: passes, a hold with its proposal, a block with its reply, a request."""
    pico = guard.pico
    held = cases.abdomen(kvp=140, ma=560, rotation_s=0.8, pitch=0.8, scan_length_mm=460).parameters
    guard.sequence = number - 1
    pico.console_in.send(guard.frame("keep_alive"))  # the first frame may have any number: this one chooses the fault
    rest = (
        guard.frame("exam_context", cases.VERY_OBESE),
        guard.frame("scan_parameters", held),
        guard.frame("keep_alive", step=100),
    )
    for at_ms, frame in zip((20, 40, 110), rest, strict=True):
        pico.clock.call_at(pico.now_ns + at_ms * MS, partial(pico.console_in.send, frame))
    pico.clock.call_at(pico.now_ns + 5 * MS, partial(pico.gantry_in.send, guard.profile.encode("status", 1, {})))
    pico.clock.call_at(pico.now_ns + 70 * MS, lambda: pico.maintenance.send(b"status\n"))
