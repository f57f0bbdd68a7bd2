"""First code after a reset: no keystroke on the maintenance port may ever stop the guard."""

import micropython

micropython.kbd_intr(-1)
micropython.alloc_emergency_exception_buf(128)
