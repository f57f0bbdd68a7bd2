"""`gantryguard bench latency` and `bench throughput`: what the guard costs the line, in simulated time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gantryguard.benchmarks.latency import BUSY, Measured, frames_within, guard_at, measure
from gantryguard.benchmarks.picture import draw
from gantryguard.client.image import micropython_uf2
from gantryguard.profiles.files import load_profile
from gantryguard.profiles.profile import Profile
from gantryguard.rig.spread import Spread

RATES = (9600, 38_400, 115_200, 460_800, 921_600, 3_000_000)
LADDER = (115_200, 230_400, 345_600, 460_800, 691_200, 921_600, 1_382_400, 2_000_000, 3_000_000)

Rates = Annotated[list[int] | None, typer.Option("--baud", min=9600, max=3_000_000, help="A rate; again for more.")]
Json = Annotated[bool, typer.Option("--json", help="Print the figures as JSON and nothing else.")]
ProfileName = Annotated[str, typer.Option("--profile", help="Folder name in models/.")]
Image = Annotated[Path | None, typer.Option("--micropython", help="Your copy of the official UF2.")]


def latency(
    baud: Rates = None,
    frames: Annotated[int, typer.Option("--frames", min=2, max=100_000, help="Commands per rate and mode.")] = 1000,
    as_json: Json = False,
    picture: Annotated[Path | None, typer.Option("--picture", help="Draw the figures into this PNG.")] = None,
    profile: ProfileName = "ct",
    micropython: Image = None,
) -> None:
    """Measure last byte in to verdict, and to the first byte out, with the line at rest and with both lines busy."""
    guarded, image = load_profile(profile), micropython_uf2(micropython, _say(as_json))
    results = []
    for rate in baud or RATES:
        for is_spaced in (True, False):
            results.append(measure(guard_at(guarded, image, rate), guarded, rate, frames, is_spaced=is_spaced))
            _progress(as_json, results[-1])
    _print(results, as_json)
    if picture:
        draw(picture, results)


def throughput(
    baud: Rates = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, max=60, help="Simulated time per rate.")] = 2.0,
    as_json: Json = False,
    profile: ProfileName = "ct",
    micropython: Image = None,
) -> None:
    """Find the highest rate at which no frame is lost while both lines are busy without a pause."""
    guarded, image = load_profile(profile), micropython_uf2(micropython, _say(as_json))
    results = list(_climb(guarded, image, sorted(baud or LADDER), seconds, as_json))
    _print(results, as_json)
    best = max((result.baud for result in results if not result.lost), default=0)
    if not as_json:
        print(f"highest rate without a loss: {best} baud" if best else "frames were lost at every rate")


def _climb(profile: Profile, image: Path, rates: list[int], seconds: float, as_json: bool) -> Iterator[Measured]:
    for rate in rates:
        frames = frames_within(profile, rate, seconds)
        result = measure(guard_at(profile, image, rate), profile, rate, frames, is_spaced=False)
        _progress(as_json, result)
        yield result
        if result.lost:
            return


def _say(as_json: bool) -> Callable[[str], None]:
    """Where remarks of the set-up go."""
    return partial(print, file=sys.stderr) if as_json else print


def _progress(as_json: bool, result: Measured) -> None:
    if not as_json:
        print(f"  {result.baud} baud, {result.mode}: {result.frames} commands, {result.lost} frames lost", flush=True)


def _print(results: list[Measured], as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=1))
        return
    print("simulated us after the last byte of a frame: minimum / median / 99th percentile / maximum")
    table = Table("baud", "both lines", "lost", "verdict", "first byte out")
    for result in results:
        mode = "busy" if result.mode == BUSY else "at rest"
        table.add_row(str(result.baud), mode, str(result.lost), _cell(result.verdict_us), _cell(result.first_byte_out_us))
    Console().print(table)


def _cell(spread: Spread | None) -> str:
    return " / ".join(f"{value:.0f}" for value in asdict(spread).values()) if spread else "-"
