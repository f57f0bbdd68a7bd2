"""What the generator says of itself: calibration against published levels, speed, and the CSV that it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gantryguard.cli import data_generate
from gantryguard.clinic import describe, schema
from gantryguard.clinic.commands import from_csv

app = typer.Typer()
data_generate.register(app)
RUNNER = CliRunner()


def test_every_level_is_reached() -> None:
    lines = describe.compare(25_000)
    assert len(lines) == 4 * len(describe.ADULT_LEVELS) + sum(map(len, describe.CHILD_LEVELS.values()))
    assert [f"{line.what} P{line.percentile} {line.unit}" for line in lines if not line.fits] == []


def test_a_deviation_beyond_its_limit_does_not_fit() -> None:
    assert describe.Line("x", 50, "mGy", 10.99, 10.0, 0.1).fits
    assert not describe.Line("x", 50, "mGy", 11.1, 10.0, 0.1).fits
    assert not describe.Line("x", 50, "mGy", 8.9, 10.0, 0.1).fits


def test_generation_is_fast() -> None:
    """100,000 exams per second on a free core; a quarter of that is asked here, where others may be at work."""
    assert describe.exams_per_second(50_000) > 25_000


def test_description_is_printed_and_drawn(tmp_path: Path) -> None:
    plot = tmp_path / "sub" / "plot.png"
    result = RUNNER.invoke(app, ["describe", "--output", str(plot)])
    assert result.exit_code == 0
    assert "exams per second" in result.output
    assert plot.stat().st_size > 10_000


@pytest.mark.parametrize("anomalies", [0, 3])
def test_generated_commands_can_be_read_back(tmp_path: Path, anomalies: int) -> None:
    table = tmp_path / "commands.csv"
    arguments = ["generate", str(table), "--count", "3000", "--seed", "4", "--objective", "head", "--site", "9"]
    assert RUNNER.invoke(app, [*arguments, "--anomalies", str(anomalies)]).exit_code == 0
    first = table.read_bytes()
    (commands,) = list(from_csv(table))
    assert set(commands["objective"]) == {schema.OBJECTIVES["head"]}
    assert ("grade" in commands.extras) == bool(anomalies)
    RUNNER.invoke(app, [*arguments, "--anomalies", str(anomalies)])
    assert table.read_bytes() == first


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    for option in (["--objective", "liver"], ["--scanner", "none"]):
        result = RUNNER.invoke(app, ["generate", str(tmp_path / "x.csv"), *option])
        assert result.exit_code != 0
        assert not (tmp_path / "x.csv").exists()
