"""The relay in the line to the gantry. Open unless its pin is driven; its contact is read back."""

import time

from machine import Pin

from interposer.hal import board_record as board


class Relay:
    """Drives the coil and compares the contact with it."""

    def __init__(self):
        self.coil = Pin(board.RELAY, Pin.OUT, value=1 - board.RELAY_CLOSED_LEVEL)
        self.contact = Pin(board.RELAY_CONTACT, Pin.IN)
        self.closed = False

    def open(self):
        """Release the coil at once."""
        self.coil(1 - board.RELAY_CLOSED_LEVEL)
        self.closed = False

    def close(self):
        """Drive the coil."""
        self.coil(board.RELAY_CLOSED_LEVEL)
        self.closed = True

    def agrees(self):
        """Whether the contact is where the coil should have put it."""
        return (self.contact() == board.CONTACT_CLOSED_LEVEL) == self.closed

    def settle(self):
        """Wait for the contact; false where it does not follow within the board's time-out."""
        start = time.ticks_ms()
        while not self.agrees():
            if time.ticks_diff(time.ticks_ms(), start) > board.CONTACT_TIMEOUT_MS:
                return False
        return True
