"""Real clinical scans as exams of a scanner of ours: the dose reports of OpenREM 0.10.0, fetched, never committed.

The recorded technique is kept where the report has it and the scanner can run it; whatever is mapped, derived or assumed is
noted in the exam. Documented defaults: age 50 years, unknown sex, 75 kg, 170 cm, no contrast; pitch, rotation, collimation,
slice and voltage are those that `models/ct/objectives.toml` names first for the objective; a missing current follows from
the reported CTDIvol. The stated dose is what our scanner gives for the technique; the reported one is in the notes.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gantryguard.client.fetch import OPENREM, download_sdist
from gantryguard.clinic import objectives as tables_of
from gantryguard.clinic import schema
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.envelope import violations
from gantryguard.clinic.exams import Exam, exam_of, start_of, usual_protocol
from gantryguard.clinic.objectives import Protocol
from gantryguard.clinic.rdsr import Event, Imported, Skipped, import_reports
from gantryguard.clinic.scanner import Scanner, reference_scanner
from gantryguard.errors import UserError

FOLDER = "openrem/remapp/tests/test_files"
# Sessions with a test object whose reports do not say so in words.
TEST_OBJECTS = {
    "CT-ESR-GE_VCT.dcm": "a test session: 27 events over both dose phantoms, nine at one table position",
    "CT-RDSR-Siemens_Flash-QA-DS.dcm": "a test session: the same slab at 80, 100, 120 and 140 kV",
}
AGE_YEARS, WEIGHT_KG, HEIGHT_CM = 50.0, 75.0, 170.0
CHILD_BELOW_YEARS = 18.0
LOCALISER_MA, LOCALISER_KVP, LOCALISER_SPEED_MM_S, LOCALISER_COLLIMATION_MM = 35.0, 120.0, 100.0, 5.0
LOCALISER_MARGIN_MM = 100.0

# The protocol's name decides before the target region: a 'TAP' scan may name the abdomen alone.
PROTOCOLS = (
    (r"\b(TAP|CAP|TCAP|C/A/P)\b", "cap"),
    (r"CTPA|pulmonary|embol", "ctpa"),
    (r"calcium|ca.?score|smart.?score", "calcium_score"),
    (r"coronar|CCTA|cardiac", "ccta"),
    (r"perfusion", "perfusion"),
    (r"sinus", "sinus"),
    (r"c-?spine|cervical", "c_spine"),
    (r"l-?spine|lumbar", "l_spine"),
    (r"LDCT|screening", "chest_ldct"),
    (r"chest|thorax|lung", "chest"),
    (r"abdo|pelvis|liver|colon|kidney|KUB|renal", "abdomen_pelvis"),
    (r"head|brain|skull", "head"),
    (r"neck", "neck"),
)
REGION_OBJECTIVES = {
    "head": "head",
    "neck": "neck",
    "chest": "chest",
    "abdomen": "abdomen_pelvis",
    "pelvis": "abdomen_pelvis",
    "abdomen and pelvis": "abdomen_pelvis",
    "chest and abdomen": "cap",
    "chest, abdomen and pelvis": "cap",
    "entire body": "cap",
    "heart": "ccta",
}
CHILD_OBJECTIVES = {"head": "paed_head", "chest": "paed_chest", "abdomen_pelvis": "paed_abdomen_pelvis"}


@dataclass(frozen=True)
class RealExams:
    """Exams from reports, what was left out and why; `unavailable` says why there are no reports at all."""

    exams: tuple[Exam, ...]
    skipped: tuple[Skipped, ...]
    unavailable: str = ""


def real_exams(say: Callable[[str], None], scanner: Scanner | None = None) -> RealExams:
    """The exams of the public reports for a scanner (default the reference scanner); fetches them once."""
    try:
        reports = openrem_reports(download_sdist(OPENREM, say))
    except (UserError, OSError, tarfile.TarError) as error:
        return RealExams((), (), unavailable=str(error))
    return exams_of(import_reports(reports), scanner or reference_scanner())


def openrem_reports(archive: Path) -> list[tuple[str, bytes]]:
    """The CT files of the verified archive as (name, contents), in order of name; nothing is written to disk."""
    reports = []
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            path = Path(member.name)
            if member.isfile() and FOLDER in member.name and path.match("CT-*.dcm"):
                file = tar.extractfile(member)
                reports.append((path.name, file.read() if file else b""))
    return sorted(reports)


def clinical(imported: Imported) -> tuple[list[Event], list[Skipped]]:
    """Events of patients' exams, and the others with the reason why they are none."""
    kept, skipped = [], list(imported.skipped)
    for event in imported.events:
        reason = TEST_OBJECTS.get(event.report, "")
        if not reason and event.quality_assurance:
            reason = f"quality assurance: {event.quality_assurance!r}"
        if not reason and event.repeats:
            reason = "another phase with exactly the technique and range of the event before"
        if reason:
            skipped.append(Skipped(event.report, event.index, reason))
        else:
            kept.append(event)
    return kept, skipped


def exams_of(imported: Imported, scanner: Scanner) -> RealExams:
    """An exam for every clinical spiral, with the localiser before it where there is one."""
    events, skipped = clinical(imported)
    exams: list[Exam] = []
    waiting: Event | None = None  # the last localiser; `used` once a spiral was planned on it
    used = False
    for event in events:
        if event.acquisition == "constant_angle":
            if waiting and not used:
                skipped.append(Skipped(waiting.report, waiting.index, "a localiser that no scan followed"))
            waiting, used = event, False
        elif event.acquisition != "spiral":
            skipped.append(Skipped(event.report, event.index, f"{event.acquisition or 'unknown'} scan: no exam by itself"))
        else:
            plan = waiting if waiting and waiting.study_uid == event.study_uid else None
            made = exam_from(event, plan, scanner)
            if isinstance(made, Exam):
                exams.append(made)
                used = used or plan is not None
            else:
                skipped.append(made)
    return RealExams(tuple(exams), tuple(skipped))


def objective_of(event: Event) -> str | None:
    """Clinical objective from the protocol's name, else the target region, and the age; None if neither says."""
    return objective_named(event.protocol, event.region, event.patient.age_years)


def objective_named(protocol: str, region: str | None, age: float | None) -> str | None:
    """The same from a protocol's name, a region as in `REGION_OBJECTIVES` and an age in years."""
    by_name = (name for pattern, name in PROTOCOLS if re.search(pattern, protocol, re.IGNORECASE))
    found = next(by_name, None) or REGION_OBJECTIVES.get(region or "")
    return CHILD_OBJECTIVES.get(found, found) if found and age is not None and age < CHILD_BELOW_YEARS else found


def exam_from(event: Event, localiser: Event | None, scanner: Scanner) -> Exam | Skipped:
    """The exam of one spiral, or the reason why the scanner cannot run it."""
    objective = objective_of(event)
    if objective is None:
        return Skipped(event.report, event.index, "no objective: neither protocol nor region says what was scanned")
    if len({source.kvp for source in event.sources}) > 1:
        return Skipped(event.report, event.index, "dual energy: two voltages at once")
    protocol = usual_protocol(objective)
    notes = [*event.notes]
    scan = _scan(event, objective, protocol, scanner, notes)
    if isinstance(scan, str):
        return Skipped(event.report, event.index, scan)
    commands = Commands.from_rows([scan])
    broken = [name for name, rows in violations(scanner, commands).items() if rows.any()]
    if broken:
        return Skipped(event.report, event.index, f"beyond the scanner: {', '.join(broken)}")
    plan = _localiser(localiser, scan, scanner, notes) if localiser else None
    name = f"{Path(event.report).stem}-{event.index}"
    return exam_of(name, scan, plan, start_mm=start_of(protocol, scan, scanner), notes=tuple(notes))


def _context(event: Event, objective: str, notes: list[str]) -> dict[str, float]:
    patient = event.patient
    age = _or_default(patient.age_years, AGE_YEARS, "age", "years", notes)
    if patient.sex is None:
        notes.append("sex unknown")
    if event.contrast is None:
        notes.append("contrast not recorded: taken as none")
    return {
        "objective": schema.OBJECTIVES[objective],
        "age_years": round(age * 12) / 12,
        "sex": schema.SEXES[patient.sex or "unknown"],
        "weight_kg": _or_default(patient.weight_kg, WEIGHT_KG, "weight", "kg", notes),
        "height_cm": _or_default(patient.height_cm, HEIGHT_CM, "height", "cm", notes),
        "contrast": float(bool(event.contrast)),
        "pregnant": 0.0,
    }


def _scan(event: Event, objective: str, protocol: Protocol, scanner: Scanner, notes: list[str]) -> dict[str, float] | str:
    """The command of a spiral, or the reason why there is none."""
    source, length = event.first, event.scan_length_mm
    if not length:
        return "no scan length"
    if not source.ma and not event.ctdivol_mgy:
        return "neither tube current nor CTDIvol"
    kvp = _or_default(source.kvp, scanner.kvp_reference_kv, "voltage", "kV", notes)
    rotation = _or_default(source.rotation_s, protocol.rotation_s[0], "rotation", "s", notes)
    collimation = _or_default(event.collimation_mm, protocol.collimation_mm[0], "collimation", "mm", notes)
    command = _context(event, objective, notes) | {
        "scan_mode": float(schema.HELICAL),
        "kvp": _station(kvp, scanner.kvp_stations_kv, "voltage", "kV", notes),
        "ma": 1.0,
        "rotation_s": _station(rotation, scanner.rotation_times_s, "rotation", "s", notes),
        "pitch": _or_default(event.pitch, protocol.pitch[0], "pitch", "", notes),
        "collimation_mm": _station(collimation, scanner.collimations_mm, "collimation", "mm", notes),
        "slice_mm": _station(protocol.slice_mm[0], scanner.slices_mm, "slice", "mm", notes),
        "scan_length_mm": round(length, 1),
        "table_speed_mm_s": 0.0,
        "tilt_deg": 0.0,
        "ctdivol_mgy": 0.0,
        "dlp_mgycm": 0.0,
        "phantom_cm": _or_default(event.phantom_cm, protocol.phantom_cm, "phantom", "cm", notes),
        "rotations": 1.0,
    }
    notes.append(f"slice not recorded: {command['slice_mm']:g} mm")
    command["ma"] = _current(event, command, scanner, notes)
    notes.append(f"reported CTDIvol {event.ctdivol_mgy} mGy, DLP {event.dlp_mgycm} mGy.cm")
    return scanner.restated(Commands.from_rows([command])).row(0)


def _current(event: Event, command: dict[str, float], scanner: Scanner, notes: list[str]) -> float:
    """Tube current in mA; where it follows from CTDIvol, a rotation that was assumed may turn slower for it."""
    wanted = sum(source.ma or 0.0 for source in event.sources)
    if not wanted and event.ctdivol_mgy:
        top = min(scanner.ma_max_ma, scanner.generator_kw * 1000 / command["kvp"])
        wanted = event.ctdivol_mgy / float(scanner.ctdivol_mgy(command))
        slower = [turn for turn in scanner.rotation_times_s if turn >= command["rotation_s"] * wanted / top]
        if wanted > top and slower and event.first.rotation_s is None:
            wanted *= command["rotation_s"] / slower[0]
            command["rotation_s"] = slower[0]
            notes.append(f"rotation {slower[0]:g} s, as the generator needs for that dose")
        notes.append(f"tube current not recorded: {wanted:.0f} mA from the reported CTDIvol")
    kept = float(np.clip(np.round(wanted / scanner.ma_step_ma) * scanner.ma_step_ma, scanner.ma_min_ma, scanner.ma_max_ma))
    if abs(kept - wanted) > scanner.ma_step_ma / 2:
        notes.append(f"tube current {wanted:g} mA run at {kept:g} mA")
    return kept


def _localiser(event: Event, scan: dict[str, float], scanner: Scanner, notes: list[str]) -> dict[str, float]:
    """The localiser's command for the patient of the scan."""
    own: list[str] = []
    source = event.first
    length, speed = event.scan_length_mm, LOCALISER_SPEED_MM_S
    if length and event.exposure_s:
        speed = length / event.exposure_s
    elif event.exposure_s:
        length = event.exposure_s * speed
        own.append(f"length {length:.0f} mm from the exposure time")
    else:
        length = scan["scan_length_mm"] + LOCALISER_MARGIN_MM
        own.append(f"length not recorded: {length:.0f} mm")
    kvp = _or_default(source.kvp, LOCALISER_KVP, "voltage", "kV", own)
    ma = _or_default(source.ma, LOCALISER_MA, "current", "mA", own)
    width = tables_of.snapped([LOCALISER_COLLIMATION_MM], scanner.collimations_mm)[0]
    changes = {
        "scan_mode": float(schema.LOCALISER),
        "kvp": _station(kvp, scanner.kvp_stations_kv, "voltage", "kV", own),
        "ma": float(np.clip(ma, scanner.localiser_ma_min_ma, scanner.localiser_ma_max_ma)),
        "rotation_s": 0.0,
        "pitch": 0.0,
        "collimation_mm": scanner.collimations_mm[width],
        "slice_mm": scanner.collimations_mm[width],
        "scan_length_mm": round(length, 1),
        "table_speed_mm_s": min(speed, scanner.table_speed_max_mm_s),
    }
    notes.extend(f"localiser: {note}" for note in own)
    return scanner.restated(Commands.from_rows([scan | changes])).row(0)


def _or_default(value: float | None, default: float, what: str, unit: str, notes: list[str]) -> float:
    if value is not None and value > 0:
        return value
    notes.append(f"{what} not recorded: {default:g} {unit}".rstrip())
    return default


def _station(value: float, stations: Iterable[float], what: str, unit: str, notes: list[str]) -> float:
    nearest = min(stations, key=lambda station: abs(station - value))
    if nearest != value:
        notes.append(f"{what} {value:g} {unit} mapped to {nearest:g} {unit}".rstrip())
    return nearest
