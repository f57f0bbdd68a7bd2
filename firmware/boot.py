"""First code after a reset: no keystroke on the maintenance port may ever stop the guard; then its modules can be imported.

MicroPython listens to Ctrl-C until it is told not to, and after an exception here it would go on to the REPL instead of to
`main.py`: hence the resets, which leave the relay open. The second one is for a keystroke in the middle of the first.
"""

try:
    try:
        import micropython

        micropython.kbd_intr(-1)
        import gc

        gc.threshold(32768)  # what imports leave behind would scatter the free memory into pieces that are too small to use
        micropython.alloc_emergency_exception_buf(128)
        import archive

        archive.mount()
        from interposer.hal import system_clock

        system_clock.start()
    except BaseException:
        import machine

        machine.reset()
except BaseException:
    import machine

    machine.reset()
