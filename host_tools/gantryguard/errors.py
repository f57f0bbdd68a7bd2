"""The one exception that a user may meet: a line that says what is wrong, and the remedy."""

from __future__ import annotations


class UserError(Exception):
    """A failure that the user can mend.

    `exit_code` is distinct per family so that scripts can tell them apart:
    2 arguments, 3 image or download, 4 profile source, 5 package, 6 device or port, 7 data, 8 simulation.
    """

    def __init__(self, message: str, *, remedy: str, exit_code: int) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message} Remedy: {self.remedy}"
