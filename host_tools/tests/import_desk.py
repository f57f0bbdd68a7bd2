"""A folder of files to import, and what came of it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from gantryguard.clinic.importers.run import Order, Outcome, run

ROW = "chest,60,male,80,180,yes,no,helical,120,150,0.5,1,40,5,300,,0,,,32"


class Desk:
    """A folder of files to import, and what came of it."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "in"
        self.folder.mkdir()
        self.output = place / "out.csv"

    def put(self, name: str, data: bytes | str) -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def order(self, **options: Any) -> Order:
        """The order for the whole folder."""
        return Order(self.output, (self.folder,), **options)

    def run(self, **options: Any) -> Outcome:
        """Import the folder."""
        return run(self.order(**options))

    def rows(self) -> list[dict[str, str]]:
        """What was imported."""
        with self.output.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def skips(self) -> list[tuple[str, str, str]]:
        """File, event, reason of what was left out."""
        with self.order().skip_list.open(encoding="utf-8", newline="") as file:
            return [(Path(row["source"]).name, row["source_index"], row["reason"]) for row in csv.DictReader(file)]
