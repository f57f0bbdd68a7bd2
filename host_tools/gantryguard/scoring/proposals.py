"""Corrections of refused rows: core's own search (`interposer.core.suggestion`), its probes judged in bulk.

Each refused row has a search of its own. They run side by side: every round the next probe of each is taken, all are judged
at once, and each search gets the verdict on its probe.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from gantryguard.scoring.bulk import BulkJudge, Findings, Whole
from interposer.core import network as core
from interposer.core.reasons import PASS
from interposer.core.suggestion import Suggestion

Proposal = tuple[int, int]  # slot and raw value


class _Search(Suggestion):
    """Core's search, but for the probe's values: those that are judged are made in bulk (`BulkJudge.corrected`)."""

    def _prepare(self) -> None:
        """Only what `_approach` looks at by itself."""
        if self.limit_at >= 0:
            cast(Any, super())._prepare()


class _Desk:
    """Stands where the search expects the judge: it has the findings of one row, and says of a probe what it was told."""

    def __init__(self, judge: BulkJudge, findings: Findings, row: int, values: Sequence[int]) -> None:
        self.exam = SimpleNamespace(size=len(values), trial=array("i", values))
        self.command = int(findings.command[row])
        self.output_at, self.expected = 0, 0
        self._judge, self._words = judge, judge.words
        self.hear(findings, row)

    def hear(self, findings: Findings, row: int) -> None:
        """What the bulk judge found of a command or of a probe."""
        self.answer, self.blamed = int(findings.verdict[row]), int(findings.blamed[row])
        self.limit, self.network = int(findings.limit[row]), int(findings.network[row])
        self._outputs = {index: outputs[row].tolist() for index, outputs in sorted(findings.outputs.items())}

    def assess(self, _values: array[int], _command: int) -> int:
        """The verdict that the bulk judge gave."""
        return self.answer

    def derive(self, values: array[int], command: int) -> None:
        """As `Judge.derive`."""
        matrix = np.array([values], dtype=np.int64)
        self._judge.evaluate(matrix, command)
        values[:] = array("i", matrix[0].tolist())

    def mended(self, _values: array[int], _command: int, slot: int) -> bool:
        """As `Judge.mended`, from what the networks said to the bulk judge."""
        found = False
        for index, outputs in self._outputs.items():
            first = int(self._words[index * core.NET_WORDS + core.N_OUTPUT_AT])
            count = int(self._words[index * core.NET_WORDS + core.N_OUTPUTS])
            for at in range(first, first + count * core.OUTPUT_WORDS, core.OUTPUT_WORDS):
                if self._words[at + core.O_FIELD] == slot:
                    self.output_at, self.expected = at, outputs[int(self._words[at + core.O_VALUE])]
                    found = True
                    break
        return found


Running = tuple[Any, _Desk]  # a search (core has no types on the host) and its desk


def proposals(judge: BulkJudge, matrix: Whole, findings: Findings) -> dict[int, Proposal]:
    """A correction that would pass, by row, for the rows that have one."""
    searches = _searches(judge, matrix, findings)
    found: dict[int, Proposal] = {}
    while searches:
        probing = _next_probes(searches)
        if probing:
            _tell(judge, matrix, probing)
        for row, (search, _) in list(searches.items()):
            if search.found:
                found[row] = (search.slot, search.value)
            if not search.active:
                del searches[row]
    return found


def _searches(judge: BulkJudge, matrix: Whole, findings: Findings) -> dict[int, Running]:
    """A search for every row that was refused for its parameters and may have a correction."""
    refused = (findings.verdict != PASS) & (findings.command == judge.parameters) & (findings.blamed >= 0)
    searches = {}
    for row in np.flatnonzero(refused).tolist():
        desk = _Desk(judge, findings, row, matrix[row].tolist())
        search: Any = cast(Any, _Search)(judge.profile.package, desk)
        if search.start():
            searches[row] = (search, desk)
    return searches


def _next_probes(searches: dict[int, Running]) -> dict[int, Running]:
    """Take each search to its next probe or to its end; those with a probe."""
    for search, _ in searches.values():
        while search.active and not search.probing:
            search.step()
    return {row: pair for row, pair in searches.items() if pair[0].probing}


def _tell(judge: BulkJudge, matrix: Whole, probing: dict[int, Running]) -> None:
    """Judge the probes and let each search know."""
    rows = np.fromiter(probing, dtype=np.int64)
    slots = np.array([search.slot for search, _ in probing.values()], dtype=np.int64)
    values = np.array([search.value for search, _ in probing.values()], dtype=np.int64)
    probes = judge.corrected(matrix[rows], slots, values, judge.parameters)
    found = judge.reassess(probes, judge.parameters)
    for row, (search, desk) in enumerate(probing.values()):
        search.probe[:] = array("i", probes[row].tolist())
        desk.hear(found, row)
        search.step()
