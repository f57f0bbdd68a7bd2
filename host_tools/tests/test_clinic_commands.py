"""The table of commands: lengths, selection, and CSV there and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gantryguard.clinic import schema
from gantryguard.clinic.commands import Commands, from_csv
from gantryguard.clinic.generator import generate
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.errors import UserError

NORMALS = generate(300, scanner=reference_scanner(), seed=11)


def written(path: Path, commands: Commands) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        commands.to_csv(file)
    return path


def assert_same(left: Commands, right: Commands) -> None:
    for name in schema.NAMES:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)
    assert left.extras == right.extras


def test_csv_reads_back_the_same_in_pieces(tmp_path: Path) -> None:
    holes = NORMALS.replace(weight_kg=np.where(NORMALS["sex"] == schema.MALE, np.nan, NORMALS["weight_kg"]))
    whole = Commands(holes.columns, {"remark": [f"row {n}, with a comma" for n in range(len(holes))]})
    pieces = list(from_csv(written(tmp_path / "a.csv", whole), chunk_rows=64))
    assert [len(piece) for piece in pieces] == [64, 64, 64, 64, 44]
    assert_same(Commands.concat(pieces), whole)


def test_csv_names_codes_and_leaves_unknown_cells_empty(tmp_path: Path) -> None:
    one = NORMALS.take([0]).replace(objective=schema.OBJECTIVES["cap"], weight_kg=np.nan, pitch=0.98)
    header, row = written(tmp_path / "a.csv", one).read_text(encoding="utf-8").splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    assert (cells["objective"], cells["weight_kg"], cells["pitch"]) == ("cap", "", "0.98")
    first = "objective,age_years,sex,weight_kg,height_cm,contrast,pregnant,scan_mode,kvp,ma,rotation_s,pitch,collimation_mm,"
    second = "slice_mm,scan_length_mm,table_speed_mm_s,tilt_deg,ctdivol_mgy,dlp_mgycm,phantom_cm,rotations"
    assert header == first + second


def test_csv_without_rotations_leaves_them_unknown(tmp_path: Path) -> None:
    lines = written(tmp_path / "a.csv", NORMALS.take([0])).read_text(encoding="utf-8").splitlines()
    (tmp_path / "b.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines), encoding="utf-8")
    (read,) = from_csv(tmp_path / "b.csv")
    assert np.isnan(read["rotations"]).all()


@pytest.mark.parametrize(
    ("column", "cell", "what"),
    [("kvp", "many", "line 3, kvp: 'many'"), ("objective", "liver", "line 3, objective"), ("ma", "inf", "not finite")],
)
def test_a_bad_cell_is_named_by_line_and_column(tmp_path: Path, column: str, cell: str, what: str) -> None:
    lines = written(tmp_path / "a.csv", NORMALS.take([0, 1])).read_text(encoding="utf-8").splitlines()
    cells = lines[2].split(",")
    cells[schema.NAMES.index(column)] = cell
    (tmp_path / "a.csv").write_text("\n".join([*lines[:2], ",".join(cells)]), encoding="utf-8")
    with pytest.raises(UserError, match=what):
        list(from_csv(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("objective,kvp\nhead,120\n", "header lacks age_years"),
        (",".join([*schema.NAMES, "kvp"]) + "\n", "header repeats kvp"),
        (",".join(schema.NAMES) + "\n1,2\n", "line 2: 2 cells"),
        ("", "header lacks"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=what):
        list(from_csv(tmp_path / "a.csv"))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00objective")
    with pytest.raises(UserError, match="cannot be read"):
        list(from_csv(tmp_path / "a.csv"))
    with pytest.raises(UserError, match="cannot be read"):
        list(from_csv(tmp_path / "missing.csv"))


def test_lengths_and_columns_are_checked() -> None:
    with pytest.raises(ValueError, match="unequal length"):
        Commands(NORMALS.columns | {"kvp": np.zeros(3)})
    with pytest.raises(ValueError, match="missing or unknown columns: kvp"):
        Commands({name: column for name, column in NORMALS.columns.items() if name != "kvp"})


def test_take_and_concat() -> None:
    evens = NORMALS.take(np.arange(0, 300, 2))
    assert_same(Commands.concat([NORMALS.take([0, 1]), NORMALS.take([2])]), NORMALS.take([0, 1, 2]))
    np.testing.assert_array_equal(evens["kvp"], NORMALS["kvp"][::2])
    assert_same(NORMALS.take(NORMALS["scan_mode"] > 0), NORMALS)
    evens["kvp"][:] = 0
    assert NORMALS["kvp"].min() > 0


def test_codes_are_stable() -> None:
    assert list(schema.OBJECTIVES.values()) == list(range(1, 19))
    assert schema.SCAN_MODES == {"localiser": 1, "axial": 2, "helical": 3, "stationary": 4}
    assert schema.SEXES == {"unknown": 0, "female": 1, "male": 2}
    assert schema.OBJECTIVES["head"] == 1
    assert schema.OBJECTIVES["paed_head"] == 18
