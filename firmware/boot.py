"""First code after a reset: no keystroke on the maintenance port may ever stop the guard; then its modules can be imported.

MicroPython would not go on to `main.py` after an exception here, but to the REPL: hence the reset, which leaves the relay open.
"""

import machine
import micropython

try:
    micropython.kbd_intr(-1)
    micropython.alloc_emergency_exception_buf(128)
    import archive

    archive.mount()
except BaseException:
    machine.reset()
