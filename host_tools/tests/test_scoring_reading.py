"""Tables of scan commands: cells, headers, and every mistake named by row and column with its own exit code."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantryguard import errors, paths
from gantryguard.clinic import schema
from gantryguard.clinic.cells import REQUIRED, CellError, number, text_of
from gantryguard.clinic.importers.found import SOURCE_COLUMNS
from gantryguard.errors import UserError
from gantryguard.scoring.reading import Block, opened
from gantryguard.scoring.scorer import RESULTS

KVP, SEX, CONTRAST, OBJECTIVE = (schema.COLUMN[name] for name in ("kvp", "sex", "contrast", "objective"))
HEADER = ",".join(REQUIRED)
GOOD = "chest,60,male,80,180,yes,no,helical,120,150,0.5,1,40,5,300,,0,,,32"


def blocks(path: Path, rows: int = 4096) -> list[Block]:
    """All blocks of a file."""
    with opened(str(path)) as file:
        return list(file.blocks(rows))


def table(place: Path, *lines: str) -> Path:
    """A file of these lines."""
    path = place / "in.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        (KVP, " 120 ", 120.0),
        (KVP, "1e2", 100.0),
        (SEX, "Female", 1.0),
        (SEX, "2", 2.0),
        (CONTRAST, "TRUE", 1.0),
        (CONTRAST, "no", 0.0),
        (OBJECTIVE, "CTPA", 6.0),
        (OBJECTIVE, "99", 99.0),
    ],
)
def test_cells_are_read(column: schema.Column, cell: str, value: float) -> None:
    assert number(column, cell) == value


@pytest.mark.parametrize("cell", ["12o", "1,5", "nan", "inf", "-inf", "1_0", "0x10"])
def test_what_is_no_number_is_refused(cell: str) -> None:
    with pytest.raises(CellError) as caught:
        number(KVP, cell)
    assert not caught.value.is_name


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(CellError, match="nearest: chest, ") as caught:
        number(OBJECTIVE, "chets")
    assert caught.value.is_name
    with pytest.raises(CellError, match="unknown, female, male"):
        number(SEX, "?")


@given(st.sampled_from(schema.COLUMNS), st.text())
def test_any_text_is_a_number_or_refused(column: schema.Column, cell: str) -> None:
    try:
        value = number(column, cell)
    except CellError:
        return
    assert math.isfinite(value) or not cell.strip()


@given(st.sampled_from(schema.COLUMNS), st.floats(0, 1e6) | st.integers(0, 18))
def test_a_written_cell_reads_back(column: schema.Column, value: float) -> None:
    assert number(column, text_of(column, value)) == pytest.approx(value, rel=1e-9)
    assert math.isnan(number(column, text_of(column, math.nan)))


def test_rows_keep_their_order_numbers_and_extra_columns(tmp_path: Path) -> None:
    path = table(tmp_path, f"site,{HEADER}", *(f"s{i},{GOOD}" for i in range(5)), "", f"s5,{GOOD}")
    read = blocks(path, 4)
    assert [(block.first_row, len(block)) for block in read] == [(1, 4), (5, 2)]
    assert [row[0] for block in read for row in block.cells] == [f"s{i}" for i in range(6)]
    assert np.isnan(read[0].columns["rotations"]).all()
    assert np.isnan(read[0].columns["ctdivol_mgy"]).all()


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        ([], errors.NO_HEADER, "no header"),
        (["1,2,3"], errors.NO_HEADER, "no header.*Begin with objective"),
        ([HEADER.replace(",", ";")], errors.NO_HEADER, "no header.*Separate cells by commas"),
        ([HEADER.replace("kvp", "kVp")], errors.NO_COLUMN, "lacks the column kvp .is 'kVp' meant"),
        ([HEADER + ",kvp"], errors.NO_COLUMN, "'kvp' twice"),
        ([HEADER, GOOD, GOOD.replace(",120,", ",12o,")], errors.BAD_CELL, "row 2: column kvp: '12o' is no number"),
        ([HEADER, GOOD, GOOD + ",1"], errors.BAD_CELL, "row 2: 21 cells, but 20 columns"),
        ([HEADER, GOOD, GOOD, GOOD.replace("chest", "chst")], errors.UNKNOWN_NAME, "row 3: column objective: .*nearest: chest"),
        ([HEADER, GOOD.replace("helical", "spiral")], errors.UNKNOWN_NAME, "row 1: column scan_mode: .*nearest: "),
    ],
)
def test_mistakes_have_their_place_and_code(tmp_path: Path, lines: list[str], code: int, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        blocks(table(tmp_path, *lines))
    assert caught.value.exit_code == code


def test_a_missing_file_and_a_binary_one(tmp_path: Path) -> None:
    for name, data in (("none.csv", None), ("binary.csv", b"\xff\xfe\x00")):
        path = tmp_path / name
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(UserError) as caught:
            blocks(path)
        assert caught.value.exit_code == errors.NO_FILE


@given(data=st.binary(max_size=400), after_header=st.booleans())
def test_arbitrary_bytes_are_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, after_header: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes((HEADER + "\n" + GOOD + "\n").encode() + data if after_header else data)
    codes = [errors.NO_FILE]
    try:
        blocks(path)
    except UserError as error:
        codes.append(error.exit_code)
    assert max(codes) <= errors.UNKNOWN_NAME
    assert min(codes) >= errors.NO_FILE


def test_the_document_names_every_column_and_code() -> None:
    text = (paths.ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    words = set(re.findall(r"[a-z0-9_]+", text))
    codes = [code for name, code in vars(errors).items() if name.isupper() and code < errors.KEY_FILE]
    assert not {*schema.NAMES, *schema.OBJECTIVES, *schema.SCAN_MODES, *SOURCE_COLUMNS, *RESULTS, *map(str, codes)} - words
