"""Generated normal exams beside published reference levels, and how fast they are made.

Levels: US, ACR-AAPM-SPR practice parameter 2022; Kanal, Radiology 2017;284:120 (adults) and 2022;302:164 (children), in a
transcription. The 75th percentiles are reference levels; the medians are achievable doses, which are recalled, not verified.
Adults are of usual size (trunk of 29 to 33 cm).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gantryguard.clinic import schema
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate
from gantryguard.clinic.patients import ADULT_YEARS, diameter_cm
from gantryguard.clinic.scanner import reference_scanner

USUAL_CM = (29.0, 33.0)
ADULTS_CTDI, ADULTS_DLP, CHILDREN = 0.10, 0.12, 0.25  # how far a percentile may be from its level
# objective: P50 and P75 of CTDIvol in mGy, P50 and P75 of DLP in mGy.cm.
ADULT_LEVELS: dict[str, tuple[float, float, float, float]] = {
    "head": (49, 56, 811, 962),
    "neck": (15, 19, 429, 563),
    "c_spine": (20, 28, 421, 562),
    "chest": (9, 12, 334, 443),
    "ctpa": (11, 14, 357, 445),
    "abdomen_pelvis": (12, 15, 608, 755),
    "cap": (12, 15, 779, 947),
}
# objective: age from, below, P75 of CTDIvol (chest without contrast).
CHILD_LEVELS: dict[str, tuple[tuple[int, int, float], ...]] = {
    "paed_abdomen_pelvis": ((0, 1, 2.4), (1, 5, 2.9), (5, 10, 4.6), (10, 15, 7.9), (15, 18, 11)),
    "paed_chest": ((0, 1, 1.7), (1, 5, 2.2), (5, 10, 2.5), (10, 15, 4.1), (15, 18, 7.4)),
    "paed_head": ((0, 1, 23), (1, 2, 27), (2, 6, 31), (6, 18, 55)),
}


@dataclass(frozen=True)
class Line:
    """One percentile of generated exams beside its level. `unit` mGy or mGy.cm; `limit` is the share it may be off."""

    what: str
    percentile: int
    unit: str
    generated: float
    level: float
    limit: float

    @property
    def deviation(self) -> float:
        """Generated over level, minus one."""
        return self.generated / self.level - 1

    @property
    def fits(self) -> bool:
        """Whether it is near enough."""
        return abs(self.deviation) <= self.limit


def compare(count: int = 40_000, seed: int = 5) -> list[Line]:
    """Every level of the tables, with `count` generated exams of each objective."""
    lines: list[Line] = []
    for name, levels in ADULT_LEVELS.items():
        commands = _scans(name, count, seed)
        part = commands if name == "head" else _of_usual_size(commands)
        columns = (("ctdivol_mgy", "mGy", ADULTS_CTDI, levels[:2]), ("dlp_mgycm", "mGy.cm", ADULTS_DLP, levels[2:]))
        for column, unit, limit, pair in columns:
            for percentile, level in zip((50, 75), pair, strict=True):
                lines.append(Line(name, percentile, unit, float(np.percentile(part[column], percentile)), level, limit))
    for name, groups in CHILD_LEVELS.items():
        commands = _scans(name, count, seed)
        for low, high, level in groups:
            part = commands.take((commands["age_years"] >= low) & (commands["age_years"] < high))
            value = float(np.percentile(part["ctdivol_mgy"], 75))
            lines.append(Line(f"{name} {low} to {high} y", 75, "mGy", value, level, CHILDREN))
    return lines


def _scans(name: str, count: int, seed: int) -> Commands:
    return generate(count, scanner=reference_scanner(), seed=seed, objectives=(name,), localiser_share=0)


def _of_usual_size(commands: Commands) -> Commands:
    size = diameter_cm("abdomen", commands["weight_kg"], commands["height_cm"], commands["age_years"])
    return commands.take((commands["age_years"] >= ADULT_YEARS) & (size > USUAL_CM[0]) & (size < USUAL_CM[1]))


def exams_per_second(count: int = 400_000) -> float:
    """Exams, each a localiser and a scan on average, that one core makes in a second."""
    begin = time.perf_counter()
    commands = generate(2 * count, scanner=reference_scanner(), seed=1, localiser_share=0.5)
    scans = int(np.sum(commands["scan_mode"] != schema.LOCALISER))
    return scans / (time.perf_counter() - begin)


def draw(path: Path, lines: Sequence[Line]) -> None:
    """A plot of the deviations, with what is allowed."""
    import matplotlib as mpl  # takes a second to load

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(9, 0.22 * len(lines) + 1))
    names = [f"{line.what}, P{line.percentile} {line.unit}" for line in lines]
    axis.barh(names, [200 * line.limit for line in lines], left=[-100 * line.limit for line in lines], color="lightgrey")
    axis.plot([100 * line.deviation for line in lines], names, "o", color="tab:blue")
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_xlabel("generated against published level, % (grey: allowed)")
    axis.invert_yaxis()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)
