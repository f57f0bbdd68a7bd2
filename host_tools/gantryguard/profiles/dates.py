"""Days in a package's header: counted from 1 January 1970, as a device without a calendar can still compare them."""

from __future__ import annotations

import datetime

from gantryguard.profiles.source import Entry

EPOCH = datetime.date(1970, 1, 1)
NEVER = 0


def day_of(entry: Entry, key: str) -> int:
    """The day that a key names as "YYYY-MM-DD"; NEVER where it is not stated. Raises UserError (exit 4)."""
    if not entry.has(key):
        return NEVER
    try:
        return (datetime.date.fromisoformat(entry.text(key)) - EPOCH).days
    except ValueError:
        entry.fail(key, f"is {entry.text(key)!r}, no date", f'write it as `{key} = "2027-12-31"`.')


def date_of(day: int) -> datetime.date | None:
    """The date of a day; None for NEVER."""
    return EPOCH + datetime.timedelta(days=day) if day != NEVER else None
