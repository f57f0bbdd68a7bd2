"""`data import` on files and runs that go wrong: broken, hostile and endless files, interruptions, memory."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import ct_images as ct
import dose_reports as sr
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from import_desk import ROW, Desk
from pydicom.uid import DeflatedExplicitVRLittleEndian

from gantryguard import errors
from gantryguard.cli.main import main
from gantryguard.clinic.cells import REQUIRED
from gantryguard.clinic.importers import run as importing
from gantryguard.clinic.importers.found import Found, Left
from gantryguard.errors import UserError

STARTS = [b"", b"\0" * 128 + b"DICM", b"PAR1"]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_broken_files_are_listed_and_stop_nothing(desk: Desk) -> None:
    good = sr.report(sr.event("1.1"))
    desk.put("1.dcm", good[: len(good) // 2])
    desk.put("2.dcm", b"")
    desk.put("3.txt", "hello")
    desk.put("4.csv", "a,b\n1,2\n")
    desk.put("5.dcm", ct.image(SOPClassUID="1.2.840.10008.5.1.4.1.1.4"))
    desk.put("6.dcm", sr.report(sr.event(), title="121144"))
    desk.put("7.parquet", b"PAR1 and no more")
    desk.put("8.dcm", ct.image(KVP=None, XRayTubeCurrent=None))
    desk.put("9.dcm", good)
    outcome = desk.run()
    assert outcome.imported == 1
    reasons = {name: reason for name, _, reason in desk.skips()}
    assert set(reasons) == {
        f"{n}.{end}" for n, end in enumerate(["dcm", "dcm", "txt", "csv", "dcm", "dcm", "parquet", "dcm"], 1)
    }
    assert reasons["1.dcm"] == "cannot be read: EOFError: the file ends early"
    assert "lacks objective" in reasons["4.csv"]
    assert "MR Image" in reasons["5.dcm"]
    assert reasons["8.dcm"] == "no technique: neither voltage nor tube current"


def test_a_file_that_inflates_without_end_is_left_out(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = pydicom.dcmread(BytesIO(sr.report(sr.event("1.1"))))
    honest.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    buffer = BytesIO()
    honest.save_as(buffer)
    desk.put("1.dcm", buffer.getvalue())
    assert desk.run().imported == 1
    monkeypatch.setattr(importing, "LARGEST_REPORT_BYTES", 1000)
    assert desk.run().reasons == {"inflates to more than a header or a report can be": 1}


def test_a_table_without_line_ends_does_not_fill_the_memory(desk: Desk) -> None:
    path = desk.put("1.csv", ",".join(REQUIRED) + "\n")
    with path.open("r+b") as file:
        file.truncate(200 << 20)  # zeros, which take no room on the disk
    tracemalloc.start()
    outcome = desk.run()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (outcome.imported, most < 30 << 20) == (0, True)
    assert main(["model", "score", str(path)]) == errors.BAD_CELL


def interrupted(desk: Desk, monkeypatch: pytest.MonkeyPatch, after: int, **options: Any) -> None:
    """Import, and be stopped while the so-manieth file is read."""
    read = importing._Reading.read
    left = [after]

    def read_some(self: Any, path: bytes, name: str) -> Iterator[Found | Left]:
        left[0] -= 1
        yield from read(self, path, name)
        if left[0] < 0:
            raise KeyboardInterrupt  # after the file's events, before the file is done

    monkeypatch.setattr(importing, "BATCH_FILES", 3)
    monkeypatch.setattr(importing._Reading, "read", read_some)
    with pytest.raises(KeyboardInterrupt):
        desk.run(**options)
    monkeypatch.undo()


@pytest.mark.parametrize("after", [0, 1, 4, 6, 9, 15])
def test_an_interrupted_run_goes_on_to_the_same_result(desk: Desk, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    for n in range(8):
        desk.put(f"{n}.dcm", sr.report(sr.event(f"1.{n}"), sr.event(f"2.{n // 2}", length=100 + n // 2)))
        desk.put(f"{n}-image", ct.image(10.0 * n))
    desk.run()
    whole, left_out = desk.output.read_text(encoding="utf-8"), desk.skips()
    desk.output.unlink()
    interrupted(desk, monkeypatch, after)
    assert not desk.output.exists()
    with pytest.raises(UserError, match="--resume") as caught:
        desk.run()
    assert caught.value.exit_code == errors.JOURNAL
    desk.run(resume=True)
    assert desk.output.read_text(encoding="utf-8") == whole
    assert desk.skips() == left_out


def test_a_resumed_run_reads_no_file_twice(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(9):
        desk.put(f"{n}.dcm", sr.report(sr.event(f"1.{n}")))
    interrupted(desk, monkeypatch, 7)
    for n in range(6):  # two whole batches
        (desk.folder / f"{n}.dcm").write_bytes(b"changed meanwhile")
    outcome = desk.run(resume=True)
    assert (outcome.imported, outcome.skipped) == (9, 0)


def test_a_journal_of_another_run_or_none_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.put("1.dcm", sr.report(sr.event("1.1")))
    interrupted(desk, monkeypatch, 0)
    with pytest.raises(UserError, match="other paths or options") as caught:
        desk.run(resume=True, tests=True)
    assert caught.value.exit_code == errors.JOURNAL
    desk.order().journal.write_bytes(b"nothing that SQLite knows" * 100)
    with pytest.raises(UserError, match="damaged"):
        desk.run(resume=True)


def test_a_journal_that_cannot_be_written_is_one_line(desk: Desk) -> None:
    desk.order().journal.mkdir()
    with pytest.raises(UserError) as caught:
        desk.run(resume=True)
    assert caught.value.exit_code == errors.JOURNAL


def test_memory_does_not_grow_with_the_number_of_files(desk: Desk) -> None:
    def peak(files: int) -> int:
        for n in range(files):
            desk.put(f"{n}.csv", ",".join(REQUIRED) + "\n" + ROW + "\n")
        tracemalloc.start()
        assert desk.run().imported == files
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(20)
    few, many = peak(100), peak(800)
    assert many < few * 1.3 + 200_000


def test_a_folder_that_may_not_be_read_is_listed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def closed(place: Any) -> Any:
        if os.fsencode(place).endswith(b"closed"):
            raise PermissionError(13, "Permission denied")
        return scan(place)

    desk.put("closed/1.dcm", b"")
    desk.put("2.dcm", sr.report(sr.event("1.1")))
    monkeypatch.setattr(importing.walk.os, "scandir", closed)
    assert desk.run().imported == 1
    assert desk.skips() == [("closed", "", "cannot be read: Permission denied")]


def test_odd_names_and_links_do_no_harm(desk: Desk) -> None:
    desk.put("loop/1.dcm", sr.report(sr.event("1.1")))
    (desk.folder / "loop" / "again").symlink_to(desk.folder)
    Path(os.fsdecode(os.fsencode(desk.folder) + b"/\xff\xfe.dcm")).write_bytes(sr.report(sr.event("1.2")))
    os.mkfifo(desk.folder / "pipe.dcm")
    assert desk.run().imported == 2
    assert any("\\xff\\xfe" in row["source"] for row in desk.rows())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=300), st.sampled_from(["x", "x.dcm", "x.csv"]), st.sampled_from([b"", b"\0" * 128 + b"DICM", b"PAR1"])
)
def test_arbitrary_bytes_never_stop_a_run(desk: Desk, data: bytes, name: str, start: bytes) -> None:
    desk.put(name, start + data)
    desk.run()
    (desk.folder / name).unlink()


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_spoilt_files_never_stop_a_run(desk: Desk, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([sr.report(sr.event("1.1"), PatientAge="067Y"), ct.image(PatientAge="060Y")]))
    spoilt = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        spoilt[data.draw(st.integers(132, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    desk.put("x.dcm", bytes(spoilt[: data.draw(st.integers(132, len(spoilt)))]))
    outcome = desk.run()
    assert outcome.files == 1
    assert outcome.imported + outcome.skipped >= 1
