"""Finds the package that counts, checks it as it was checked when it came, and builds the judge from it."""

import gc
import sys

from interposer.core.network_thumb import layers
from interposer.core.package import Package
from interposer.core.quantities_thumb import evaluate
from interposer.core.reasons import NO_PACKAGE, NONE, PACKAGE_TOO_LONG, UPDATE_UNCONFIRMED
from interposer.core.verdict import Judge
from interposer.hal import board_record as board
from interposer.hal.slots import MOST_BYTES

ONCE = (
    "core.trust",
    "core.lms",
    "core.golden",
    "core.audit",
    "core.network_program",
    "core.ahead",
    "core.rows_program",
    "hal.slots",
)


class Loaded:
    """What a start found. `record`: a root record that the package brought along, or b""; `is_trial`: it is not confirmed."""

    def __init__(self):
        self.package = None
        self.judge = None
        self.reason = NO_PACKAGE
        self.is_trial = False
        self.record = b""
        self.root_version = 0
        self.refusal = NONE

    def forget(self):
        """Nothing was found."""
        self.package = self.judge = None
        gc.collect()


def load(watchdog):
    """A `Loaded`; None where an update came to nothing and the start has to be made again. Feeds the watchdog between steps."""
    threshold = gc.threshold()
    gc.threshold(-1)  # garbage is collected where that makes room for what stays: see `forget`
    forget("hal.service_mode", "hal.system_clock")
    from interposer.hal.slots import Slots

    slots = Slots()
    loaded = Loaded()
    order = slots.begin()
    if order is None:
        slots.refuse(UPDATE_UNCONFIRMED)
        order = slots.begin()
    loaded.is_trial = slots.trial != 0
    loaded.refusal = slots.refusal
    slot = _try(slots, order, loaded, watchdog)
    if loaded.reason == NONE and not loaded.is_trial:
        slots.settle_on(slot)
    if loaded.is_trial and loaded.reason != NONE:
        slots.refuse(loaded.reason)
        return None
    if loaded.record and not loaded.is_trial:
        slots.adopt(loaded.record)
    del slots
    forget(*ONCE)
    gc.threshold(threshold)
    return loaded


def _try(slots, order, loaded, watchdog):
    """Load the first slot that can be used, and return it; the reason is that of the first one otherwise."""
    root = slots.root()
    loaded.reason = root.reason
    loaded.root_version = root.version
    if root.reason != NONE:
        return order[0]
    for slot in order:
        reason = _load(slots.open(slot), root, slots.counter, loaded, watchdog)
        if slot == order[0] or reason == NONE:
            loaded.reason = reason
        if reason == NONE:
            return slot
        loaded.forget()
    return order[0]


def _load(file, root, least_counter, loaded, watchdog):
    from interposer.core.trust import Trust

    if file is None:
        return NO_PACKAGE
    if file.seek(0, 2) > MOST_BYTES:
        return PACKAGE_TOO_LONG
    trust = Trust(root, least_counter, watchdog.feed)
    watchdog.feed()
    package = Package(file, board.NAME, trust, False)
    root = trust.root
    is_newer = trust.is_newer
    del trust
    forget("core.trust", "core.lms")  # tables take the room of what was needed to check them
    watchdog.feed()
    package.read_tables()
    watchdog.feed()
    reason = package.reason if package.reason != NONE else _audit(package)
    if reason != NONE:
        return reason
    ahead = _arrange(package)
    engine = None
    if loaded.is_trial:
        reason, engine = _prove(package, ahead, watchdog)
        if reason != NONE:
            return reason
    loaded.record = root.record if is_newer else b""
    loaded.root_version = root.version
    watchdog.feed()
    loaded.package = package
    loaded.judge = Judge(package, layers, evaluate, ahead, engine)
    return NONE


def _audit(package):
    """The check of every table's indices."""
    from interposer.core.audit import audit

    reason = audit(package)
    del audit
    forget("core.audit")
    return reason


def _arrange(package):
    """Rows as the kernel wants them, from now on no longer what the package says; which of them come ahead of a frame."""
    from interposer.core.ahead import split
    from interposer.core.rows_program import arrange

    ahead = split(package.table)
    arrange(package.table("rows"), package.table("curves"), package.table("commands"), ahead)
    del split, arrange
    forget("core.ahead", "core.rows_program")
    return ahead


def _prove(package, ahead, watchdog):
    """Judge the golden frames by a judge of their own: a reason, and its networks, because preparing them takes long."""
    from interposer.core.golden import prove

    judge = Judge(package, layers, evaluate, ahead)
    reason = prove(package, judge, watchdog.feed)
    engine = judge.network_engine
    del judge, prove
    forget("core.golden")
    return reason, engine


def forget(*modules):
    """Let the code of modules leave memory again: it is needed once. Their packages know them too."""
    for module in modules:
        sys.modules.pop("interposer." + module, None)
        folder, name = module.split(".")
        package = sys.modules["interposer." + folder]
        if hasattr(package, name):
            delattr(package, name)
    gc.collect()
