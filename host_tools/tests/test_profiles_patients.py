"""Exams and patients one after the other: what a console cannot make the guard forget by announcing another exam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ct_exam import LOCALISER, expose, ready, remembered
from profile_bench import ABDOMEN, CONTEXT, ct, stated

from interposer.core.reasons import BLOCK, HOLD, PASS, REPEATED, STALE


def test_an_old_exam_number_is_stale() -> None:
    desk = ready()
    for number, verdict in ((100, BLOCK), (99, BLOCK), (100 + 32767, PASS), (100, BLOCK), (60000, PASS), (20000, PASS)):
        assert desk.send("exam_context", CONTEXT | {"exam_number": number}) == verdict
        if verdict == BLOCK:
            assert (desk.judge.reason, desk.limit()) == (STALE, "exam number is fresh")


def test_the_same_patient_under_a_new_number_is_held_and_nothing_is_forgotten() -> None:
    desk = ready(technique=LOCALISER)
    again = CONTEXT | {"exam_number": 101}
    assert expose(desk) == PASS
    assert desk.send("exam_context", again) == PASS  # nothing but a localiser: the console has begun anew
    assert remembered(desk, "localisers") == 1
    assert desk.send("scan_parameters", stated(ct(), ABDOMEN)) == PASS
    assert expose(desk) == PASS
    dose = remembered(desk, "accumulated_ctdivol_mgy")
    assert desk.send("exam_context", again | {"exam_number": 102, "contrast": "yes"}) == HOLD
    assert (desk.judge.reason, desk.limit()) == (REPEATED, "another patient")
    frame = ct().encode("exam_context", desk.sequence, again | {"exam_number": 102})
    assert desk.judge.assess_held(frame, len(frame)) == HOLD
    desk.judge.accept_held(frame, len(frame), 0)  # the technologist confirms
    assert remembered(desk, "accumulated_ctdivol_mgy") == dose > 0
    assert (remembered(desk, "exposures"), remembered(desk, "last_exam_number")) == (1, 102)
    assert desk.send("scan_parameters", stated(ct(), ABDOMEN)) == PASS
    assert desk.send("prepare") == HOLD
    assert desk.limit() == "no repetition"


@pytest.mark.parametrize("other", [{"age_years": 51}, {"sex": "male"}, {"weight_kg": 70.1}, {"height_cm": 170.1}])
def test_another_patient_begins_with_nothing(other: Mapping[str, Any]) -> None:
    desk = ready(technique=ABDOMEN)
    assert expose(desk) == PASS
    assert desk.send("exam_context", CONTEXT | {"exam_number": 101} | dict(other)) == PASS
    assert [remembered(desk, name) for name in ("accumulated_ctdivol_mgy", "exposures", "localisers")] == [0, 0, 0]
    assert remembered(desk, "exposed_1_mm") == remembered(desk, "exposed_6_end_mm") == 1_000_000
    assert desk.send("scan_parameters", stated(ct(), ABDOMEN)) == PASS
    assert expose(desk) == PASS


def test_an_exam_number_cannot_come_back_after_another_exam() -> None:
    """A, B, A: refused, also where the numbers wrap around between them."""
    for first in (100, 65535):
        desk = ready({"exam_number": first}, ABDOMEN)
        assert expose(desk) == PASS
        other = CONTEXT | {"exam_number": (first + 1) & 65535, "age_years": 61}
        assert desk.send("exam_context", other) == PASS
        assert desk.send("exam_context", CONTEXT | {"exam_number": first}) == BLOCK
        assert (desk.judge.reason, desk.limit()) == (STALE, "exam number is fresh")
