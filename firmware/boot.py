"""First code after a reset: no keystroke on the maintenance port may ever stop the guard; then its modules can be imported."""

import sys

import micropython
import vfs

micropython.kbd_intr(-1)
micropython.alloc_emergency_exception_buf(128)

import archive  # noqa: E402 - not before keystrokes count for nothing

vfs.mount(archive.Archive(archive.NAME), archive.MOUNTED_AT)
sys.path[:] = [archive.MOUNTED_AT]
import interposer  # noqa: E402, F401 - what is in it is found through it from now on

sys.path[:] = [".frozen"]  # and what is built in without a look at the flash
