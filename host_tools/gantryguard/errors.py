"""The one exception that a user may meet: a line that says what is wrong, and the remedy."""

from __future__ import annotations

import os
from functools import partial

# What can be wrong with files of commands; a script can tell these apart without reading the line.
NO_FILE = 10  # missing or unreadable
NO_HEADER = 11
NO_COLUMN = 12  # missing or repeated
BAD_CELL = 13  # a number that is none, or too few or too many cells
UNKNOWN_NAME = 14  # an objective, scan mode, sex or flag that does not exist
DISAGREEMENT = 15  # numpy, onnxruntime and the device's core do not agree
NO_READER = 16  # an optional package is not installed
JOURNAL = 17  # of an interrupted import
# Keys and updates.
KEY_FILE = 20  # missing, unreadable, or there already
WRONG_PASSPHRASE = 21
BAD_RECORD = 22  # a root record that is none, or is not signed as it has to be
KEY_STATE = 23  # it is not sure which one-time key is the next
NO_HSM = 24
KEY_SPENT = 25
NOT_SIGNED = 26  # a package that the root record does not vouch for
EXPIRED = 27
DEVELOPMENT = 28  # a public key where a secret one is needed
REFUSED = 29  # by a device, with its reason
LOG = 30  # an audit log that does not belong together, or is not the one that was signed


class UserError(Exception):
    """A failure that the user can mend.

    `exit_code` is distinct per family so that scripts can tell them apart:
    2 arguments, 3 image or download, 4 profile source, 5 package, 6 device or port, 7 data, 8 simulation; 10 to 30 as
    named in this module.
    """

    def __init__(self, message: str, *, remedy: str, exit_code: int) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[object, ...]:
        """Let it come from another process as it was raised there."""
        return partial(UserError, remedy=self.remedy, exit_code=self.exit_code), (self.message,)

    def __str__(self) -> str:
        return f"{self.message} Remedy: {self.remedy[:1].upper()}{self.remedy[1:]}"


def cause(error: Exception) -> str:
    """What the operating system says of a failure, in words; what the exception says where it was not the system."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error).rstrip(".")
