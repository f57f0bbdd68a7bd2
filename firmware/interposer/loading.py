"""Finds the package on flash, checks it, and builds the judge from it."""

import gc
import sys

from interposer.core.compat import const
from interposer.core.network_thumb import layers
from interposer.core.package import Package
from interposer.core.quantities_thumb import evaluate
from interposer.core.reasons import NO_PACKAGE, NONE, PACKAGE_CORRUPT
from interposer.core.verdict import Judge
from interposer.hal import board_record as board

PATH = "package.bin"
MAX_BYTES = const(65536)


def load(watchdog):
    """(package, judge, NONE), or (None, None, reason). Feeds the watchdog between the steps."""
    try:
        file = open(PATH, "rb")  # noqa: SIM115 - stays open: the package reads its names from it when asked
    except OSError:
        return None, None, NO_PACKAGE
    if file.seek(0, 2) > MAX_BYTES:
        return None, None, PACKAGE_CORRUPT
    watchdog.feed()
    gc.collect()
    package = Package(file, board.NAME)
    watchdog.feed()
    reason = package.reason if package.reason != NONE else _audit(package)
    if reason != NONE:
        return None, None, reason
    watchdog.feed()
    gc.collect()
    judge = Judge(package, layers, evaluate)
    _forget("network_program")
    return package, judge, NONE


def _audit(package):
    """The check of every table's indices."""
    from interposer.core.audit import audit

    reason = audit(package)
    del audit
    _forget("audit")
    return reason


def _forget(module):
    """Let the code of a module of `core` leave memory again: it is needed once. Its package knows it too."""
    sys.modules.pop("interposer.core." + module, None)
    core = sys.modules["interposer.core"]
    if hasattr(core, module):
        delattr(core, module)
    gc.collect()
