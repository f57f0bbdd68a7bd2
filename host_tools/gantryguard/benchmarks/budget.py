"""Everything that `gantryguard bench latency` measures, each part on an emulated guard of its own, side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gantryguard.benchmarks import clock_mhz
from gantryguard.benchmarks.cut_through import CutThrough, cutting_profile, measure_cut_through
from gantryguard.benchmarks.latency import Measured, guard_at, measure, seen_from_the_line
from gantryguard.benchmarks.stages import Stages, measure_stages
from gantryguard.profiles.files import baud_of
from gantryguard.profiles.profile import Profile
from interposer.core.audit import may_cut_through
from interposer.core.link import FRAMING_WORDS

RATES = (9600, 38_400, 115_200, 460_800, 921_600, 2_000_000, 3_000_000)
CUT_RATES = (9600, 19_200, 57_600, 115_200, 921_600)
CUT_SHARE = 5  # these take so much longer, each with its rest before and after
CUT_LEAST = 6
FRAMES_SEEN = 40  # commands at rest whose median stands for the ways in and out of the stages


@dataclass(frozen=True)
class Budget:
    """Results by rate and mode, then of frames that leave while they come; cycles, kernels and memory as in `stages.Stages`.

    `clock_mhz`: of the processor that all was measured on.
    """

    clock_mhz: int
    results: list[Measured]
    cut_through: list[CutThrough]
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
        framing = profile.package.table("framings")[:FRAMING_WORDS]
        cut_rates = [rate for rate in CUT_RATES if rate in rates or tuple(rates) == RATES] if may_cut_through(framing) else []
        cuts = [pool.submit(_cut, profile, micropython, rate, max(CUT_LEAST, frames // CUT_SHARE)) for rate in cut_rates]
        results = []
        for part in parts:
            results.append(part.result())
            tell(results[-1])
        found = stages.result()
        cut = [part.result() for part in cuts]
    return Budget(clock_mhz(), results, cut, found.stages_cycles, found.kernels, found.memory)


def _result(profile: Profile, micropython: Path, rate: int, frames: int, is_spaced: bool) -> Measured:
    return measure(guard_at(profile, micropython, rate), profile, rate, frames, is_spaced=is_spaced)


def _cut(profile: Profile, micropython: Path, rate: int, frames: int) -> CutThrough:
    return measure_cut_through(cutting_profile(profile, rate), micropython, frames)


def _stages(profile: Profile, micropython: Path) -> Stages:
    rate = baud_of(profile)
    send_us = seen_from_the_line(guard_at(profile, micropython, rate), profile, rate, FRAMES_SEEN)
    return measure_stages(profile, micropython, send_us)
