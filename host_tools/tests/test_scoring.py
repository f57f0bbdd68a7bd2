"""`model score`: the bulk judge is the device's, proposals are core's, empty cells are what the documents say."""

from __future__ import annotations

import csv
import io
import json
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gantryguard import errors, paths
from gantryguard.cli.main import main
from gantryguard.clinic import schema
from gantryguard.clinic.anomalies import make_anomalies
from gantryguard.clinic.cells import REQUIRED
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.exams import usual_protocol
from gantryguard.clinic.generator import generate
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.errors import UserError
from gantryguard.profiles.profile import Profile
from gantryguard.scoring.bulk import BulkJudge
from gantryguard.scoring.filling import filled
from gantryguard.scoring.parity import CoreParity, OnnxParity
from gantryguard.scoring.proposals import proposals
from gantryguard.scoring.reading import opened
from gantryguard.scoring.scorer import RESULTS, Scorer
from interposer.core.reasons import BLOCK, PASS
from interposer.core.suggestion import Suggestion
from interposer.core.verdict import Judge

SCANNER = reference_scanner()
GRAPHS = paths.MODELS / "ct"
PLAIN = {
    "objective": "chest",
    "age_years": "60",
    "sex": "male",
    "weight_kg": "80",
    "height_cm": "180",
    "scan_mode": "helical",
    "kvp": "120",
    "ma": "150",
    "rotation_s": "0.5",
    "pitch": "1",
    "collimation_mm": "40",
    "slice_mm": "5",
    "scan_length_mm": "300",
}


def mixed(rows: int = 120) -> Commands:
    """Normals and anomalies of every kind."""
    normals = generate(2000, scanner=SCANNER, seed=11)
    anomalies = make_anomalies(normals, 12, scanner=SCANNER, per_kind=3).commands
    return Commands.concat([normals.take(np.arange(rows)), anomalies])


def scored(place: Path, commands: Commands, profile: Profile, **options: Any) -> list[dict[str, str]]:
    """Rows that come out for commands that go in."""
    path = place / "in.csv"
    with path.open("w", encoding="utf-8") as file:
        commands.to_csv(file)
    out = io.StringIO()
    with opened(str(path)) as table:
        Scorer(profile, GRAPHS, **options).run(table, out)
    return list(csv.DictReader(io.StringIO(out.getvalue())))


def columns(**cells: float) -> dict[str, np.ndarray]:
    """One row; what is not given is unknown."""
    return {name: np.array([cells.get(name, np.nan)]) for name in schema.NAMES}


def test_the_devices_core_agrees_on_every_kind_of_command(tmp_path: Path, ct: Profile) -> None:
    commands = mixed()
    rows = scored(tmp_path, commands, ct, core_every=1)  # raises where core or onnxruntime says otherwise
    assert len(rows) == len(commands)
    assert {row["verdict"] for row in rows} == {"PASS", "HOLD", "BLOCK"}
    assert {row["reason"] for row in rows} >= {"NONE", "ENVELOPE", "MISMATCH", "ABNORMAL_FOR_CONTEXT", "BAD_FIELD"}


def test_a_planted_difference_is_found(ct: Profile) -> None:
    judge = BulkJudge(ct)
    matrix = judge.values(mixed(40).columns)
    findings = judge.judge(matrix)
    CoreParity(judge).check(matrix, findings, 1, 1)
    findings.verdict[7] = BLOCK if findings.verdict[7] == PASS else PASS
    with pytest.raises(UserError, match="row 8") as caught:
        CoreParity(judge).check(matrix, findings, 1, 1)
    assert caught.value.exit_code == errors.DISAGREEMENT
    findings.outputs[1][5] += 1
    with pytest.raises(UserError, match=r"onnxruntime.*row 106") as caught:
        OnnxParity(judge, GRAPHS).check(matrix, findings, 101)
    assert caught.value.exit_code == errors.DISAGREEMENT


def test_scores_are_compared_too(ct: Profile) -> None:
    judge = BulkJudge(ct)
    matrix = judge.values(mixed(4).columns)
    findings = judge.judge(matrix)
    findings.scores[0, 0] += 1
    with pytest.raises(UserError, match="row 1"):
        CoreParity(judge).check(matrix, findings, 1, 1)


def test_proposals_are_those_of_the_device(ct: Profile) -> None:
    judge = BulkJudge(ct)
    matrix = judge.values(mixed(1).columns)
    findings = judge.judge(matrix)
    ours = proposals(judge, matrix, findings)
    refused = [
        row for row in np.flatnonzero(findings.verdict != PASS).tolist() if findings.limit[row] + findings.network[row] > -2
    ]
    core: Any = Judge(ct.package)
    search: Any = Suggestion(ct.package, core)
    theirs = {}
    for row in refused[::4]:
        core.exam.trial[:] = array("i", matrix[row].tolist())
        core.assess(core.exam.trial, judge.parameters)
        core.result[0] = judge.parameters
        if search.start():
            while not search.step():
                pass
        if search.found:
            theirs[row] = (search.slot, search.value)
    assert theirs == {row: ours[row] for row in refused[::4] if row in ours}
    assert len(theirs) > 10


def test_a_command_that_states_nothing_is_judged_by_what_the_guard_computes(tmp_path: Path, ct: Profile) -> None:
    commands = generate(60, scanner=SCANNER, seed=5)
    silent = commands.replace(table_speed_mm_s=np.nan, ctdivol_mgy=np.nan, dlp_mgycm=np.nan, rotations=np.nan)
    scans = silent.take(np.flatnonzero((commands["scan_mode"] != schema.LOCALISER) & (commands["rotations"] == 1)))
    assert len(scans) > 40
    rows = scored(tmp_path, scans, ct, core_every=1)
    assert "MISMATCH" not in {row["reason"] for row in rows}


def test_columns_of_an_earlier_score_are_replaced(tmp_path: Path, ct: Profile) -> None:
    once = scored(tmp_path, mixed(3), ct)
    path = tmp_path / "again.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*once[0], "site"])
        writer.writeheader()
        writer.writerows({**row, "verdict": "stale", "site": "here"} for row in once)
    out = io.StringIO()
    with opened(str(path)) as table:
        Scorer(ct).run(table, out)
    again = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert [row.pop("site") for row in again] == ["here"] * len(once)
    assert again == once


@pytest.mark.parametrize(
    ("cells", "name", "value"),
    [
        ({"tilt_deg": -22}, "scan_mode", schema.AXIAL),
        ({"rotation_s": 0}, "scan_mode", schema.LOCALISER),
        ({"pitch": 0}, "scan_mode", schema.STATIONARY),
        ({"objective": 4}, "scan_mode", schema.HELICAL),
        ({"objective": 1}, "scan_mode", schema.AXIAL),
        ({"objective": 1}, "phantom_cm", 16),
        ({"objective": 7}, "phantom_cm", 32),
        ({"scan_mode": 3, "table_speed_mm_s": 80, "rotation_s": 0.5, "collimation_mm": 40}, "pitch", 1),
        ({"scan_mode": 3, "table_speed_mm_s": 80, "pitch": 1, "collimation_mm": 40}, "rotation_s", 0.5),
        ({"scan_mode": 1}, "ma", 35),
        ({"scan_mode": 1}, "table_speed_mm_s", 100),
        ({"scan_mode": 4, "objective": 11, "collimation_mm": 160}, "scan_length_mm", 160),
        ({"objective": 7, "height_cm": 170, "ctdivol_mgy": 10, "dlp_mgycm": 446.8, "pitch": 1, "collimation_mm": 40},
         "scan_length_mm", 400),
        ({"objective": 1}, "scan_length_mm", usual_protocol("head").length_mm),
        ({"objective": 17, "age_years": 5}, "scan_length_mm", round(usual_protocol("paed_chest").length_per_height * 1085)),
        ({"objective": 4}, "kvp", 120),
        ({"objective": 4}, "rotations", 1),
    ],
)  # fmt: skip
def test_empty_cells_become_what_the_documents_say(cells: dict[str, float], name: str, value: float) -> None:
    rows = filled(columns(**cells))
    assert rows[name][0] == pytest.approx(value)
    assert rows.assumed[name][0]


def test_what_is_stated_is_never_changed() -> None:
    commands = mixed(50)
    for name, column in filled(commands.columns).columns.items():
        stated = ~np.isnan(commands[name])
        assert np.array_equal(column[stated], commands[name][stated]), name


@pytest.mark.parametrize("stated", ["ctdivol_mgy", "dlp_mgycm"])
def test_an_unknown_current_follows_from_the_dose(stated: str) -> None:
    row = generate(1, scanner=SCANNER, seed=1, objectives=["chest"])
    known = row.replace(**dict.fromkeys(("ma", "ctdivol_mgy", "dlp_mgycm"), np.nan)).replace(**{stated: row[stated]})
    assert filled(known.columns)["ma"][0] == pytest.approx(row["ma"][0], abs=1.1)


def test_an_assumed_rotation_turns_slower_for_a_dose_that_the_generator_could_not_give() -> None:
    dose = {"objective": 8, "scan_mode": schema.HELICAL, "kvp": 120, "ctdivol_mgy": 25.4, "collimation_mm": 40, "pitch": 0.98}
    rows = filled(columns(**dose))
    assert rows["rotation_s"][0] > SCANNER.rotation_times_s[0]
    assert rows["ma"][0] * 0.12 <= SCANNER.generator_kw
    assert SCANNER.ctdivol_mgy(rows.columns)[0] == pytest.approx(25.4, rel=0.01)
    assert filled(columns(**dose, rotation_s=0.28))["rotation_s"][0] == 0.28


def test_a_row_without_current_or_dose_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "in.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, REQUIRED)
        writer.writeheader()
        writer.writerows([PLAIN, {**PLAIN, "ma": ""}, {**PLAIN, "objective": ""}])
    assert main(["model", "score", str(path), "--explain"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["verdict"], row["reason"], row["blamed_field"]) for row in rows] == [
        ("PASS", "NONE", ""),
        ("BLOCK", "ENVELOPE", "ma"),
        ("BLOCK", "BAD_FIELD", "objective"),
    ]
    assert "tube current" in rows[1]["why"]
    assert rows[0]["assumed"] == "tilt_deg=0;phantom_cm=32;rotations=1"


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    with path.open("w", encoding="utf-8") as file:
        mixed(30).to_csv(file)
    assert main(["model", "score", str(path), "-o", str(out), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["rows"] == len(out.read_text(encoding="utf-8").splitlines()) - 1
    assert facts["onnxruntime_compared"] == facts["rows"] * facts["onnxruntime_published_graphs"]
    assert tuple(out.read_text(encoding="utf-8").splitlines()[0].split(",")[-5:]) == RESULTS


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nowhere.csv"], errors.NO_FILE),
        (["{good}", "-o", "/nowhere/out.csv"], errors.NO_FILE),
        (["{good}", "-o", "."], errors.NO_FILE),
        (["{good}", "--json"], 2),
        (["{good}", "--profile", "nowhere"], 5),
        (["{bad}"], errors.BAD_CELL),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int) -> None:
    header = ",".join(REQUIRED)
    (tmp_path / "good").write_text(header + "\n", encoding="utf-8")
    (tmp_path / "bad").write_text(f"{header}\n{'x,' * 19}x\n".replace("\nx", "\nchest"), encoding="utf-8")
    filled_in = [part.format(good=tmp_path / "good", bad=tmp_path / "bad") for part in arguments]
    assert main(["model", "score", *filled_in]) == code
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "Remedy: " in line


def test_a_failed_run_leaves_the_old_output(tmp_path: Path) -> None:
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text(",".join(REQUIRED) + "\nrubbish\n", encoding="utf-8")
    out.write_text("old", encoding="utf-8")
    assert main(["model", "score", str(path), "-o", str(out)]) == errors.BAD_CELL
    assert out.read_text(encoding="utf-8") == "old"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["in.csv", "out.csv"]
