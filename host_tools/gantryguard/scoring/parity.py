"""Holds the bulk judge against two others: stock onnxruntime on the int8 networks, and the device's own core on frames."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import numpy as np

from gantryguard import errors
from gantryguard.errors import UserError
from gantryguard.learning import onnx_graph
from gantryguard.profiles.link import KINDS
from gantryguard.scoring.bulk import BulkJudge, Findings, Whole
from interposer.core import codec
from interposer.core.reasons import BAD_FIELD, PASS
from interposer.core.verdict import Judge

BOUNDS = {code: (low, high) for code, _, low, high in KINDS.values()}

FIRST_ROWS = 50  # of a file: all of them are compared


class OnnxParity:
    """Every network of a package in onnxruntime: the published graphs beside the package, else graphs made from it."""

    def __init__(self, judge: BulkJudge, folder: Path | None) -> None:
        self.judge = judge
        self.graphs: list[bytes] = []
        self.published = 0
        for packed in judge.nets:
            path = folder / f"{packed.net.name}.onnx" if folder else None
            is_there = path is not None and path.is_file()
            self.published += is_there
            self.graphs.append(path.read_bytes() if path is not None and is_there else onnx_graph.export(packed.net))

    def check(self, matrix: Whole, findings: Findings, first_row: int) -> int:
        """Compare what all networks said of all rows; how many outputs were compared. Raises UserError (exit 15)."""
        for index, ours in findings.outputs.items():
            packed = self.judge.nets[index]
            theirs = onnx_graph.run(self.graphs[index], matrix[:, packed.inputs])
            differ = (theirs != ours).any(axis=1)
            if differ.any():
                disagree(f"onnxruntime and the package's network {packed.net.name}", first_row + int(np.argmax(differ)))
        return len(matrix) * len(findings.outputs)


class CoreParity:
    """The device's core on real frames: a context and scan parameters, judged on a fresh exam."""

    def __init__(self, judge: BulkJudge) -> None:
        tables: Any = judge.profile.package.table
        self.bulk = judge
        direction = int(judge.commands[judge.parameters, codec.C_DIRECTION])
        self.codec = codec.Codec(direction, tables("framings"), tables("commands"), tables("fields"), tables("ranges"))
        self.fields = np.array(tables("fields"), dtype=np.int64).reshape(-1, codec.FIELD_WORDS)

    def check(self, matrix: Whole, findings: Findings, first_row: int, every: int) -> int:
        """Compare every so-manieth row (0: none) and the first few; how many were compared. Raises UserError (exit 15)."""
        compared = 0
        numbers = range(first_row, first_row + len(matrix)) if every else ()
        for row in (n - first_row for n in numbers if n <= FIRST_ROWS or (n - 1) % every == 0):
            if not (self._fits(matrix[row], self.bulk.context) and self._fits(matrix[row], self.bulk.parameters)):
                continue
            if not self._agrees(matrix[row], findings, row):
                disagree("the device's core and the bulk judge", first_row + row)
            compared += 1
        return compared

    def _fits(self, values: Whole, command: int) -> bool:
        """Whether a frame has room for the values, in range or not."""
        first, count = self.bulk.commands[command, [codec.C_FIELD, codec.C_FIELDS]]
        return all(BOUNDS[kind][0] <= values[slot] <= BOUNDS[kind][1] for kind, _, slot in self.fields[first : first + count])

    def _agrees(self, values: Whole, findings: Findings, row: int) -> bool:
        judge = Judge(self.bulk.profile.package)
        raw = array("i", values.tolist())
        for sequence, command in enumerate((self.bulk.context, self.bulk.parameters)):
            length = self.codec.write(command, sequence, raw)
            frame = bytes(self.codec.buffer[:length])
            if judge.judge(frame, length, sequence) != PASS:
                break
            judge.accept(frame, length, sequence)
        ours = (judge.command, judge.verdict, judge.reason, judge.blamed)
        theirs = (findings.command, findings.verdict, findings.reason, findings.blamed)
        is_same = ours == tuple(int(column[row]) for column in theirs)
        was_asked = judge.command == self.bulk.parameters and judge.reason != BAD_FIELD
        return is_same and (not was_asked or list(judge.scores) == findings.scores[row].tolist())


def disagree(who: str, row: int) -> None:
    """Raises UserError (exit 15)."""
    raise UserError(
        f"{who} disagree about row {row}.",
        remedy="Do not trust these verdicts: run `make gen-check`, and report the row if that passes.",
        exit_code=errors.DISAGREEMENT,
    )
