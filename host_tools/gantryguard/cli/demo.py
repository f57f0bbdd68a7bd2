"""`gantryguard demo`: the main job, end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gantryguard import paths
from gantryguard.benchmarks import clock_mhz
from gantryguard.cli.options import Image
from gantryguard.client.image import micropython_uf2
from gantryguard.demo.picture import draw
from gantryguard.demo.report import details, report, verdict_figures, write_json
from gantryguard.demo.runs import PairedRun, play_all
from gantryguard.demo.scenarios import PICTURED, cast
from gantryguard.profiles.files import load_profile
from gantryguard.profiles.profile import Profile
from gantryguard.rig.guarded import booted_guard
from gantryguard.rig.scenario import ATTACK, EXAM, Scenario


def demo(
    output: Annotated[Path | None, typer.Option("--output", help="Folder for the report; default build/demo.")] = None,
    micropython: Image = None,
) -> None:
    """Play real exams and attacks through the guard and on a plain wire, and compare what reached the patient."""
    folder = output or paths.BUILD / "demo"
    screen = Console()
    image = micropython_uf2(micropython, screen.print)
    profile = load_profile("ct")
    players = cast(screen.print)
    for line in players.remarks:
        screen.print(line, style="dim", highlight=False, soft_wrap=True)
    runs = _play(screen, profile, image, players.scenarios)
    _show(screen, runs)
    write_json(folder / "report.json", report(runs, image, profile.blob))
    write_json(folder / "details.json", details(runs, players.notes))
    draw(folder / "timeline.png", [run.guard for run in runs if run.guard.name in PICTURED])
    for name in ("report.json", "details.json", "timeline.png"):
        screen.print(f"wrote {folder / name}", soft_wrap=True, highlight=False)


def _play(screen: Console, profile: Profile, image: Path, scenarios: tuple[Scenario, ...]) -> list[PairedRun]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen) as progress:
        task = progress.add_task("booting the guard", total=len(scenarios))
        pico = booted_guard(profile, image)
        runs: dict[int, PairedRun] = {}
        for number, run in play_all(profile, pico, scenarios):
            runs[number] = run
            progress.update(task, advance=1, description=f"played {scenarios[number].name}")
        progress.update(task, description="done")
        return [runs[number] for number in range(len(scenarios))]


def _show(screen: Console, runs: list[PairedRun]) -> None:
    for kind, title in ((EXAM, "Exams"), (ATTACK, "Attacks")):
        screen.print(f"\n[bold]{title}[/bold]  (commands passed, held, blocked; CTDIvol delivered to the phantom)")
        screen.print(_line("run", "pass", "held", "block", "guard mGy", "wire mGy", "STOP"), style="dim", highlight=False)
        for run in runs:
            if run.guard.kind == kind:
                screen.print(_row(run), highlight=False, soft_wrap=True)
    _explain(screen, runs)
    _summarise(screen, runs)


def _explain(screen: Console, runs: list[PairedRun]) -> None:
    """Why exams were held, in the device's own words."""
    screen.print("\n[bold]What the guard says about the exams that it held[/bold]  (all of it: details.json)")
    for run in runs:
        if run.guard.kind == EXAM and run.guard.held:
            screen.print(f"{run.guard.name}", highlight=False)
            for line in [line for line in run.told if "HOLD " in line or " propose " in line][:2]:
                screen.print(f"    {line}", highlight=False, soft_wrap=True)


def _line(name: str, *cells: str) -> str:
    widths = (5, 5, 6, 10, 9, 8)
    return f"{name:32}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _row(run: PairedRun) -> str:
    guard, wire = run.guard, run.wire
    stop = "" if guard.stop_delivered is None else "arrived" if guard.stop_delivered else "LOST"
    counts = (str(guard.passed), str(guard.held), str(guard.blocked))
    reasons = [f"{reason} {count}" for reason, count in guard.reasons.items()]
    if wire.faults:
        reasons.append(f"(on the wire: {len(wire.faults)} mechanical faults)")
    line = _line(guard.name, *counts, f"{guard.dose_mgy:.1f}", f"{wire.dose_mgy:.1f}", stop)
    return "\n    ".join((line, *([", ".join(reasons)] if reasons else [])))


def _summarise(screen: Console, runs: list[PairedRun]) -> None:
    attacks = [run for run in runs if run.guard.kind == ATTACK]
    guarded = sum(run.guard.dose_mgy for run in attacks)
    wire = sum(run.wire.dose_mgy for run in attacks)
    faults = sum(len(run.guard.faults) for run in attacks), sum(len(run.wire.faults) for run in attacks)
    screen.print(
        f"Attacks delivered {guarded:.1f} mGy (CTDIvol) with the guard and {wire:.1f} mGy on the wire: "
        f"{guarded / wire:.2%}; mechanical faults {faults[0]} against {faults[1]}."
    )
    titles = {EXAM: "exams", ATTACK: "attacks, most of them floods"}
    screen.print(f"Verdict after the last byte of a frame, simulated microseconds at {clock_mhz()} MHz:")
    for kind, figures in reversed(verdict_figures(runs).items()):
        screen.print(f"  {titles[kind]}: " + ", ".join(f"{name} {value:g}" for name, value in figures.items()), highlight=False)
