"""Runs the guard. Whatever ends it ends in a reset, and a reset leaves the relay open; the REPL is never reached."""

import machine

try:
    import micropython

    micropython.kbd_intr(-1)  # once more: MicroPython arms Ctrl-C anew at the start of every script
    from interposer.app import main

    main()
except BaseException as error:
    from interposer.hal.faults import remember_crash

    remember_crash(error)
finally:
    machine.reset()
