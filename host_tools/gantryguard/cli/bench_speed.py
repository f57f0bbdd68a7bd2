"""`gantryguard bench latency` and `bench throughput`: what the guard costs the line, in simulated time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gantryguard.benchmarks.budget import RATES, Budget, measure_latency
from gantryguard.benchmarks.latency import Measured, frames_within, guard_at, measure
from gantryguard.benchmarks.picture import draw
from gantryguard.cli.options import Image, ProfileName
from gantryguard.client.image import micropython_uf2
from gantryguard.profiles.files import load_profile
from gantryguard.profiles.profile import Profile
from gantryguard.rig.spread import Spread

LADDER = (115_200, 230_400, 345_600, 460_800, 691_200, 921_600, 1_000_000, 1_382_400, 2_000_000, 3_000_000)

Rates = Annotated[list[int] | None, typer.Option("--baud", min=9600, max=3_000_000, help="A rate; again for more.")]
Json = Annotated[bool, typer.Option("--json", help="Print the figures as JSON and nothing else.")]


def latency(
    baud: Rates = None,
    frames: Annotated[int, typer.Option("--frames", min=2, max=100_000, help="Commands per rate and mode.")] = 1000,
    as_json: Json = False,
    output: Annotated[Path | None, typer.Option("--output", help="Write the figures as JSON into this file too.")] = None,
    picture: Annotated[Path | None, typer.Option("--picture", help="Draw the figures into this PNG.")] = None,
    profile: ProfileName = "ct",
    micropython: Image = None,
) -> None:
    """Measure how long the guard takes: from the last byte to the verdict and to the first byte out, and stage by stage."""
    guarded, image = load_profile(profile), micropython_uf2(micropython, _say(as_json))
    budget = measure_latency(guarded, image, baud or RATES, frames, partial(_progress, as_json))
    text = json.dumps(asdict(budget), indent=1) + "\n"
    if as_json:
        print(text, end="")
    else:
        _print(budget.results)
        _print_stages(budget)
    if output:
        output.write_text(text, encoding="utf-8")
    if picture:
        draw(picture, budget.results)


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
    if as_json:
        print(json.dumps([asdict(result) for result in results], indent=1))
        return
    _print(results)
    best = max((result.baud for result in results if not result.lost), default=0)
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


def _print(results: Sequence[Measured]) -> None:
    print("simulated us after the last byte of a frame: minimum / median / 99th percentile / maximum")
    table = Table("baud", "mode", "lost", "verdict", "first byte out")
    for result in results:
        table.add_row(
            str(result.baud), result.mode, str(result.lost), _cell(result.verdict_us), _cell(result.first_byte_out_us)
        )
    Console().print(table)


def _print_stages(budget: Budget) -> None:
    table = Table("cut-through, baud", "pass", "in time", "wrong", "delay, bits")
    for cut in budget.cut_through:
        table.add_row(str(cut.baud), str(cut.passing), str(cut.in_time), str(cut.wrong), _bits(cut.delay_bits))
    Console().print(table)
    table = Table("stage of a verdict on scan parameters", "cycles", f"us at {budget.clock_mhz} MHz")
    for name, cycles in budget.stages_cycles.items():
        table.add_row(name, f"{cycles:.0f}", f"{cycles / budget.clock_mhz:.1f}")
    Console().print(table)
    table = Table("kernel", "cycles per multiply-accumulate", "source")
    for kernel in budget.kernels:
        table.add_row(*map(str, kernel.values()))
    Console().print(table)
    print(", ".join(f"{name.replace('_', ' ')}: {size} bytes" for name, size in budget.memory.items()))


def _bits(spread: Spread | None) -> str:
    return f"{spread.median:g} to {spread.max:g}" if spread else "-"


def _cell(spread: Spread | None) -> str:
    return " / ".join(f"{value:.0f}" for value in asdict(spread).values()) if spread else "-"
