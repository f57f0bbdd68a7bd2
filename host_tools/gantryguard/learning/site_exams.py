"""A site's own exams for commissioning: a CSV of commands, or a folder of dose reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gantryguard.clinic import schema
from gantryguard.clinic.commands import Commands, from_csv
from gantryguard.clinic.rdsr import import_reports
from gantryguard.clinic.real_exams import exams_of
from gantryguard.clinic.scanner import Scanner, reference_scanner
from gantryguard.errors import UserError
from gantryguard.scoring.filling import filled

REPORTS = "*.dcm"


def read_exams(path: Path, scanner: Scanner | None = None) -> Commands:
    """The commands of a file or folder, of this scanner. Raises UserError (exit 7) where there are none to be read."""
    scanner = scanner or reference_scanner()
    if path.is_dir():
        found = import_reports([(file.name, file.read_bytes()) for file in sorted(path.rglob(REPORTS))])
        parts = [exam.commands for exam in exams_of(found, scanner).exams]
    else:
        parts = list(from_csv(path))
    commands = Commands.concat([Commands(part.columns) for part in parts])
    if not len(commands):
        raise UserError(f"{path} holds no exams.", remedy="Give a CSV of commands, or a folder of dose reports.", exit_code=7)
    return ready(commands, scanner)


def ready(commands: Commands, scanner: Scanner) -> Commands:
    """The commands with what they leave open as `model score` takes it; a patient whose size is unknown stays so."""
    told = Commands(filled(commands.columns, scanner).columns)
    stated = scanner.restated(told)
    return told.replace(**{name: np.where(np.isnan(told[name]), stated[name], told[name]) for name in schema.STATED})
