"""Runs the guard. Whatever ends it ends in a reset, and a reset leaves the relay open; the REPL is never reached.

But by the service strap, a wire inside the housing (`interposer/hal/service_mode.py`): then the guard does not run at all.
"""

wanted = False
try:
    try:
        import micropython

        micropython.kbd_intr(-1)  # once more: MicroPython arms Ctrl-C anew at the start of every script
        from interposer.hal import service_mode

        wanted = service_mode.is_wanted()
        if wanted:
            service_mode.enter()
        else:
            del service_mode
            from interposer.app import main

            main()
    except BaseException as error:
        wanted = False
        from interposer.hal.faults import remember_crash

        remember_crash(error)
finally:
    if not wanted:
        import machine

        machine.reset()
