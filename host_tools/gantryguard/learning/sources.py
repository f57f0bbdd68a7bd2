"""A profile's source folder with its features rendered anew: for the generator's tables, or for a site."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gantryguard.clinic import objectives
from gantryguard.clinic.scanner import Scanner
from gantryguard.learning import features
from gantryguard.learning.ranges import Ranges

FEATURES, SCANNER = "features.toml", "scanner.toml"


@contextmanager
def rendered(folder: Path, ranges: Ranges | None = None, scanner: Scanner | None = None) -> Iterator[Path]:
    """A copy of a profile's sources with these ranges, and this scanner, instead of its own; gone afterwards."""
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        for source in sorted(folder.glob("*.toml")):
            shutil.copy(source, work)
        if scanner:
            (work / SCANNER).write_text(scanner.to_toml(), encoding="utf-8")
        (work / FEATURES).write_text(features.render(objectives.tables(), ranges, scanner), encoding="utf-8")
        yield work
