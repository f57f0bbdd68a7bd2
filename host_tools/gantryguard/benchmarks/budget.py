"""Everything that `gantryguard bench latency` measures, each part on an emulated guard of its own, side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gantryguard.benchmarks.latency import Measured, guard_at, measure, seen_from_the_line
from gantryguard.benchmarks.stages import Stages, measure_stages
from gantryguard.profiles.files import baud_of
from gantryguard.profiles.profile import Profile

FRAMES_SEEN = 40  # commands at rest whose median stands for the ways in and out of the stages


@dataclass(frozen=True)
class Budget:
    """Results by rate and mode; cycles by stage, kernels beside published ones, and memory, as `stages.Stages` has them."""

    results: list[Measured]
    stages_cycles: Mapping[str, float]
    kernels: list[dict[str, str | float]]
    memory: Mapping[str, int]


def measure_latency(
    profile: Profile, micropython: Path, rates: Sequence[int], frames: int, tell: Callable[[Measured], None]
) -> Budget:
    """Measure `frames` commands per rate and mode; `tell` hears each result as it comes. UserError (exit 8) as its parts."""
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        stages = pool.submit(_stages, profile, micropython)
        parts: list[Future[Measured]] = [
            pool.submit(_result, profile, micropython, rate, frames, is_spaced) for rate in rates for is_spaced in (True, False)
        ]
        results = []
        for part in parts:
            results.append(part.result())
            tell(results[-1])
        found = stages.result()
    return Budget(results, found.stages_cycles, found.kernels, found.memory)


def _result(profile: Profile, micropython: Path, rate: int, frames: int, is_spaced: bool) -> Measured:
    return measure(guard_at(profile, micropython, rate), profile, rate, frames, is_spaced=is_spaced)


def _stages(profile: Profile, micropython: Path) -> Stages:
    rate = baud_of(profile)
    verdict_us, send_us = seen_from_the_line(guard_at(profile, micropython, rate), profile, rate, FRAMES_SEEN)
    return measure_stages(profile, micropython, verdict_us, send_us)
