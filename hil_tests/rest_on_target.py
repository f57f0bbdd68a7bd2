"""Runs on the device: the processor rests as long as it is told, unless a line begins to speak or an interrupt comes."""

import time

from machine import Pin

from interposer.hal import board_record as board
from interposer.hal.rest import prepare, rest

SHORT_US = 20
CALL_US = 20  # overhead, at most: the interpreter calls, looks at the clock twice and subtracts
JITTER_US = 3  # by how much the overhead of rests of different lengths may differ
LONG_US = 200000


def lines_up():
    for number in (board.CONSOLE_RX, board.GANTRY_RX):
        Pin(number, Pin.IN, Pin.PULL_UP)


def rested_us(words, us, hears):
    start = time.ticks_us()
    spoke = rest(words, us, hears)
    return time.ticks_diff(time.ticks_us(), start), spoke


def test_it_lasts_as_long_as_told():
    lines_up()
    words = prepare()
    for hears in (0, 1):
        overhead_us = []
        for us in (SHORT_US, 300, 900):  # MicroPython's own timer interrupts every millisecond or more
            time.sleep_ms(2)
            took_us, spoke = rested_us(words, us, hears)
            assert spoke == 0, (us, spoke)
            overhead_us.append(took_us - us)
        assert min(overhead_us) >= 0, overhead_us
        assert max(overhead_us) <= CALL_US, overhead_us
        assert max(overhead_us) - min(overhead_us) <= JITTER_US, overhead_us


def test_a_low_line_is_told_at_once_where_it_is_heard():
    lines_up()
    words = prepare()
    Pin(board.GANTRY_RX, Pin.IN, Pin.PULL_DOWN)
    took_us, spoke = rested_us(words, 300, 0)
    assert took_us >= 300, took_us
    assert spoke == 1
    lines_up()
    assert rested_us(words, 20, 1)[1] == 0


def test_an_interrupt_of_others_ends_it_and_is_served():
    lines_up()
    words = prepare()
    from machine import Timer

    ticks = []
    timer = Timer(period=3, mode=Timer.ONE_SHOT, callback=ticks.append)
    took_us, spoke = rested_us(words, LONG_US, 1)
    time.sleep_ms(5)
    timer.deinit()
    assert took_us < LONG_US, took_us
    assert spoke == 0
    assert ticks, "its handler did not run"
