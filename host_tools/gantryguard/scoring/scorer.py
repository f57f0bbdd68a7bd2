"""`gantryguard model score`: a CSV of scan commands in, the same rows with the guard's verdict out.

Every row is judged as a fresh exam: its context command, then its scan parameters. What only a sequence of frames can show
(replay, order, repetition, dose so far) is not asked.
"""

from __future__ import annotations

import csv
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np

from gantryguard.clinic.commands import FloatArray
from gantryguard.profiles.profile import Profile
from gantryguard.reasons import VERDICTS, reason_name
from gantryguard.scoring.bulk import BulkJudge, Findings, Whole
from gantryguard.scoring.filling import Filling, filled
from gantryguard.scoring.parity import CoreParity, OnnxParity
from gantryguard.scoring.proposals import Proposal, proposals
from gantryguard.scoring.reading import Block, CommandFile
from interposer.core.reasons import BAD_FIELD, PASS

RESULTS = ("verdict", "reason", "score", "blamed_field", "suggestion")
EXPLANATIONS = ("why", "assumed")
CORE_EVERY = 250  # core is readable Python here: some hundred rows per second

Say = Callable[[int], None]


@dataclass
class Summary:
    """What a run did: rows by verdict and by reason, comparisons with onnxruntime (rows times networks) and with core."""

    rows: int = 0
    verdicts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VERDICTS, 0))
    reasons: dict[str, int] = field(default_factory=dict)
    suggestions: int = 0
    onnxruntime_compared: int = 0
    onnxruntime_published_graphs: int = 0
    core_compared: int = 0
    seconds: float = 0.0

    def as_json(self) -> dict[str, object]:
        """For machines; `rows_per_second` is that of the whole run, reading and writing included."""
        return {**asdict(self), "rows_per_second": round(self.rows / self.seconds) if self.seconds else 0}


class Scorer:
    """Scores blocks of rows by one package; `graphs` is the folder of the published ONNX files, if there is one.

    `core_every`: every so-manieth row is also judged by the device's own core on real frames (1: all, 0: none).
    """

    def __init__(
        self, profile: Profile, graphs: Path | None = None, *, core_every: int = CORE_EVERY, explain: bool = False
    ) -> None:
        self.judge = BulkJudge(profile)
        self.onnx = OnnxParity(self.judge, graphs)
        self.core = CoreParity(self.judge)
        self.core_every = core_every
        self.added = (*RESULTS, *EXPLANATIONS) if explain else RESULTS

    def run(self, file: CommandFile, out: TextIO, say: Say = lambda _rows: None) -> Summary:
        """Score a whole file; `say` hears how many rows are done. Raises UserError (exit 10 to 15)."""
        started = time.monotonic()
        summary = Summary(onnxruntime_published_graphs=self.onnx.published)
        kept = [at for at, name in enumerate(file.header) if name not in self.added]
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([*(file.header[at] for at in kept), *self.added])
        for block in file.blocks():
            results = self.score(block, summary)
            writer.writerows([*(row[at] for at in kept), *more] for row, more in zip(block.cells, results, strict=True))
            say(summary.rows)
        summary.seconds = round(time.monotonic() - started, 3)
        return summary

    def score(self, block: Block, summary: Summary) -> list[tuple[str, ...]]:
        """The added cells of every row of a block, counted into `summary`. Raises UserError (exit 15)."""
        rows = filled(block.columns)
        matrix = self.judge.values(rows.columns)
        findings = self.judge.judge(matrix)
        summary.onnxruntime_compared += self.onnx.check(matrix, findings, block.first_row)
        summary.core_compared += self.core.check(matrix, findings, block.first_row, self.core_every)
        found = proposals(self.judge, matrix, findings)
        _count(findings, len(found), summary)
        cells = self._cells(findings, found)
        return [(*row, *more) for row, more in zip(cells, self._explained(findings, rows), strict=True)]

    def _cells(self, findings: Findings, found: dict[int, Proposal]) -> list[tuple[str, ...]]:
        names = self.judge.profile.slot_names
        scores = [f"{score:.6g}" for score in scores_of(findings).tolist()]
        return [
            (
                VERDICTS[verdict],
                reason_name(reason),
                "" if reason == BAD_FIELD else score,
                names[blamed] if blamed >= 0 else "",
                self._proposal(found[row]) if row in found else "",
            )
            for row, (verdict, reason, score, blamed) in enumerate(
                zip(findings.verdict.tolist(), findings.reason.tolist(), scores, findings.blamed.tolist(), strict=True)
            )
        ]

    def _proposal(self, proposal: Proposal) -> str:
        slot, raw = proposal
        name = self.judge.profile.slot_names[slot]
        return f"{name}={self.judge.profile.from_raw(name, raw):.10g}"

    def _explained(self, findings: Findings, rows: Filling) -> list[tuple[str, ...]]:
        if self.added == RESULTS:
            return [()] * len(findings.verdict)
        names = [name for name in rows.columns if name in rows.assumed]
        return [
            (
                self._why(findings, row),
                ";".join(f"{name}={rows[name][row]:.10g}" for name in names if rows.assumed[name][row]),
            )
            for row in range(len(findings.verdict))
        ]

    def _why(self, findings: Findings, row: int) -> str:
        """The broken limit in plain words, or the network with its score and the threshold it passed."""
        profile, limit, network = self.judge.profile, int(findings.limit[row]), int(findings.network[row])
        if limit >= 0:
            return f"{profile.limit_name(limit)}: {profile.limit_why(limit)}"
        if network >= 0:
            score, hold = int(findings.scores[row, network]), int(findings.holds[row, network])
            return f"{profile.network_names[network]}: score {score}, held above {hold}"
        return ""


def scores_of(findings: Findings) -> FloatArray:
    """Largest ratio of a network's score to its hold threshold, (n,): above 1 a network alone holds the row."""
    ratios = findings.scores / np.maximum(findings.holds, 1)
    largest: FloatArray = ratios.max(axis=1, initial=0.0)
    return largest


def _count(findings: Findings, suggestions: int, summary: Summary) -> None:
    summary.rows += len(findings.verdict)
    summary.suggestions += suggestions
    for code, name in enumerate(VERDICTS):
        summary.verdicts[name] += int((findings.verdict == code).sum())
    refused: Whole = findings.reason[findings.verdict != PASS]
    for code, count in Counter(refused.tolist()).items():
        summary.reasons[reason_name(code)] = summary.reasons.get(reason_name(code), 0) + count
