"""`gantryguard model score`: verdicts on a CSV of scan commands."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from gantryguard import errors
from gantryguard.cli.options import ProfileName
from gantryguard.cli.progress import LateBar
from gantryguard.errors import UserError
from gantryguard.profiles.files import package_path, read_bytes
from gantryguard.profiles.profile import Profile
from gantryguard.scoring.reading import STDIN, CommandFile, opened
from gantryguard.scoring.scorer import CORE_EVERY, Scorer, Summary


def score(
    table: Annotated[str, typer.Argument(metavar="IN.csv", help="CSV with one scan command per row; - reads standard input.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to write; default: standard output.")] = None,
    profile: ProfileName = "ct",
    package: Annotated[Path | None, typer.Option("--package", help="Another package of that profile.")] = None,
    core_every: Annotated[
        int, typer.Option("--core-every", min=0, help="Judge every so-manieth row in the device's core too; 1: all, 0: none.")
    ] = CORE_EVERY,
    explain: Annotated[
        bool, typer.Option("--explain", help="Add the columns why (limit or network) and assumed (what empty cells became).")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON; needs -o.")] = False,
) -> None:
    """Judge a CSV of scan commands as the device would, each row as a fresh exam.

    Columns, in any order: objective, age_years, sex, weight_kg, height_cm, contrast, pregnant, scan_mode, kvp, ma, rotation_s,
    pitch, collimation_mm, slice_mm, scan_length_mm, table_speed_mm_s, tilt_deg, ctdivol_mgy, dlp_mgycm, phantom_cm; and
    rotations, which may be missing. Other columns are carried through. Empty cells are unknown: docs/data.md says what
    they are taken to be. Added: verdict, reason, score (above 1 a network holds), blamed_field, suggestion.

    Exit codes: 10 no such file, 11 no header, 12 a column is missing, 13 a number is none, 14 no such objective or other
    name, 15 numpy, onnxruntime and the device's core do not agree.
    """
    if as_json and output is None:
        raise UserError("The summary and the rows cannot both go to standard output.", remedy="Add -o FILE.", exit_code=2)
    place = package or package_path(profile)
    scorer = Scorer(Profile(read_bytes(place)), place.parent, core_every=core_every, explain=explain)
    with opened(table) as file, written(output) as out:
        summary = _run(scorer, file, out, Path(table))
    _report(summary, as_json=as_json)


@contextmanager
def written(path: Path | None) -> Iterator[TextIO]:
    """A text file that appears at `path` only when all is well; standard output for None. Raises UserError (exit 10)."""
    if path is None:
        yield sys.stdout
        return
    part = path.parent / f".{path.name}.part"
    with _created(part, path) as file:
        try:
            yield file
            file.flush()
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _created(part: Path, path: Path) -> TextIO:
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        return part.open("w", encoding="utf-8", newline="")
    except OSError as error:
        remedy = "Name a file in a folder that you may write to."
        raise UserError(f"{path} cannot be written: {error.strerror}.", remedy=remedy, exit_code=errors.NO_FILE) from error


def _run(scorer: Scorer, file: CommandFile, out: TextIO, path: Path) -> Summary:
    total = path.stat().st_size if path.is_file() and str(path) != STDIN else None
    try:
        with LateBar("scoring") as bar:
            return scorer.run(file, out, lambda rows: bar.update(file.bytes_read() if total else 0, total, f"{rows} rows"))
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None


def _report(summary: Summary, *, as_json: bool) -> None:
    facts = summary.as_json()
    if as_json:
        print(json.dumps(facts, indent=1))
        return
    counts = ", ".join(f"{name} {count}" for name, count in summary.verdicts.items())
    print(f"{summary.rows} rows, {facts['rows_per_second']} per second: {counts}", file=sys.stderr)
    for reason, count in sorted(summary.reasons.items(), key=lambda item: -item[1]):
        print(f"  {count:8} {reason}", file=sys.stderr)
    print(f"agreed: onnxruntime on {summary.onnxruntime_compared} network outputs,", end=" ", file=sys.stderr)
    print(f"the device's core on {summary.core_compared} rows", file=sys.stderr)
