"""What the context-sensitive network learns from: normal commands that stay as they are, and spoilt ones with what they were.

Half of the spoilt ones are generated anomalies of every kind, the other half are normal commands with fields exchanged or
scaled blindly (`spoil`), so that the network does not only know the catalogue. What the limits refuse anyway is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gantryguard.clinic.anomalies import make_anomalies
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate
from gantryguard.clinic.scanner import Scanner
from gantryguard.clinic.schema import LOCALISER, OBJECTIVES
from gantryguard.learning.spoil import spoil


@dataclass(frozen=True)
class Amounts:
    """How many normals, anomalies of every kind, and blindly spoilt scans."""

    normals: int = 150_000
    per_kind: int = 2_500
    blind: int = 60_000


@dataclass(frozen=True)
class Lesson:
    """Commands (n), what they should be (n), and which are normal, (n,)."""

    seen: Commands
    meant: Commands
    is_normal: NDArray[np.bool_]


def every_objective(count: int, scanner: Scanner, seed: int, localiser_share: float = 0.1) -> Commands:
    """About `count` normal commands, every objective in equal number."""
    share = count // len(OBJECTIVES)
    return Commands.concat(
        generate(share, scanner=scanner, seed=seed + code, objectives=(name,), localiser_share=localiser_share)
        for name, code in OBJECTIVES.items()
    )


def lesson(amounts: Amounts, scanner: Scanner, seed: int) -> Lesson:
    """Normals, anomalies and spoilt scans; determined by the seed."""
    good = every_objective(amounts.normals, scanner, seed)
    sources = every_objective(amounts.normals, scanner, seed + 100)
    made = make_anomalies(sources, seed + 200, scanner=scanner, per_kind=amounts.per_kind)
    clean = every_objective(amounts.blind, scanner, seed + 300, localiser_share=0.0)
    spoilt = scanner.restated(spoil(clean, np.random.Generator(np.random.PCG64(seed))))
    seen = Commands.concat([good, made.commands, spoilt])
    meant = Commands.concat([good, sources.take(made.origin), clean])
    is_normal = np.arange(len(seen)) < len(good)
    keep = is_normal | (seen["scan_mode"] != LOCALISER)
    return Lesson(seen.take(keep), meant.take(keep), is_normal[keep])
