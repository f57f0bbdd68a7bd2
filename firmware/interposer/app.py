"""The guard itself: wires the decision core to ports, relay, lamps, keys and the maintenance port, and runs the loop.

The loop runs with the heap locked; only the maintenance port's turn and the writing of the log unlock it. So an allocation on
the way of a frame cannot go unnoticed: it would raise, and every exception ends with the relay open and a reset.
"""

import gc
import sys
import time

import archive
import machine
import micropython
from machine import WDT

from interposer import loading
from interposer.bridge import FOR_EVER, Bridge
from interposer.core.compat import const
from interposer.core.link import F_CUT_THROUGH
from interposer.core.package import P_BAUD
from interposer.core.reasons import NONE, ON_TRIAL, PASS
from interposer.hal import board_record as board
from interposer.hal.arrival import PIECE_BYTES
from interposer.hal.faults import expect_reset, keep_count, kept_count, last_death, remember_crash
from interposer.hal.panel import FAST, OFF, Keys, Lamp
from interposer.hal.ports import Rings, open_ports
from interposer.hal.relay import Relay
from interposer.hal.rest import rest
from interposer.polling import poller
from interposer.service.events import BOOT, Events
from interposer.service.maintenance import Maintenance
from interposer.service.status import Status

WATCHDOG_MS = const(2000)
IDLE_MS = const(50)
TIMED_US = const(250)  # shorter pauses are spent awake
US_PER_MS = const(1000)
BRIDGE_BYTES = const(4096)  # kept free of code while that is loaded: a bridge has an array of 3 kB
SENDING_US = const(300)  # between two looks whether the host has taken a packet
UPDATING_US = const(2000)  # or sent one


def main():
    """Run for ever; every way out leaves the relay open."""
    relay = Relay()
    try:
        _run(relay)
    except BaseException as error:
        relay.open()
        micropython.heap_unlock()
        remember_crash(error)
        raise


def _run(relay):
    red = Lamp(board.LAMP_RED)
    green = Lamp(board.LAMP_GREEN)
    red.pattern = FAST
    red.show(1 << 7)
    death, crash = last_death()
    watchdog = WDT(timeout=WATCHDOG_MS)
    rings = Rings()
    loaded = loading.load(watchdog)
    if loaded is None:  # a new package could not be used: start again with the one before
        expect_reset()
        machine.reset()
    if loaded.reason != NONE:
        events = Events()
        events.add(BOOT, time.ticks_ms(), -1, PASS, death, -1, 0, 0, 0)
        logbook = _logbook(events, None, loaded)
        maintenance = _maintenance(Status(None, loaded, death, crash), logbook, watchdog)
        _stay_safe(relay, red, green, watchdog, maintenance, logbook)
    package, judge = loaded.package, loaded.judge
    params = package.table("params")
    console, gantry = open_ports(rings, params[P_BAUD])
    bridge = _bridge(package)(package, judge, console, gantry, relay, red, green, Keys())
    logbook = _logbook(bridge.events, bridge, loaded)
    maintenance = _maintenance(Status(bridge, loaded, death, crash), logbook, watchdog)
    if loaded.is_trial:
        maintenance.update = maintenance.open_update()
        bridge.fault = ON_TRIAL
    if bridge.writes_beside:
        _let_the_flash_work_beside(bridge)
    gc.collect()
    bridge.start(death, time.ticks_ms())
    try:
        _guard(bridge, maintenance, logbook, watchdog)
    finally:
        relay.open()  # before anything else
        logbook.note()


def _let_the_flash_work_beside(bridge):
    """Files are written while frames pass."""
    from interposer.hal import disc

    modules = archive.mounted[0]
    modules.umount()
    disc.mount(bridge.console.chip, bridge.carry_beside, bridge.attend)
    modules.open_again()


def _bridge(package):
    """The kind of bridge that the package asks for; the code of cut-through costs no memory where it does not."""
    if not package.table("framings")[F_CUT_THROUGH]:
        return Bridge
    gc.collect()
    room = bytearray(BRIDGE_BYTES)
    from interposer.cutting import CuttingBridge

    del room
    gc.collect()
    return CuttingBridge


def _logbook(events, bridge, loaded):
    """The log: its code comes after the networks, which need the largest pieces of memory."""
    from interposer.hal.segments import Segments
    from interposer.service.logbook import Logbook

    return Logbook(Segments(machine.unique_id()), events, bridge, loaded, keep_count, kept_count())


def _maintenance(status, logbook, watchdog):
    answers = status.answers()
    answers["log"] = lambda number: _export(logbook, number)
    answers["time"] = lambda now_s: logbook.set_clock(now_s, time.ticks_ms())
    return Maintenance(answers, lambda: _update(status.bridge, status.loaded, watchdog, logbook))


def _update(bridge, loaded, watchdog, logbook):
    """The session of an update: its code is loaded when somebody asks for it."""
    gc.collect()
    room = bytearray(PIECE_BYTES)
    from interposer.updating import Updating

    return Updating(bridge, loaded, watchdog, room, logbook)


def _export(logbook, number):
    """Records of the log: the code that tells them is needed as long as somebody asks."""
    from interposer.service.export import export

    yield from export(logbook, number)
    loading.forget("service.export")


def _guard(bridge, maintenance, logbook, watchdog):
    tended_at = bridge.tended_at
    micropython.heap_lock()
    while True:
        pause_us = bridge.step(time.ticks_ms())
        watchdog.feed()
        is_quiet = False  # nothing came while the loop was asleep
        if pause_us == FOR_EVER:
            idle_us = US_PER_MS * bridge.idle_ms()
            if maintenance.is_sending():
                idle_us = min(idle_us, SENDING_US)
            elif maintenance.pending():
                idle_us = 0
            elif maintenance.update is not None:
                idle_us = min(idle_us, UPDATING_US)
            is_quiet = bridge.wait(time.ticks_ms(), idle_us)
            if bridge.hurries and not is_quiet:
                continue
        elif pause_us > TIMED_US:
            rest(bridge.console.resting, pause_us, 0)
        elif pause_us > 0:
            time.sleep_us(pause_us)
        if pause_us != FOR_EVER and bridge.tended_at == tended_at:
            continue
        is_due = logbook.is_due(time.ticks_ms()) and is_quiet  # asked every time: it follows the clock, and what waits
        if is_due or maintenance.pending():
            tended_at = bridge.tended_at
            micropython.heap_unlock()
            try:
                if is_due:
                    logbook.step()
                else:
                    maintenance.pump()
            finally:  # `main` unlocks the heap once: twice would count as locked, and nothing could be remembered of the crash
                micropython.heap_lock()


def _stay_safe(relay, red, green, watchdog, maintenance, logbook):
    """No usable package: relay open, red lamp flashing, and the maintenance port says why and takes a better one."""
    relay.open()
    green.pattern = OFF
    waiting = poller(sys.stdin)
    while True:
        red.show(time.ticks_ms())
        green.show(0)
        watchdog.feed()
        if logbook.is_due(time.ticks_ms()):
            logbook.flush()
        if maintenance.pending():
            maintenance.pump()
        else:
            waiting.poll(IDLE_MS)
