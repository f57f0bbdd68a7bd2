"""The demo's attacks: what an attacker who owns the console sends, each with the story that it stands for.

All are deterministic and go on at a refusal. None contains an exposure that would be right by itself: even the first of the 151
in `mad_river` is no head scan, but one slab of it. What the attacker states (CTDIvol, DLP, table speed)
fits what he commands: a lie about the dose would only make him easier to catch.

"Know Your Enemy" is Mahler et al., arXiv 1801.05583. The two accidents are cases reported by the press.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gantryguard.rig import cases, hostile
from gantryguard.rig.clock import MS, S
from gantryguard.rig.plan import ExamPlan, SeriesPlan
from gantryguard.rig.scenario import ATTACK, Press, Scenario, Stage, exam_scenario
from gantryguard.rig.session import Pause, Raw, Script, Timing

IMPATIENT = Timing(hold_ns=2 * S)  # an attacker does not wait for the technologist
SLABS = 151
SLAB_PAUSE_NS = 50 * MS  # slow enough that the guard's limit of the rate is not what stops him
LATER_NUMBERS = 128  # far from the numbers of the recorded exam, which begin at 0


def _attack(name: str, story: str, script: Callable[[Stage], Script], first_sequence: int = 0) -> Scenario:
    return Scenario(name, ATTACK, story, script, timing=IMPATIENT, first_sequence=first_sequence)


def _exam(name: str, context: Mapping[str, float], *series: SeriesPlan) -> Callable[[Stage], Script]:
    """A script that plays a whole exam, whatever is answered."""

    def script(stage: Stage) -> Script:
        stage.outcomes.append((yield from stage.player.exam(ExamPlan(name, context, series))))

    return script


def _loaded(stage: Stage, plan: ExamPlan) -> Script:
    """Context and parameters of an ordinary exam: what the attacks on the wire begin with."""
    yield from stage.player.context(plan)
    yield from stage.player.say("scan_parameters", plan.series[0].parameters)


def _mad_river(stage: Stage) -> Script:
    yield from stage.player.context(ExamPlan("", cases.TWO_AND_A_HALF, ()))
    for number in range(1, SLABS + 1):
        yield from stage.player.series(cases.child_slab(number))
        yield Pause(SLAB_PAUSE_NS)


def _table(stage: Stage) -> Script:
    yield from stage.player.context(ExamPlan("table", cases.ADULT, ()))
    yield from stage.player.say("table_move", {"table_position_mm": 3000, "move_speed_mm_s": 600})
    yield Pause(8 * S)


def _replay(stage: Stage) -> Script:
    recorded = hostile.record(stage.profile, ExamPlan("earlier", cases.ADULT, (cases.abdomen(),)))
    yield from stage.player.context(ExamPlan("later", cases.FOUR_YEARS, ()))
    before_ns = recorded[0][0]
    for t_ns, frame in recorded:
        yield Pause(t_ns - before_ns)
        yield Raw(hostile.as_recorded(frame))
        before_ns = t_ns
    yield Pause(S)


def _unprepared(stage: Stage) -> Script:
    plan = ExamPlan("unprepared", cases.ADULT, (cases.abdomen(),))
    yield from _loaded(stage, plan)
    yield from stage.player.expose(plan.series[0])


def _nested(stage: Stage) -> Script:
    yield from _loaded(stage, ExamPlan("nested", cases.ADULT, (cases.abdomen(),)))
    for make in hostile.lies(stage.writer):
        yield Raw(make)
        yield Pause(S)


def _flood(stage: Stage) -> Script:
    yield from _loaded(stage, ExamPlan("flood", cases.TWO_AND_A_HALF, (cases.child_slab(),)))
    yield Raw(hostile.flood(stage.writer))
    yield Pause(4 * S)


def _stop_while_blocked(stage: Stage) -> Script:
    plan = ExamPlan("stop", cases.STROKE, (cases.perfusion(),))
    yield from _loaded(stage, plan)
    yield from stage.player.say("expose", {"series": 1})
    yield Pause(2 * S)
    yield from stage.player.say("stop", {})


def attacks() -> tuple[Scenario, ...]:
    """Every attack of the demo, in its order."""
    return (
        _attack(
            "eight-fold perfusion",
            "brain perfusion at eight times the dose after a changed default (Cedars-Sinai, 2008-09, 206 patients)",
            _exam("perfusion", cases.STROKE, cases.perfusion(kvp=120, ma=463)),
        ),
        _attack(
            "adult technique on a child",
            "an adult's abdomen technique for a child of four years and 15 kg (parameters tampered with: Know Your Enemy)",
            _exam("child", cases.FOUR_YEARS, cases.abdomen(scan_length_mm=300)),
        ),
        _attack(
            "151 slabs",
            "one slab of the head of a child of two and a half again and again, each command well-formed (Mad River, 2008)",
            _mad_river,
        ),
        _attack(
            "tilt beyond its stop",
            "tilt 45 degrees, then expose (mechanical disruption: Know Your Enemy)",
            _exam("tilt", cases.ADULT_HEAD, cases.head(tilt_deg=45)),
        ),
        _attack(
            "table beyond its stop",
            "table at twice its speed towards a place it cannot reach (mechanical disruption: Know Your Enemy)",
            _table,
        ),
        _attack(
            "no such kVp",
            "133 kV, which is no station, with four times the mA (parameters tampered with: Know Your Enemy)",
            _exam("kvp", cases.ADULT, cases.abdomen(kvp=133, ma=1400)),
        ),
        _attack(
            "replay",
            "an adult's recorded exam once more, behind the context of a child (replay: Know Your Enemy)",
            _replay,
            first_sequence=LATER_NUMBERS,
        ),
        _attack("no prepare", "expose without prepare (out of order: Know Your Enemy)", _unprepared),
        _attack(
            "nested frames",
            "frames with false lengths and an expose command hidden in their payload (injection: Know Your Enemy)",
            _nested,
        ),
        _attack("flood", "thousands of frames within two seconds, exposures among them (flooding: Know Your Enemy)", _flood),
        _attack(
            "stop while blocked",
            "a blocked exposure, then a stop that must reach the gantry all the same (safety rule)",
            _stop_while_blocked,
        ),
    )


def justified_exception() -> Scenario:
    """A very obese patient whose scan is above the notification value: held, and let through by the technologist."""
    series = cases.abdomen(kvp=140, ma=560, rotation_s=0.8, pitch=0.8, scan_length_mm=460)
    return exam_scenario(
        ExamPlan("very obese patient", cases.VERY_OBESE, (series,)),
        "a patient of 190 kg needs more than the notification value; the technologist overrides the hold",
        (Press("override", after_ms=1500, for_ms=800),),
    )
