"""`gantryguard data generate` and `data describe`: normal and anomalous commands of the generator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gantryguard import paths
from gantryguard.clinic import describe as described
from gantryguard.clinic.anomalies import make_anomalies
from gantryguard.clinic.generator import generate as make
from gantryguard.clinic.scanner import archetypes, reference_scanner
from gantryguard.clinic.schema import OBJECTIVES
from gantryguard.errors import UserError


def register(app: typer.Typer) -> None:
    """Add both commands to the group `data`."""
    app.command("generate")(generate)
    app.command("describe")(describe)


def generate(
    output: Annotated[Path, typer.Argument(help="CSV file to write.")],
    count: Annotated[int, typer.Option("--count", help="Commands.", min=1, max=10_000_000)] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same commands.", min=0)] = 1,
    objective: Annotated[list[str] | None, typer.Option("--objective", help="Only these; repeat for several.")] = None,
    site: Annotated[int | None, typer.Option("--site", help="All from one site, by its seed.", min=0)] = None,
    scanner: Annotated[str, typer.Option("--scanner", help="`reference`, or an archetype of archetypes.toml.")] = "reference",
    anomalies: Annotated[int, typer.Option("--anomalies", help="Anomalies of every kind, instead of normals.", min=0)] = 0,
) -> None:
    """Write normal commands, or anomalies made from them, as a CSV of `model score`."""
    unknown = sorted(set(objective or ()) - set(OBJECTIVES))
    if unknown:
        raise UserError(f"No objective is called {unknown[0]!r}.", remedy=f"Use one of {', '.join(OBJECTIVES)}.", exit_code=2)
    machines = {machine.name: machine for machine in (reference_scanner(), *archetypes())}
    if scanner not in machines:
        raise UserError(f"No scanner is called {scanner!r}.", remedy=f"Use one of {', '.join(machines)}.", exit_code=2)
    commands = make(count, scanner=machines[scanner], seed=seed, objectives=objective or None, site_seed=site)
    if anomalies:
        made = make_anomalies(commands, seed, scanner=machines[scanner], per_kind=anomalies)
        commands = made.commands
        commands.extras = {"kind": made.names, "grade": [str(grade) for grade in made.grades]}
    with output.open("w", encoding="utf-8", newline="") as file:
        commands.to_csv(file)
    print(f"wrote {len(commands)} commands to {output}")


def describe(
    output: Annotated[Path | None, typer.Option("--output", help="Plot; default build/data/calibration.png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The comparison as JSON.")] = False,
) -> None:
    """Compare generated doses with published reference levels, draw the comparison, and measure the speed of generation."""
    lines = described.compare()
    target = output or paths.BUILD / "data" / "calibration.png"
    described.draw(target, lines)
    speed = described.exams_per_second()
    if as_json:
        rows = [vars(line) | {"deviation": round(line.deviation, 4), "fits": line.fits} for line in lines]
        print(json.dumps({"levels": rows, "exams_per_second": round(speed)}, indent=1))
        return
    for line in lines:
        verdict = "" if line.fits else f"  beyond {line.limit:.0%}"
        name = f"{line.what}, P{line.percentile}"
        print(f"{name:36s} {line.generated:8.1f} {line.unit:7s} published {line.level:6g}  {line.deviation:+6.1%}{verdict}")
    print(f"{sum(line.fits for line in lines)} of {len(lines)} within their limit; {speed:,.0f} exams per second on one core")
    print(f"wrote {target}")
