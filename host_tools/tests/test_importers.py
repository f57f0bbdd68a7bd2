"""`data import`: every kind of file into one table, duplicates once, everything else listed with its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ct_images as ct
import dose_reports as sr
import pytest
from import_desk import ROW, Desk

from gantryguard import errors
from gantryguard.cli.main import main
from gantryguard.client.fetch import OPENREM, download_sdist
from gantryguard.clinic.cells import REQUIRED
from gantryguard.clinic.importers import run as importing
from gantryguard.clinic.importers.found import COLUMNS
from gantryguard.clinic.importers.run import Order, run
from gantryguard.errors import UserError


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_files_of_every_kind_come_into_one_table(desk: Desk) -> None:
    desk.put("a/report.dcm", sr.report(sr.event("1.1", protocol="Thorax")))
    desk.put("b/image", ct.image())
    desk.put("c.csv", ",".join(REQUIRED) + "\n" + ROW + "\n")
    outcome = desk.run()
    assert (outcome.files, outcome.imported, outcome.skipped) == (3, 3, 0)
    rows = desk.rows()
    assert [row["kind"] for row in rows] == ["dose report", "image header", "table"]
    assert {(row["objective"], row["kvp"], row["ma"], row["pitch"]) for row in rows} == {("chest", "120", "150", "1")}
    assert tuple(rows[0]) == COLUMNS
    assert not desk.order().journal.exists()


def test_what_was_imported_can_be_scored(desk: Desk) -> None:
    desk.put("report.dcm", sr.report(sr.event("1.1", protocol="Thorax", dlp=None, ctdivol=None)))
    desk.run()
    assert main(["model", "score", str(desk.output), "-o", str(desk.folder / "scored.csv"), "--core-every", "1"]) == 0


def test_cumulative_reports_count_once_and_twins_are_listed(desk: Desk) -> None:
    first, second = sr.event("1.1"), sr.event("1.2", length=300)
    desk.put("a.dcm", sr.report(first))
    desk.put("b.dcm", sr.report(first, second))
    desk.put("c.dcm", sr.report(second, sr.event("1.2", length=300)))
    outcome = desk.run()
    assert [row["scan_length_mm"] for row in desk.rows()] == ["450", "300", "300"]
    assert [(name, reason.split("/")[-1]) for name, _, reason in desk.skips()] == [
        ("b.dcm", "a.dcm"),
        ("c.dcm", "another phase with exactly the technique and range of the event before"),
    ]
    assert outcome.reasons["the same event as another"] == 1


def test_images_of_one_scan_add_up(desk: Desk) -> None:
    for number, z in enumerate((0.0, 10.0, -20.0)):
        desk.put(f"{number}.dcm", ct.image(z, XRayTubeCurrent=100 + 50 * number))
    outcome = desk.run()
    (row,) = desk.rows()
    assert (row["images"], row["ma"], row["scan_length_mm"]) == ("3", "150", "35")
    assert (outcome.files, outcome.skipped) == (3, 0)


def test_reconstructions_of_one_acquisition_are_one_scan(desk: Desk) -> None:
    for series, thick in (("1.2.9.1", "5"), ("1.2.9.2", "1")):
        for z in (0.0, 100.0):
            desk.put(f"{series}-{z}.dcm", ct.image(z, SeriesInstanceUID=series, SliceThickness=thick))
    desk.put("other.dcm", ct.image(0.0, SeriesInstanceUID="1.2.9.3", AcquisitionNumber=3))
    desk.run()
    assert sorted(row["images"] for row in desk.rows()) == ["1", "2"]
    assert [reason.startswith("another reconstruction of the scan in ") for _, _, reason in desk.skips()] == [True]


def test_a_header_completes_the_dose_report_of_its_event(desk: Desk) -> None:
    desk.put("image.dcm", ct.image(GantryDetectorTilt="-22", SliceThickness="2.5", IrradiationEventUID="1.1", KVP="100"))
    desk.put("report.dcm", sr.report(sr.event("1.1", protocol="Thorax")))
    outcome = desk.run()
    (row,) = desk.rows()
    assert (row["kind"], row["slice_mm"], row["tilt_deg"], row["kvp"]) == ("dose report", "2.5", "-22", "120")
    assert "from image headers: slice_mm, tilt_deg" in row["notes"]
    assert outcome.reasons == {"the same event as another": 1}


def test_rows_of_a_table_that_cannot_be_read_are_left_out(desk: Desk) -> None:
    bad = [ROW.replace("chest", "chst"), ROW.replace(",120,", ",12o,"), ROW + ",1"]
    desk.put("t.csv", "\n".join([",".join(REQUIRED) + ",notes", *(f"{line},kept" for line in [ROW, *bad, ROW])]))
    assert desk.run().imported == 2
    assert [(index, reason.split(":")[0]) for _, index, reason in desk.skips()] == [
        ("2", "objective"), ("3", "kvp"), ("4", "22 cells, but 21 columns"),
    ]  # fmt: skip
    assert {row["notes"] for row in desk.rows()} == {"kept"}


def test_the_objective_option_and_tests_are_heard(desk: Desk) -> None:
    desk.put("a.dcm", sr.report(sr.event("1.1", region=None), sr.event("1.2", protocol="QA", region=None)))
    assert desk.run().imported == 0
    assert desk.run(tests=True, objective="ctpa").imported == 2
    assert {row["objective"] for row in desk.rows()} == {"ctpa"}


def test_its_own_output_is_not_imported(desk: Desk) -> None:
    desk.put("1.dcm", sr.report(sr.event("1.1")))
    desk.output = desk.folder / "out.csv"
    assert desk.run().imported == 1
    assert (desk.run().imported, desk.run().files) == (1, 1)


def test_the_skip_list_as_json(desk: Desk) -> None:
    target = desk.folder.parent / "left.json"
    desk.run(skipped=target)
    assert json.loads(target.read_text(encoding="utf-8")) == []
    desk.put("1.txt", "x")
    desk.put("2.txt", "x")
    desk.run(skipped=target)
    assert [item["source_index"] for item in json.loads(target.read_text(encoding="utf-8"))] == [None, None]


def test_parquet_holds_the_same_as_csv(desk: Desk) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    desk.put("1.dcm", sr.report(sr.event("1.1", protocol="Thorax")))
    desk.run()
    (row,) = desk.rows()
    desk.output = desk.output.with_suffix(".parquet")
    desk.run()
    (same,) = parquet.read_table(desk.output).to_pylist()
    assert {name: "" if value is None else str(value).removesuffix(".0") for name, value in same.items()} == row


def test_a_row_is_fitted_to_the_reference_scanner(desk: Desk) -> None:
    odd = sr.event("1.1", collimation=38.4, pitch=2.0, sources=(sr.source(110, 149.6, 0.33),))
    desk.put("1.dcm", sr.report(odd))
    desk.run(fit=True)
    (row,) = desk.rows()
    assert (row["kvp"], row["collimation_mm"], row["rotation_s"], row["pitch"]) == ("120", "40", "0.35", "1.5")
    assert (row["ma"], row["ctdivol_mgy"], row["dlp_mgycm"]) == ("112", "", "")
    assert "reported ctdivol_mgy 8" in row["notes"]
    assert "kvp 110 run at 120" in row["notes"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nowhere"], errors.NO_FILE),
        (["{in}", "-o", "/nowhere/out.csv"], errors.NO_FILE),
        (["{in}", "--objective", "ches"], errors.UNKNOWN_NAME),
        (["--public", "else"], 2),
        ([], 2),
    ],
)
def test_mistakes_are_one_line(desk: Desk, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int) -> None:
    given_output = [] if "-o" in arguments else ["-o", str(desk.output)]
    assert main(["data", "import", *(part.format(**{"in": desk.folder}) for part in arguments), *given_output]) == code
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "Remedy: " in line


def test_a_missing_reader_is_said_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> Any:
        raise UserError("no pyarrow", remedy="install it", exit_code=errors.NO_READER)

    monkeypatch.setattr(importing.nlst, "parquet", absent)
    desk.output = desk.output.with_suffix(".parquet")
    with pytest.raises(UserError) as caught:
        desk.run()
    assert caught.value.exit_code == errors.NO_READER
    desk.put("x.parquet", b"PAR1")
    desk.output = desk.output.with_suffix(".csv")
    assert desk.run().reasons == {"a parquet file, but pyarrow is not installed": 1}


def test_the_command_line(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.put("1.dcm", sr.report(sr.event("1.1")))
    desk.put("2.txt", "x")
    assert main(["data", "import", str(desk.folder), "-o", str(desk.output), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == {"files": 2, "imported": 1, "skipped": 1, "reasons": {"no DICOM file, CSV or parquet file": 1}}
    assert main(["data", "import", str(desk.folder), "-o", str(desk.output)]) == 0
    assert "1 left out, each with its reason in" in capsys.readouterr().out


def test_the_public_reports(desk: Desk) -> None:
    try:
        download_sdist(OPENREM, lambda _line: None)
    except UserError as error:
        pytest.skip(f"not to be had here: {error}")
    outcome = run(Order(desk.output, public=("openrem",)))
    assert (outcome.files, outcome.imported, outcome.skipped) == (15, 28, 43)
    kinds = [row["kind"] for row in desk.rows()]
    assert (kinds.count("dose report"), kinds.count("dose sheet")) == (24, 4)
    everything = run(Order(desk.output, public=("openrem",), tests=True))
    assert (everything.imported, everything.skipped) == (67, 4)
    assert everything.reasons == {"the same event as another": 3, "dual energy: two voltages at once": 1}
