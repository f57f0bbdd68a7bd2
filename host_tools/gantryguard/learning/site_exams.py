"""A site's own exams for commissioning: a CSV of commands, or a folder of dose reports."""

from __future__ import annotations

from pathlib import Path

from gantryguard.clinic.commands import Commands, from_csv
from gantryguard.clinic.rdsr import import_reports
from gantryguard.clinic.real_exams import exams_of
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.errors import UserError

REPORTS = "*.dcm"


def read_exams(path: Path) -> Commands:
    """The commands of a file or folder. Raises UserError (exit 7) where there are none or they cannot be read."""
    if path.is_dir():
        found = import_reports([(file.name, file.read_bytes()) for file in sorted(path.rglob(REPORTS))])
        parts = [exam.commands for exam in exams_of(found, reference_scanner()).exams]
    else:
        parts = list(from_csv(path))
    commands = Commands.concat([Commands(part.columns) for part in parts])
    if not len(commands):
        raise UserError(f"{path} holds no exams.", remedy="Give a CSV of commands, or a folder of dose reports.", exit_code=7)
    return commands
