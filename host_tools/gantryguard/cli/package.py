"""`gantryguard package`: build and look into profile packages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gantryguard import paths
from gantryguard.learning.pipeline import nets_of
from gantryguard.profiles.files import inspect, load_profile, package_path
from gantryguard.profiles.package import build as compile_package

app = typer.Typer(help="Build and inspect profile packages.", no_args_is_help=True)


@app.command("inspect")
def inspect_(
    path: Annotated[Path, typer.Argument(help="A package.bin.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Check a package as the device would and show what is in it."""
    facts = inspect(path)
    if as_json:
        print(json.dumps(facts, sort_keys=True))
        return
    for name, value in facts.items():
        print(f"{name:16} {value}")


@app.command()
def build(
    profile: Annotated[str, typer.Argument(help="Folder name in models/.")] = "ct",
) -> None:
    """Compile a profile's tables anew, with the networks of its present package (`model train` makes new ones)."""
    path = package_path(profile)
    nets = nets_of(load_profile(profile)) if path.is_file() else None
    blob = compile_package(paths.MODELS / profile, nets)
    path.write_bytes(blob)
    print(f"{path}  {len(blob)} bytes")
