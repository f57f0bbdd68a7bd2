"""Draws timelines: frames from the console, frames to the gantry, relay, lamps and keys over simulated time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from gantryguard.rig.result import RunResult
from gantryguard.rig.trace import CONTACT, KEY_CANCEL, KEY_OVERRIDE, LAMP_GREEN, LAMP_RED

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

LEVELS = ((CONTACT, "relay", "black"), (LAMP_GREEN, "green lamp", "tab:green"), (LAMP_RED, "red lamp", "tab:red"))
KEYS = ((KEY_OVERRIDE, "OVERRIDE"), (KEY_CANCEL, "CANCEL"))
ROWS = ("console sends", "gantry gets", "relay", "green lamp", "red lamp", "keys")
NS_PER_S = 1e9
BACKGROUND = "keep_alive"
AXIS = "simulated time, s; tall ticks: commands, short grey ones: keep-alives; bars: relay closed, lamp lit"


def draw(path: Path, runs: Sequence[RunResult]) -> None:
    """One panel per run, stacked, as a PNG."""
    figure, panels = plt.subplots(len(runs), 1, figsize=(12, 2.3 * len(runs)), squeeze=False, layout="constrained")
    for axes, run in zip(panels[:, 0], runs, strict=True):
        _panel(axes, run)
    panels[-1, 0].set_xlabel(AXIS)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _panel(axes: Axes, run: RunResult) -> None:
    axes.set_title(run.name, loc="left", fontsize=10)
    axes.set_yticks(range(len(ROWS)), ROWS[::-1], fontsize=8)
    axes.set_ylim(-0.6, len(ROWS) - 0.3)
    end_s = run.timeline[-1].t_ns / NS_PER_S
    for kind, row, colour in (("console>", 5, "tab:blue"), (">gantry", 4, "tab:purple")):
        _ticks(axes, run, kind, row, colour)
    for place, (kind, _name, colour) in enumerate(LEVELS):
        _level(axes, run, kind, 3 - place, colour, end_s)
    for kind, name in KEYS:
        for event in run.timeline:
            if event.kind == kind and event.what == "1":
                axes.annotate(name, (event.t_ns / NS_PER_S, 0), fontsize=7, ha="center", va="center", color="tab:orange")
    axes.grid(axis="x", alpha=0.3)


def _ticks(axes: Axes, run: RunResult, kind: str, row: int, colour: str) -> None:
    """Commands as tall ticks, keep-alives as short grey ones."""
    for loud in (False, True):
        times = [e.t_ns / NS_PER_S for e in run.timeline if e.kind == kind and (BACKGROUND not in e.what) == loud]
        half = 0.35 if loud else 0.15
        axes.vlines(times, row - half, row + half, colors=colour if loud else "lightgrey", linewidth=1)


def _level(axes: Axes, run: RunResult, kind: str, row: int, colour: str, end_s: float) -> None:
    """A two-level trace, filled while it is on."""
    since: float | None = None
    for event in run.timeline:
        if event.kind != kind:
            continue
        at = event.t_ns / NS_PER_S
        if event.what == "1" and since is None:
            since = at
        elif event.what == "0" and since is not None:
            axes.fill_between((since, at), row - 0.3, row + 0.3, color=colour, alpha=0.6, linewidth=0)
            since = None
    if since is not None:
        axes.fill_between((since, end_s), row - 0.3, row + 0.3, color=colour, alpha=0.6, linewidth=0)
