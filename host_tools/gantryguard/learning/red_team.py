"""An adaptive attacker with full knowledge and unlimited offline queries: what is the worst that passes?

Per objective, patient and aim (most dose, least dose, most noise, fastest table) it starts from normal commands, changes one to
three fields at random or towards its aim, keeps what passes and is worse, and goes on from the best. The result is compared
with what normal commands of that context reach. Evolution strategies need no gradient and cannot be fooled by rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gantryguard.clinic import objectives as tables_of
from gantryguard.clinic import schema
from gantryguard.clinic.commands import Commands
from gantryguard.clinic.generator import generate
from gantryguard.clinic.scanner import Scanner, reference_scanner
from gantryguard.clinic.tamper import on_steps
from gantryguard.learning import ranges
from gantryguard.learning.mlp import Say
from gantryguard.learning.pipeline import Pipeline

Real = NDArray[np.float64]
Aim = Callable[[Commands], Real]
SCALED = ("ma", "pitch", "scan_length_mm", "rotations")
NOISE_SLICE_MM = 5.0  # the slice that noise is compared at


@dataclass(frozen=True)
class Effort:
    """How hard it tries: normals to compare with, commands per generation, generations, survivors."""

    normals: int = 20_000
    crowd: int = 2_000
    rounds: int = 25
    survivors: int = 200


@dataclass(frozen=True)
class Find:
    """The worst passing command of an aim in a context; `ratio` to the normal 99th (for the least dose: 1st) percentile."""

    objective: str
    aim: str
    ratio: float
    value: float
    normal: float
    normal_beyond: float  # the highest (least dose: lowest) of the normals as a ratio to that percentile
    command: dict[str, float]


def relative_dose(commands: Commands) -> Real:
    """Computed CTDIvol over what is expected for the objective and this patient's size."""
    name = schema.name_of(schema.OBJECTIVES, commands["objective"][0])
    return ranges.dose_ratio(commands, name, tables_of.tables(), reference_scanner())


def relative_noise(commands: Commands) -> Real:
    """The noise proxy over that of the expected dose at 5 mm slices."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.sqrt(NOISE_SLICE_MM / commands["slice_mm"] / relative_dose(commands)))


MOST_DOSE = "most dose"
AIMS: dict[str, tuple[Aim, float]] = {
    MOST_DOSE: (relative_dose, 1.0),
    "least dose": (relative_dose, -1.0),
    "most noise": (relative_noise, 1.0),
    "fastest table": (lambda c: reference_scanner().table_speed_mm_s(c), 1.0),
}


def attack(
    pipeline: Pipeline,
    effort: Effort | None = None,
    seed: int = 1,
    say: Say | None = None,
    *,
    objectives: Sequence[str] = tuple(schema.OBJECTIVES),
    aims: Sequence[str] = tuple(AIMS),
    site: int | None = None,
) -> list[Find]:
    """The worst that passes, for every objective and aim, beside normals of all sites, or of the one with the seed `site`."""
    effort = effort or Effort()
    finds = []
    for number, name in enumerate(objectives):
        if say is not None:
            say(number / len(objectives), f"attacking {name}")
        scanner, code = reference_scanner(), schema.OBJECTIVES[name]
        normals = generate(
            effort.normals, scanner=scanner, seed=seed + code, objectives=(name,), site_seed=site, localiser_share=0
        )
        for aim in aims:
            measure, sign = AIMS[aim]
            finds.append(_worst(pipeline, normals, name, aim, measure, sign, effort, np.random.default_rng([seed, code])))
    return finds


def _worst(
    pipeline: Pipeline,
    normals: Commands,
    name: str,
    aim: str,
    measure: Aim,
    sign: float,
    effort: Effort,
    dice: np.random.Generator,
) -> Find:
    usual = measure(normals)
    bound = float(np.percentile(usual, 99 if sign > 0 else 1))
    best = normals.take(dice.integers(len(normals), size=effort.survivors))
    best = best.take(~pipeline.judge(best).is_alarm())
    for _ in range(effort.rounds):
        tried = _changed(best.take(dice.integers(len(best), size=effort.crowd)), dice)
        tried = tried.take(~pipeline.judge(tried).is_alarm())
        pool = Commands.concat([best, tried])
        order = np.argsort(-sign * measure(pool), kind="stable")
        best = pool.take(order[: effort.survivors])
    value = float(measure(best.take([0]))[0])
    extreme = float(usual.max() if sign > 0 else usual.min())
    ratio, beyond = (round(number / bound, 4) if bound else 1.0 for number in (value, extreme))
    return Find(name, aim, ratio, value, bound, beyond, best.row(0))


def _changed(commands: Commands, dice: np.random.Generator) -> Commands:
    """One to three fields of each command changed; stated values follow, as an attacker would state them."""
    scanner = reference_scanner()
    fresh = {name: commands[name].copy() for name in (*SCALED, *_lists(scanner))}
    share = dice.integers(1, 4, size=len(commands)) / len(fresh)
    for name, column in fresh.items():
        chosen = dice.random(len(commands)) < share
        if name in SCALED:
            column[chosen] *= np.exp(0.25 * dice.standard_normal(int(chosen.sum())))
        else:
            column[chosen] = dice.choice(np.array(_lists(scanner)[name]), size=int(chosen.sum()))
    fresh["rotations"] = np.where(commands["scan_mode"] == schema.STATIONARY, np.round(fresh["rotations"]), 1)
    fresh["ma"] = np.floor(np.minimum(fresh["ma"], scanner.generator_kw * 1000 / fresh["kvp"]))
    return scanner.restated(on_steps(scanner, commands.replace(**fresh)))


def _lists(scanner: Scanner) -> dict[str, tuple[float, ...]]:
    return {
        "kvp": scanner.kvp_stations_kv,
        "rotation_s": scanner.rotation_times_s,
        "collimation_mm": scanner.collimations_mm,
        "slice_mm": scanner.slices_mm,
    }
