"""The red team's worst passing commands, played: what a search with full knowledge found is what the gantry gets, and no more.

Each is an exam with as many ranges as the guard lets pass, each range at the find's dose, by a console that goes on at a
refusal. The finds are those of the committed report.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gantryguard import paths
from gantryguard.clinic import schema
from gantryguard.profiles.profile import Profile
from gantryguard.rig.attacks import IMPATIENT
from gantryguard.rig.guarded import booted_guard, run_guarded
from gantryguard.rig.pico import EmulatedPico
from gantryguard.rig.plan import ExamPlan, SeriesPlan
from gantryguard.rig.scenario import ATTACK, Scenario, Stage
from gantryguard.rig.session import Script

RANGES = 14  # two more than the guard allows in one exam
FIRST_MM, APART_MM = 300.0, 40.0
MOST_OF_NORMAL = 1.25
ALERT_MGY = 1000.0
ROUNDING = 1.02  # of the wire's steps
METRICS = json.loads((paths.MODELS / "ct" / "report" / "metrics.json").read_text(encoding="utf-8"))
FINDS = {find["objective"]: find for find in METRICS["red_team"] if find["aim"] == "most dose"}
QUICK = ("perfusion",)  # the highest sum
CASES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.full) for name in FINDS]

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def guard(ct: Profile, micropython_uf2: Path) -> EmulatedPico:
    """A booted guard; a test uses it up, hence only in a fork."""
    return booted_guard(ct, micropython_uf2)


def plan_of(command: dict[str, float]) -> ExamPlan:
    """The find as an exam: the same technique again and again, range after range."""
    technique = {name: command[name] for name in schema.TECHNIQUE}
    series = tuple(SeriesPlan(number + 1, technique, FIRST_MM + APART_MM * number) for number in range(RANGES))
    context = {"exam_number": 500.0, **{name: command[name] for name in schema.CONTEXT}}
    return ExamPlan("red team", context, series)


@pytest.mark.forked
@pytest.mark.parametrize("objective", CASES)
def test_the_worst_that_passes_is_near_normal_and_an_exam_stays_below_the_alert(
    guard: EmulatedPico, ct: Profile, objective: str
) -> None:
    find: dict[str, Any] = FINDS[objective]
    plan = plan_of(find["command"])

    def script(stage: Stage) -> Script:
        stage.outcomes.append((yield from stage.player.exam(plan)))

    result = run_guarded(lambda: guard, ct, Scenario("red team", ATTACK, "", script, timing=IMPATIENT))
    most_mgy = MOST_OF_NORMAL * find["normal"] / find["value"] * find["command"]["ctdivol_mgy"]
    assert len(result.exposures) >= 1, "the find does not pass on the rig"
    assert 0 < max(exposure.ctdivol_mgy for exposure in result.exposures) <= most_mgy * ROUNDING
    assert result.dose_mgy < ALERT_MGY
    assert result.blocked + result.held > 0, "nothing ever ended the exam"
