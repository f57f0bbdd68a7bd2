"""The whole evaluation: three seeds, the unconstrained ceiling, commissioned sites, the published design, float against int8.

Twenty minutes to an hour; what it writes is committed, and is of the package whose SHA-256 it names.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gantryguard.clinic.commands import Commands
from gantryguard.clinic.schema import OBJECTIVES
from gantryguard.learning import baselines, ceiling, evaluate, proposals, red_team, sites, train
from gantryguard.learning import trial as trials
from gantryguard.learning.evaluate import Outcome
from gantryguard.learning.floats import FloatDetector
from gantryguard.learning.pipeline import Pipeline, nets_of
from gantryguard.learning.stats import DIGITS, interval_of_mean
from gantryguard.learning.trial import Sample, Trial
from gantryguard.profiles.profile import Profile
from interposer.core.codec import C_ROW, C_ROWS, COMMAND_WORDS
from interposer.core.quantities import ROW_WORDS

Say = Callable[[float, str], None]

JUDGING = ("fields", "ranges", "rows", "curves", "limits", "nets", "weights")


@dataclass(frozen=True)
class Scope:
    """How much to do. `seeds` are those of the test sets."""

    seeds: tuple[int, ...] = (510_000, 520_000, 530_000)
    normals: int = 420_000
    per_kind: int = 1_850
    ceiling_commands: int = ceiling.COMMANDS
    sites: int = 96
    training_seed: int = 1


def study(folder: Path, profile: Profile, say: Say, scope: Scope | None = None) -> dict[str, Any]:
    """The content of metrics.json for the committed package of a profile folder."""
    scope = scope or Scope()
    pipeline, nets = Pipeline(profile), nets_of(profile)
    say(0.0, "test sets")
    tests = [trials.trial(Sample(scope.normals, scope.per_kind, seed)) for seed in scope.seeds]
    parts = [evaluate.run(pipeline, [test]) for test in tests]
    learnt = ceiling.learn(lambda done, text: say(0.05 + 0.5 * done, text), scope.ceiling_commands)
    whole = _with_ceiling(evaluate.joined(parts), learnt, tests)
    metrics = evaluate.metrics(whole)
    say(0.6, "commissioned sites")
    attacks = red_team.attack(pipeline)
    local = _commissioned(folder, profile, learnt, scope, attacks)
    without = evaluate.run(Pipeline(Profile.load(folder)), [tests[0]])
    hard = [part.alarm & ~np.isin(part.reason, evaluate.NETWORK_REASONS) for part in (without.normals, without.found)]
    compared = baselines.compare(tests[0], (hard[0], hard[1]), say)
    exact = FloatDetector(folder, nets, scope.training_seed, train.Recipe(), lambda done, text: say(0.85 + 0.1 * done, text))
    return {
        "tables_sha256": tables_sha256(profile),
        "seeds": [_of_seed(seed, part) for seed, part in zip(scope.seeds, parts, strict=True)],
        **metrics,
        "ceiling_commands": scope.ceiling_commands,
        "without_networks": evaluate.metrics(without)["overall"],
        "commissioned": local,
        "proposals": proposals.measure(profile, tests[0]),
        "red_team": [vars(find) for find in attacks],
        "baselines": compared,
        "better_than_baselines": _better(metrics, compared),
        "float_vs_int8": _float(exact.outcome(whole, tests), metrics),
    }


def tables_sha256(profile: Profile) -> str:
    """SHA-256 of what the evaluation depends on: the tables that judge a command.

    Signatures and dates change nothing of it, nor does the order in which a command's rows are evaluated.
    """
    digest = hashlib.sha256()
    for name in JUDGING:
        table = profile.package.table(name)
        digest.update(_rows_by_destination(profile) if name == "rows" else memoryview(table).cast("B"))
    return digest.hexdigest()


def _rows_by_destination(profile: Profile) -> bytes:
    """The rows of each command, by what they write."""
    rows, commands = profile.package.table("rows"), profile.package.table("commands")
    words = list(rows)
    for command in range(0, len(commands), COMMAND_WORDS):
        first = at = commands[command + C_ROW]
        program = []
        for _ in range(commands[command + C_ROWS]):
            end = at + ROW_WORDS + 2 * rows[at + ROW_WORDS - 1]
            program.append(list(rows[at:end]))
            at = end
        words[first:at] = [word for row in sorted(program, key=lambda row: row[1]) for word in row]
    return array("i", words).tobytes()


def _with_ceiling(whole: Outcome, learnt: ceiling.Learnt, tests: Sequence[Trial]) -> Outcome:
    rate = float(whole.normals.alarm.mean())
    tops = [
        np.concatenate([ceiling.found(models, test, rate) for test in tests]) for models in (learnt.by_class, learnt.for_all())
    ]
    return evaluate.with_ceiling(whole, *tops)


def _of_seed(seed: int, part: Outcome) -> dict[str, object]:
    overall: Any = evaluate.metrics(part)["overall"]
    names = ("normals", "anomalies", "f1_grades_1_3", "recall_by_grade", "false_alarm_rate", "false_alarm_ci95")
    return {"seed": seed, **{name: overall[name] for name in names}}


def _commissioned(
    folder: Path, profile: Profile, learnt: ceiling.Learnt, scope: Scope, shipped: Sequence[red_team.Find]
) -> dict[str, object]:
    """Sites after commissioning, beside the ceiling at their rate of false alarms; and what a red team gets past them."""
    found, refused = sites.commissioned_trials(folder, nets_of(profile), scope.sites)
    parts = [evaluate.run(Pipeline(own.profile), [own.test]) for own in found]
    rates = [float(part.normals.alarm.mean()) for part in parts]
    whole = _with_ceiling(evaluate.joined(parts), learnt, [own.test for own in found])
    measured: dict[str, Any] = evaluate.metrics(whole)
    names = ("objective", "group", "normals", "f1_grades_1_3", "false_alarm_rate", "false_alarm_ci95")
    return {
        "sites": scope.sites,
        "refused_sites": refused,
        "false_alarms_by_site": {
            "ci95": [round(end, DIGITS) for end in interval_of_mean(rates)],
            "median": round(float(np.median(rates)), DIGITS),
            "one_in_ten_above": round(float(np.percentile(rates, 90)), DIGITS),
        },
        "red_team": _most_dose(found, {find.objective: find.normal for find in shipped if find.aim == red_team.MOST_DOSE}),
        "contexts": [{name: context[name] for name in names} for context in measured["contexts"]],
        **{name: measured[name] for name in ("overall", "recall_by_kind", "blame")},
    }


def _most_dose(found: Sequence[sites.Own], of_all: Mapping[str, float]) -> list[dict[str, object]]:
    """Per objective the most dose that passes at the site whose range ends farthest above the 99th percentile of its context.

    That is the one of all sites, `of_all`, or the site's own where it is higher.
    """

    def reach(own: sites.Own, name: str) -> float:
        scans = Commands.concat([own.test.normals, own.test.sources])
        doses = red_team.relative_dose(scans.take(scans["objective"] == OBJECTIVES[name]))
        return own.ranges.dose[name].high / max(of_all[name], float(np.percentile(doses, 99)))

    told: list[dict[str, object]] = []
    for name, bound in of_all.items():
        own = max(found, key=lambda site: reach(site, name))
        (find,) = red_team.attack(Pipeline(own.profile), objectives=(name,), aims=(red_team.MOST_DOSE,), site=own.site)
        ratio = round(find.value / max(bound, find.normal), 4)
        told.append({"objective": name, "ratio": ratio, "of_all_sites": round(bound, 4), "of_the_site": round(find.normal, 4)})
    return told


def _better(metrics: dict[str, Any], compared: Sequence[dict[str, Any]]) -> dict[str, object]:
    """Per objective the best F1 of any baseline beside the guard's."""
    best: dict[str, object] = {}
    for context in metrics["contexts"]:
        name = context["objective"]
        if name != "all":
            rival = max(compared, key=lambda row: row["contexts"][name]["f1_grades_1_3"])
            best[name] = {
                "guard": context["f1_grades_1_3"],
                "best_baseline": rival["contexts"][name]["f1_grades_1_3"],
                "its_name": rival["name"],
                "its_false_alarm_rate": rival["contexts"][name]["false_alarm_rate"],
            }
    return best


def _float(exact: Outcome, metrics: dict[str, Any]) -> dict[str, object]:
    figures: Any = evaluate.metrics(exact)["overall"]
    names = ("f1_grades_1_3", "recall_by_grade", "false_alarm_rate")
    return {
        "float": {name: figures[name] for name in names},
        "int8": {name: metrics["overall"][name] for name in names},
        "f1_points_lost": round(100 * (figures["f1_grades_1_3"] - metrics["overall"]["f1_grades_1_3"]), 4),
    }
