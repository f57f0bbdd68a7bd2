"""`gantryguard model`: train the networks of a profile, measure them, attack them, commission them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from gantryguard import paths
from gantryguard.cli.nlst import nlst
from gantryguard.cli.options import ProfileName
from gantryguard.cli.score import score
from gantryguard.learning import artefacts

app = typer.Typer(help="Train, evaluate, attack and commission the detector; score commands.", no_args_is_help=True)
app.command()(score)
app.command()(nlst)


@app.command()
def train() -> None:
    """Train, quantise and pack the CT networks from their seed; the same sources give the same bytes."""
    with Progress() as progress:
        task = progress.add_task("training", total=1.0)
        written = artefacts.write(say=lambda done, text: progress.update(task, completed=done, description=text))
    for name in written:
        print(f"wrote models/ct/{name}")


@app.command()
def evaluate(profile: ProfileName = "ct") -> None:
    """Recall, false alarms, ceiling and baselines on generated exams; writes models/<profile>/report/. 20 to 60 minutes."""
    from gantryguard.learning import report, study  # scikit-learn and matplotlib take seconds to load
    from gantryguard.profiles.files import load_profile

    folder = paths.MODELS / profile
    with Progress() as progress:
        task = progress.add_task("evaluating", total=1.0)
        metrics = study.study(
            folder, load_profile(profile), lambda done, text: progress.update(task, completed=done, description=text)
        )
        progress.update(task, completed=1.0, description="evaluated")
    target = folder / "report" / "metrics.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(metrics, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for path in (target, *report.write(target.parent, metrics)):
        print(f"wrote {path.relative_to(paths.ROOT)}")


@app.command("red-team")
def red_team(
    profile: ProfileName = "ct",
    as_json: Annotated[bool, typer.Option("--json", help="Every find with its command, as JSON.")] = False,
) -> None:
    """Search, per objective, for the passing command with the most and the least dose, the most noise, the fastest table."""
    from dataclasses import asdict

    from gantryguard.learning.pipeline import Pipeline
    from gantryguard.learning.red_team import attack
    from gantryguard.profiles.files import load_profile

    with Progress(disable=as_json) as progress:
        task = progress.add_task("attacking", total=1.0)
        finds = attack(
            Pipeline(load_profile(profile)),
            say=lambda done, text: progress.update(task, completed=done, description=text),
        )
        progress.update(task, completed=1.0, description="attacked")
    if as_json:
        print(json.dumps([asdict(find) for find in finds], indent=1))
        return
    print("worst passing command as a ratio to the 99th (least dose: 1st) percentile of normal commands; normals' own extreme")
    for find in finds:
        print(f"{find.objective:20s} {find.aim:14s} {find.ratio:7.3f} {find.normal_beyond:7.3f}")


@app.command()
def calibrate(
    exams: Annotated[Path, typer.Argument(help="The site's normal exams: a CSV of commands, or a folder of dose reports.")],
    profile: ProfileName = "ct",
    scanner: Annotated[
        str, typer.Option("--scanner", help="The site's scanner: a scanner.toml, or a name from models/ct/*.toml.")
    ] = "reference",
    per_day: Annotated[float, typer.Option("--exams-per-day", help="Scans a day, for the expected alarms.", min=1.0)] = 60.0,
    output: Annotated[Path | None, typer.Option("--output", help="Package; default build/commissioned/<profile>.bin.")] = None,
) -> None:
    """Set ranges, settings and thresholds from a site's own normal exams, and say how many false alarms to expect.

    With 200 exams of an objective and more, its pitches, rotation times, voltages, collimations and slices, and the spread of
    its doses count as well. No exam widens what the scanner can do; those that it cannot execute are left out.

    Exit codes: 4 a broken scanner file, 7 too few or implausible exams, 14 no such scanner.
    """
    from gantryguard.clinic.scanner import scanner_of
    from gantryguard.learning.commission import commission
    from gantryguard.learning.pipeline import nets_of
    from gantryguard.learning.site_exams import read_exams
    from gantryguard.learning.sites import alarms_per_day, commissioned
    from gantryguard.profiles.files import load_profile
    from gantryguard.profiles.profile import Profile

    machine = scanner_of(scanner)
    normals = read_exams(exams, machine)
    site = commission(normals, machine)
    target = output or paths.BUILD / "commissioned" / f"{profile}.bin"
    target.parent.mkdir(parents=True, exist_ok=True)
    package = commissioned(paths.MODELS / profile, nets_of(load_profile(profile)), site)
    target.write_bytes(package)
    print("\n".join(site.told()))
    expected, low, high = alarms_per_day(Profile(package), normals, per_day)
    print(f"false alarms expected in {per_day:g} scans a day: {expected:.2f} ({low:.2f} to {high:.2f})")
    print(f"wrote {target}")
