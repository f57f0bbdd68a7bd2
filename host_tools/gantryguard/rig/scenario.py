"""A run of the demo: who says what on the console's side, and what the technologist's keys do meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gantryguard.profiles.profile import Profile
from gantryguard.rig.console import ExamOutcome, Player
from gantryguard.rig.endpoint import Commands
from gantryguard.rig.plan import ExamPlan
from gantryguard.rig.session import Script, Session, Timing

EXAM, ATTACK = "exam", "attack"


@dataclass(frozen=True)
class Stage:
    """What a script may use: the profile, the session, a player of exams, a writer of frames, the outcomes so far."""

    profile: Profile
    session: Session
    player: Player
    writer: Commands
    outcomes: list[ExamOutcome]


@dataclass(frozen=True)
class Press:
    """A key of the interposer ("override" or "cancel"), pressed `after_ms` after each hold, kept for `for_ms`."""

    key: str
    after_ms: int
    for_ms: int


@dataclass(frozen=True)
class Scenario:
    """One run. `kind` is "exam" or "attack"; `story` one line with its source; `script` gives a fresh script per run.

    Scripts of attackers go on at a refusal. `first_sequence` is the session's first sequence number, `limit_s` the
    simulated time after which the run has failed.
    """

    name: str
    kind: str
    story: str
    script: Callable[[Stage], Script]
    keys: tuple[Press, ...] = ()
    timing: Timing | None = None
    first_sequence: int = 0
    limit_s: int = 900


def exam_scenario(plan: ExamPlan, story: str = "a routine exam", keys: tuple[Press, ...] = ()) -> Scenario:
    """An exam as an honest console plays it."""

    def script(stage: Stage) -> Script:
        stage.outcomes.append((yield from stage.player.exam(plan)))

    return Scenario(plan.name, EXAM, story, script, keys)
