"""Finds the files of folders without holding their names in memory. Links to folders are not followed."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

Refuse = Callable[[str, str], None]


def files(paths: Iterable[Path], without: Collection[Path], refuse: Refuse) -> Iterator[bytes]:
    """Every regular file at or below the paths, but for `without`; `refuse` hears (folder, reason) of what cannot be read."""
    left_out = {path.resolve() for path in without}
    for path in paths:
        for found in _below(path, refuse) if path.is_dir() else [os.fsencode(path)]:
            if Path(os.fsdecode(found)).resolve() not in left_out:
                yield found


def _below(folder: Path, refuse: Refuse) -> Iterator[bytes]:
    waiting = [os.fsencode(folder)]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file():
                        yield entry.path
        except OSError as error:
            refuse(shown(place), f"cannot be read: {error.strerror}")


def shown(path: bytes) -> str:
    """A path as text, whatever bytes it has."""
    return path.decode("utf-8", "backslashreplace")
