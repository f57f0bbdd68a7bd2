"""Who plays in the demo: the real exams (or generated ones where they cannot be had), the attacks, the justified exception."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from gantryguard.clinic.exams import Exam, generate_exams
from gantryguard.clinic.real_exams import real_exams
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.rig.attacks import attacks, justified_exception
from gantryguard.rig.plan import ExamPlan, plan_of
from gantryguard.rig.scenario import Press, Scenario, exam_scenario

STORY = "an exam as an honest console plays it; where it is held, nobody gives a reason and it is cancelled after three seconds"
CANCEL = Press("cancel", after_ms=3000, for_ms=800)
GENERATED = 11
GENERATED_SEED = 11
PICTURED = ("adult technique on a child", "very obese patient", "stop while blocked", "flood")


@dataclass(frozen=True)
class Cast:
    """The scenarios in their order, a note for each name that has one, and remarks about where the exams are from."""

    scenarios: tuple[Scenario, ...]
    notes: dict[str, str]
    remarks: tuple[str, ...]


def cast(say: Callable[[str], None]) -> Cast:
    """Everything that the demo plays. Fetches the dose reports once; says so where it has to do without them."""
    real = real_exams(say)
    left_out = Counter((skipped.report, skipped.reason) for skipped in real.skipped)
    remarks = [f"  left out: {count} x {report}, {reason}" for (report, reason), count in left_out.items()]
    exams: tuple[Exam, ...] = real.exams
    if real.unavailable:
        remarks = [f"The real dose reports cannot be had, generated exams are played instead. {real.unavailable}"]
        exams = tuple(generate_exams(GENERATED, scanner=reference_scanner(), seed=GENERATED_SEED))
    else:
        remarks.insert(0, f"{len(exams)} exams from the clinical spiral events of real dose reports (OpenREM 0.10.0)")
    plans = [exam_scenario(plan_of(exam, number), STORY, (CANCEL,)) for number, exam in enumerate(exams, start=1)]
    notes = {exam.name: "; ".join(exam.notes) for exam in exams}
    return Cast((*plans, justified_exception(), *attacks()), notes, tuple(remarks))


def bench_exams(count: int, seed: int) -> list[ExamPlan]:
    """Generated exams for a console on a real port."""
    exams = generate_exams(count, scanner=reference_scanner(), seed=seed)
    return [plan_of(exam, number) for number, exam in enumerate(exams, start=1)]
