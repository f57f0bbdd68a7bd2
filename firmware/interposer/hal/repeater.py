"""The program of the state machine that repeats a line; `cut_through.py` says what its words mean."""

# ruff: noqa: F821 - the words of the state machine's assembler are known to `asm_pio` alone

import rp2

from interposer.core.compat import const

STEPS_PER_BIT = const(16)


@rp2.asm_pio(
    out_init=rp2.PIO.OUT_HIGH,
    set_init=rp2.PIO.OUT_HIGH,
    in_shiftdir=rp2.PIO.SHIFT_LEFT,
    out_shiftdir=rp2.PIO.SHIFT_RIGHT,
)
def repeat():
    """From each falling edge: a bit is sampled in its middle and driven from then on; its byte is handed over at its end."""
    wrap_target()
    pull(block)
    mov(x, osr)  # bytes that pass before one needs a word
    label("byte")
    wait(0, pin, 0)[7]
    set(pins, 0)
    set(y, 5)[13]
    label("bit")
    in_(pins, 1)
    mov(pins, isr)[13]
    jmp(y_dec, "bit")
    in_(pins, 1)
    mov(pins, isr)
    jmp(x_dec, "free")
    mov(x, null)  # what a missing word reads as
    pull(noblock)
    out(y, 1)
    jmp(not_y, "spoil")
    out(y, 1)  # whether more follows
    out(x, 30)[6]
    jmp("last")
    label("free")
    set(y, 1)[12]
    label("last")
    in_(pins, 1)
    mov(pins, isr)[13]
    mov(isr, reverse(isr))
    push(noblock)
    set(pins, 1)
    jmp(y_dec, "byte")
    wrap()
    label("spoil")
    set(y, 12)[9]
    label("low")
    out(pins, 1)[14]
    jmp(y_dec, "low")
    set(pins, 1)
    irq(block, rel(0))
