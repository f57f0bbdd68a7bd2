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
    "bridge.Bridge": "idle_ms is_quiet step wait _near _carry _way _frame _offer _strobe _tend _record_verdict _carry_out "
    "_send _give_up _show _enter",
    "replies.Replies": "refuse tell_held _say flush allow",
    "core.verdict.Judge": "hear assess accept",
    "core.gate.Gate": "offer tick",
    "core.suggestion.Suggestion": "start step",
    "hal.panel.Keys": "read",
    "hal.panel.Lamp": "show",
    "hal.ports.Port": "room is_behind transmit finish",
    "hal.relay.Relay": "agrees settle",
    "service.events.Events": "add add_frame",
    "service.logbook.Logbook": "is_due step",
    "service.maintenance.Maintenance": "pending pump",
    "service.status.Status": "_running",
}
CALLBACKS = [f"{place}.{name}" for place, names in METHODS.items() for name in names.split()]
# What else may be raised, in the judging of a frame.
JUDGING = "core.gate.Gate.offer"
KINDS = {
    "ZeroDivisionError": "1 // 0",
    "MemoryError": "bytearray(100)",
    "SystemExit": "raise SystemExit",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "RuntimeError": "deeper()",
}
HANG = "while True: sleep_ms(100)"  # asleep, so that the emulator need not count out the watchdog's time
# The one fault is planted when it has been chosen: a guard whose every callback was wrapped would not fit into memory.
HEAD = """
import sys
import micropython
from time import sleep_ms
from machine import Pin
from interposer.hal import board_record
from interposer.bridge import Bridge
from interposer.places import NOTHING
strobe = Pin(board_record.STROBE, Pin.OUT)
plan = [False, None]
def deeper():
    deeper()
right_carry = Bridge._carry
def arming(self, now, near, resting):
    now = right_carry(self, now, near, resting)
    number = self.forward.frame[3]
    if not plan[0] and self.found != NOTHING and number < len(PLANS):
        plan[0] = True
        micropython.heap_unlock()
        module, owner, name, plant, plan[1] = PLANS[number]
        plant(getattr(sys.modules["interposer." + module], owner), name)
        micropython.heap_lock()
    return now
Bridge._carry = arming
"""
WRAPPER = """
def plant_{arity}(owner, name):
    def wrong({parameters}):
        strobe(1)
        plan[1]()
    setattr(owner, name, wrong)
"""
FAULT = """
def {name}():
    {fault}
"""
PLAN = "({module!r}, {owner!r}, {name!r}, plant_{arity}, {fault}),\n"


def parameters_of(callback: str) -> str:
    """The parameters of a method of the firmware, from its source."""
    module, owner, name = callback.rsplit(".", 2)
    tree = ast.parse((paths.FIRMWARE / "interposer" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner]
    (method,) = [node for node in classes[0].body if isinstance(node, ast.FunctionDef) and node.name == name]
    return ", ".join(argument.arg for argument in method.args.args)


def patch() -> str:
    """The module: every callback, then every kind, then the hang. The number to fail is the sequence number of a frame."""
    names = {"raise ValueError": "fault", **{fault: f"fault_{kind}" for kind, fault in KINDS.items()}, HANG: "fault_hang"}
    faults = [(callback, "raise ValueError") for callback in CALLBACKS]
    faults += [(JUDGING, fault) for fault in (*KINDS.values(), HANG)]
    text = HEAD + "".join(FAULT.format(name=name, fault=fault) for fault, name in names.items())
    arities = {callback: len(parameters_of(callback).split(", ")) for callback, _ in faults}
    for arity in sorted(set(arities.values())):
        text += WRAPPER.format(arity=arity, parameters=", ".join(f"a{number}" for number in range(arity)))
    text += "PLANS = (\n"
    for callback, fault in faults:
        module, owner, name = callback.rsplit(".", 2)
        text += PLAN.format(module=module, owner=owner, name=name, arity=arities[callback], fault=names[fault])
    return text + ")\n"


NO_FAULT = 200  # a sequence number that chooses none


def provoke(guard: Guard, number: int) -> None:
    """Begin to send what reaches every callback: a pass, time to write the log, a hold by a network and its proposal, a
    request, a frame that breaks off, a stop that ends the hold, a block with its reply."""
    pico = guard.pico
    guard.sequence = number - 1
    pico.console_in.send(guard.frame("keep_alive"))  # the first frame may have any number: this one chooses the fault
    rest = (
        guard.frame("exam_context", cases.ADULT),
        guard.frame("scan_parameters", cases.abdomen(**cases.SLOW).parameters),
        guard.frame("keep_alive")[:-2],
        guard.frame("stop"),
        guard.frame("keep_alive", step=100),
    )
    for at_ms, frame in zip((620, 640, 790, 850, 880), rest, strict=True):
        pico.clock.call_at(pico.now_ns + at_ms * MS, partial(pico.console_in.send, frame))
    pico.clock.call_at(pico.now_ns + 5 * MS, partial(pico.gantry_in.send, guard.profile.encode("status", 1, {})))
    pico.clock.call_at(pico.now_ns + 670 * MS, lambda: pico.maintenance.send(b"status\n"))
