"""Writes `docs/performance.md` from the figures of `make bench` in `docs/performance.json`. It measures nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gantryguard import markdown

HEAD = """# Performance

Rendered from `performance.json`, the figures of `make bench`; edit neither by hand. Times are simulated microseconds of the
official MicroPython on the emulated RP2040 at {clock} MHz; two runs give the same figures.

The traffic is an adult's abdominal examination that passes with every network asked, scan parameters and keep-alives in turn,
with the gantry's status in the other direction. *At rest*, each command meets silent lines; *busy*, both lines carry frame
after frame without a pause. The guard believes its own profile but for the rate and for how many commands in a row it
tolerates.

![Latency by rate](performance.png)

## From the last byte in to the verdict, and to the beginning of the first byte out

"""
CUT = """
## Cut-through

For profiles that ask for it (`docs/adr/0010-cut-through.md`). Mixed frames, each when both lines are at rest: scan parameters,
keep-alives and stops, which pass; unknown commands; frames whose check is wrong in its last bit; such that hide a whole frame;
damaged ones. *In time*: the verdict came before the frame's last bit, so that it left while it came. The others arrived spoiled
and again, whole, after the silence that ends a frame. *Wrong*: frames that the gantry took and should not have, or should have
taken and did not. *Delay*: of every byte that left while its frame came.

"""
STAGES = """
## The budget of one verdict

Scan parameters, both networks, line at rest, at the profile's own rate: every cycle from the last byte to the verdict, told by
where the processor is. `receive` is all that the other stages are not: to notice the byte, and to take the frame out of the
ring. `features` are the rows that need the frame; the others are worked out while it comes. `verdict` is freshness, rate,
order and the result; `scores` is what networks take besides their layers.

"""
KERNELS = """
## Kernels beside published figures

Of others the figures are quoted, not measured; processors and networks differ.

"""
MEMORY = """
## Memory

`peak heap` is the most that was in use when a collection of the start began, garbage included.

"""
TAIL = """
## What the emulator does not model

- Wait states and the cache of the flash: bytecode and MicroPython's own code run from flash and may take 1.2 to 1.65 times as
  long on silicon. Native and thumb code of the guard runs from RAM, and its figures should hold.
- Contention on the bus between processor, DMA and USB, the second core, brown-out and BOOTSEL.
- Tolerances of the quartz and of the lines: both ends keep their rate exactly, and edges have no slope.
- Flash operations take the typical 45 ms per sector and 0.7 ms per page. A worn chip may take up to ten times as long.
"""


def performance_document(text: str) -> str:
    """The document for the text of `performance.json`."""
    figures = json.loads(text)
    lines = HEAD.format(clock=figures["clock_mhz"]) + _results(figures) + CUT + _cut(figures)
    return lines + STAGES + _stages(figures) + KERNELS + _kernels(figures) + MEMORY + _memory(figures) + TAIL


def _results(figures: Mapping[str, Any]) -> str:
    rows = [
        (
            f"{result['baud']:,}",
            result["mode"],
            f"{result['frames']:,}",
            f"{result['lost']:,}",
            _spread(result["verdict_us"]),
            _spread(result["first_byte_out_us"]),
        )
        for result in figures["results"]
    ]
    note = "Minimum / median / 99th percentile / maximum; none where frames were lost.\n\n"
    return note + markdown.table(("baud", "mode", "commands", "lost", "verdict, us", "first byte out, us"), rows) + "\n"


def _cut(figures: Mapping[str, Any]) -> str:
    rows = [
        (
            f"{cut['baud']:,}",
            f"{cut['frames']:,}",
            f"{cut['passing']:,}",
            f"{cut['in_time']:,}",
            f"{cut['wrong']:,}",
            f"{cut['delay_bits']['max']:.1f}" if cut["delay_bits"] else "none in time",
        )
        for cut in figures["cut_through"]
    ]
    return markdown.table(("baud", "frames", "that pass", "in time", "wrong", "most delay, bits"), rows) + "\n"


def _spread(spread: Mapping[str, float] | None) -> str:
    return " / ".join(f"{spread[name]:.0f}" for name in ("min", "median", "p99", "max")) if spread else "none"


def _stages(figures: Mapping[str, Any]) -> str:
    clock_mhz = figures["clock_mhz"]
    rows = [(name, f"{cycles:,.0f}", f"{cycles / clock_mhz:.1f}") for name, cycles in figures["stages_cycles"].items()]
    return markdown.table(("stage", "cycles", "us"), rows) + "\n"


def _kernels(figures: Mapping[str, Any]) -> str:
    rows = [(kernel["name"], f"{kernel['cycles_per_mac']:g}", kernel["source"]) for kernel in figures["kernels"]]
    return markdown.table(("kernel", "cycles per multiply-accumulate", "source"), rows) + "\n"


def _memory(figures: Mapping[str, Any]) -> str:
    rows = [(name.replace("_", " "), f"{size:,}") for name, size in figures["memory"].items()]
    return markdown.table(("what", "bytes"), rows) + "\n"
