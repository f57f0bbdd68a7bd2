"""`gantryguard model`: train the networks of a profile and measure them."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.progress import Progress

from gantryguard import paths
from gantryguard.cli.score import score
from gantryguard.learning import artefacts
from gantryguard.learning.evaluate import evaluate as measure
from gantryguard.profiles.files import load_profile

app = typer.Typer(help="Train and evaluate the networks.", no_args_is_help=True)
app.command()(score)


@app.command()
def train() -> None:
    """Train, quantise and pack the CT networks from their seed; the same sources give the same bytes."""
    with Progress() as progress:
        task = progress.add_task("training", total=1.0)
        written = artefacts.write(say=lambda done, text: progress.update(task, completed=done, description=text))
    for name in written:
        print(f"wrote models/ct/{name}")


@app.command()
def evaluate(
    profile: Annotated[str, typer.Option("--profile", help="Folder name in models/.")] = "ct",
) -> None:
    """Measure recall and false alarms on generated exams; writes models/<profile>/report/metrics.json."""
    target = paths.MODELS / profile / "report" / "metrics.json"
    metrics = measure(load_profile(profile))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(metrics, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"wrote {target}")
