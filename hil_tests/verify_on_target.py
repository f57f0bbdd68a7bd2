"""Runs on the device: what a package is asked before its tables are read, with the time it takes."""

import gc
import time

from interposer.core.package import Package
from interposer.core.reasons import NONE
from interposer.core.trust import Trust
from interposer.hal import board_record
from interposer.hal.slots import Slots


def test_how_long_a_package_is_verified():
    trust = Trust(Slots().root(), 0)
    with open("package.bin", "rb") as file:
        gc.collect()
        began = time.ticks_us()
        package = Package(file, board_record.NAME, trust, False)
        took_us = time.ticks_diff(time.ticks_us(), began)
    assert package.reason == NONE
    return took_us
