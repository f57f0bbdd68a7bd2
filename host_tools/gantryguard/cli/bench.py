"""`gantryguard bench`: the simulated console and gantry on real ports, and an emulated guard to try them on."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated

import typer

from gantryguard.cli.bench_speed import latency, throughput
from gantryguard.cli.options import Image, ProfileName
from gantryguard.client.device_image import build_flash, device_files
from gantryguard.client.image import micropython_uf2
from gantryguard.demo.scenarios import bench_exams
from gantryguard.profiles.files import baud_of, load_profile, read_package
from gantryguard.rig.board import load_board
from gantryguard.rig.pico import EmulatedPico
from gantryguard.rig.serial_port import play_console, serve_gantry
from gantryguard.rig.served import ServedPico
from gantryguard.signing.development import provisioned

app = typer.Typer(help="Console, gantry and guard on the bench, in real time.", no_args_is_help=True)

app.command()(latency)
app.command()(throughput)

Port = Annotated[str, typer.Option("--port", help="Serial port of the guard's console or gantry side.")]
Seconds = Annotated[float, typer.Option("--seconds", min=0, help="Stop after so long; 0: never.")]


@app.command()
def console(
    port: Port,
    profile: ProfileName = "ct",
    exams: Annotated[int, typer.Option("--exams", min=1, max=1000, help="How many generated exams to play.")] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which exams.")] = 1,
) -> None:
    """Be the console: play generated exams on a port and tell what became of every command."""
    played = play_console(port, bench_exams(exams, seed), load_profile(profile))
    for entry in played.transcript:
        held = f", held first: {entry.held}" if entry.held else ""
        print(f"{entry.t_ns / 1e9:9.3f} s  {entry.command:16} {entry.outcome} {entry.reason}{held}".rstrip())
    for outcome in played.outcomes:
        print(f"{outcome.name}: {outcome.ending or f'complete, {outcome.series_done} series'}")


@app.command()
def gantry(port: Port, profile: ProfileName = "ct", seconds: Seconds = 0.0) -> None:
    """Be the gantry: execute what arrives on a port, move the table in time, accumulate dose in a phantom."""
    end = time.monotonic() + seconds if seconds else None
    served = serve_gantry(port, load_profile(profile), keep_on=lambda: end is None or time.monotonic() < end)
    for exposure in served.exposures:
        print(f"exposed: {exposure}")
    for fault in served.mechanical_faults:
        print(f"MECHANICAL FAULT: {fault}")
    print(f"dose in the phantom: {served.phantom.ctdivol_mgy:.2f} mGy CTDIvol, {served.phantom.dlp_mgycm:.1f} mGy.cm DLP")


@app.command()
def rig(
    profile: ProfileName = "ct",
    seconds: Seconds = 0.0,
    micropython: Image = None,
    press: Annotated[
        list[str] | None, typer.Option("--press", help="Press a key: KEY@SECONDS, as in override@12.5 or cancel@20.")
    ] = None,
) -> None:
    """Serve an emulated guard: three terminals of this machine to open like serial ports, in real time."""
    presses = [_key(text) for text in press or []]
    board, guarded = load_board(), load_profile(profile)
    flash = build_flash(micropython_uf2(micropython, print), device_files(board, provisioned(read_package(profile))))
    pico = EmulatedPico(flash, board, baud=baud_of(guarded))
    for key, at_s in presses:
        pico.clock.call_at(int(at_s * 1e9), partial(pico.press, key))
        pico.clock.call_at(int((at_s + 0.8) * 1e9), partial(pico.release, key))
    served = ServedPico(pico)
    print(f"console      {served.console.name}")
    print(f"gantry       {served.gantry.name}")
    print(f"maintenance  {served.maintenance.name}", flush=True)
    end = time.monotonic() + seconds if seconds else None
    try:
        served.serve(lambda: end is None or time.monotonic() < end, print)
    finally:
        served.close()


def _key(text: str) -> tuple[str, float]:
    key, _, at = text.partition("@")
    if key not in ("override", "cancel") or not at.replace(".", "", 1).isdigit():
        raise typer.BadParameter(f"{text!r} is not KEY@SECONDS with the key override or cancel")
    return key, float(at)
