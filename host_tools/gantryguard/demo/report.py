"""The demo's results as JSON (for anyone who wants to check them) and as rows (for the table on the screen)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from gantryguard.demo.runs import PairedRun
from gantryguard.rig.spread import Spread


def verdict_figures(runs: Sequence[PairedRun]) -> dict[str, dict[str, float]]:
    """Verdict times of the exams and of the attacks, by kind: minimum, median, 99th percentile, maximum, in simulated us.

    Apart, because most frames of the attacks are those of floods, which are refused several at a time.
    """
    times: dict[str, list[float]] = {}
    for run in runs:
        times.setdefault(run.guard.kind, []).extend(run.verdict_us)
    return {kind: asdict(Spread.of(values)) for kind, values in sorted(times.items()) if values}


def report(runs: Sequence[PairedRun], image: Path, package: bytes) -> dict[str, Any]:
    """The report: image and package by hash, every run with the guard and on the wire, verdict times."""
    return {
        "image_sha256": sha256(image.read_bytes()).hexdigest(),
        "package_sha256": sha256(package).hexdigest(),
        "runs": [
            {"name": run.guard.name, "kind": run.guard.kind, "guard": run.guard.summary(), "wire": run.wire.summary()}
            for run in runs
        ],
        "verdict_us": verdict_figures(runs),
    }


def details(runs: Sequence[PairedRun], notes: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the report leaves out: stories, notes, reasons, faults, endings and the digest of every byte and edge."""
    return [
        {
            "name": run.guard.name,
            "story": run.story,
            "note": notes.get(run.guard.name, ""),
            "reasons": dict(run.guard.reasons),
            "told_by_the_device": list(run.told),
            "guard_faults": [str(fault) for fault in run.guard.faults],
            "wire_faults": [str(fault) for fault in run.wire.faults],
            "guard_endings": [outcome.ending for outcome in run.guard.outcomes],
            "wire_endings": [outcome.ending for outcome in run.wire.outcomes],
            "guard_digest": run.guard.digest(),
            "wire_digest": run.wire.digest(),
        }
        for run in runs
    ]


def write_json(path: Path, content: object) -> None:
    """Write JSON with sorted keys and a final newline: equal content gives equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
