"""Draws latencies by rate of the line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from gantryguard.benchmarks.latency import Measured

mpl.use("Agg")
from matplotlib import pyplot as plt


def draw(path: Path, results: Sequence[Measured]) -> None:
    """Median and 99th percentile of the verdict over the rate, a pair of lines per mode, as a PNG."""
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for mode in sorted({result.mode for result in results}):
        spreads = [(result.baud, result.verdict_us) for result in results if result.mode == mode and result.verdict_us]
        bauds = [baud for baud, _spread in spreads]
        (line,) = axes.plot(bauds, [spread.median for _baud, spread in spreads], marker="o", label=f"{mode}: median")
        slowest = [spread.p99 for _baud, spread in spreads]
        axes.plot(bauds, slowest, marker="x", linestyle="--", color=line.get_color(), label="99th percentile")
    axes.set(xscale="log", xlabel="rate of the line, baud", ylabel="last byte in to verdict, simulated us")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
