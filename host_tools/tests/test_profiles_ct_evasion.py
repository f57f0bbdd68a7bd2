"""Ways around the CT profile's limits, and its order, codes and corrections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ct_exam import CHILD, HEAD, MOVE, expose, gantry_refuses, move, ready, report
from profile_bench import ABDOMEN, CONTEXT, Desk, ct, stated

from gantryguard.clinic import schema
from gantryguard.clinic.exams import Exam, generate_exams
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.reasons import reason_name
from interposer.core.exam import X_STATE
from interposer.core.package import POLICY_REFUSE
from interposer.core.reasons import ABNORMAL_FOR_CONTEXT, BAD_FIELD, BLOCK, HOLD, NONE, OUT_OF_SEQUENCE, PASS

# ---- ways around a limit


@pytest.mark.parametrize("command", ["scan_parameters", "prepare"])
def test_a_command_that_the_gantry_refused_leaves_parameters_needed(command: str) -> None:
    desk = ready(technique=ABDOMEN)
    if command == "prepare":
        assert desk.send("prepare") == PASS
    gantry_refuses(desk)
    assert desk.send("expose" if command == "prepare" else "prepare") == BLOCK
    assert desk.judge.reason == OUT_OF_SEQUENCE
    assert desk.send("scan_parameters", stated(ct(), ABDOMEN)) == PASS
    assert expose(desk) == PASS


def test_a_refusal_outside_an_exam_changes_nothing() -> None:
    desk = Desk(ct())
    gantry_refuses(desk)
    assert desk.judge.exam.session[X_STATE] == 0


@pytest.mark.parametrize(("short_mm", "verdict"), [(1.1, BLOCK), (1.0, PASS), (-1.0, PASS), (-1.1, BLOCK)])
def test_nothing_is_prepared_before_the_table_is_where_it_was_sent(short_mm: float, verdict: int) -> None:
    desk = ready(technique=ABDOMEN)
    assert desk.send("table_move", MOVE | {"table_position_mm": 700}) == PASS
    report(desk, gantry_position_mm=700 - short_mm)
    assert desk.send("prepare") == verdict
    if verdict == BLOCK:
        assert (desk.judge.policy, desk.limit()) == (POLICY_REFUSE, "table is where it was sent")


@pytest.mark.parametrize(("short_deg", "verdict"), [(0.3, BLOCK), (0.2, PASS), (-0.2, PASS), (-0.3, BLOCK)])
def test_nothing_is_prepared_before_the_gantry_has_tilted(short_deg: float, verdict: int) -> None:
    desk = ready({"objective": "head"}, HEAD | {"tilt_deg": 10})
    assert desk.send("tilt", {"gantry_tilt_deg": 10}) == PASS
    report(desk, gantry_tilt_now_deg=10 - short_deg)
    assert desk.send("prepare") == verdict
    if verdict == BLOCK:
        assert (desk.judge.policy, desk.limit()) == (POLICY_REFUSE, "gantry is tilted as it was told")


def test_moves_that_the_table_does_not_make_do_not_hide_a_repetition() -> None:
    """The console names another place each time, and the gantry stays: first not prepared, then held."""
    desk = ready(technique=ABDOMEN)
    assert expose(desk) == PASS
    assert desk.send("table_move", MOVE | {"table_position_mm": 1200}) == PASS
    assert desk.send("prepare") == BLOCK
    assert desk.send("table_move", MOVE) == PASS
    assert desk.send("prepare") == HOLD
    assert desk.limit() == "no repetition"


def test_a_table_that_ran_on_is_judged_where_it_stands() -> None:
    """After an exposure nothing was commanded: the range begins where the gantry says that it is."""
    desk = ready(technique=ABDOMEN)
    assert expose(desk) == PASS
    report(desk, gantry_position_mm=1600)
    assert desk.send("prepare") == BLOCK
    assert desk.limit() == "scan stays on the table"
    report(desk, gantry_position_mm=950)
    assert desk.send("prepare") == PASS


@pytest.mark.parametrize(
    ("start_mm", "length_mm", "verdict"),
    [
        (500, 450, HOLD),
        (505, 450, HOLD),
        (600, 100, HOLD),
        (300, 900, HOLD),
        (725, 450, PASS),
        (950, 450, PASS),
        (60, 450, PASS),
    ],
)
def test_a_range_counts_as_repeated_where_most_of_the_shorter_one_is_covered(
    start_mm: float, length_mm: float, verdict: int
) -> None:
    desk = ready(technique=ABDOMEN)
    assert expose(desk) == PASS
    desk.insist("scan_parameters", stated(ct(), ABDOMEN | {"scan_length_mm": length_mm}))
    move(desk, start_mm)
    assert desk.send("prepare") == verdict


def test_a_short_scan_with_a_wide_beam_covers_the_beam() -> None:
    """Steps of 2 mm with a length of 1 mm would otherwise never meet."""
    desk = ready({"objective": "head"}, HEAD | {"scan_length_mm": 1})
    assert expose(desk) == PASS
    move(desk, 502)
    assert desk.send("prepare") == HOLD


def test_generated_exams_break_no_limit() -> None:
    desk = Desk(ct())
    exams = generate_exams(200, scanner=reference_scanner(), seed=77)
    broken_by = {(exam.name, found) for number, exam in enumerate(exams, 1) if (found := played(desk, exam, number))}
    assert not broken_by


def played(desk: Desk, exam: Exam, number: int) -> str:
    """Send an exam as a console does; the limit that it breaks, or ""."""
    steps: list[tuple[str, Mapping[str, Any]]] = [("exam_context", {**exam.context, "exam_number": number})]
    for series in exam.series:
        tilt = series.command["tilt_deg"]
        at = {"table_position_mm": series.start_mm, "move_speed_mm_s": 100}
        steps += [("table_move", at), ("tilt", {"gantry_tilt_deg": tilt}), ("scan_parameters", series.command)]
        steps += [("prepare", {}), ("expose", {"series": 1})]
    for command, values in steps:
        if desk.send(command, values) != PASS:
            return f"{reason_name(desk.judge.reason)} {desk.limit()}"
        if command == "table_move":
            report(desk, gantry_position_mm=values["table_position_mm"])
        if command == "tilt":
            report(desk, gantry_tilt_now_deg=values["gantry_tilt_deg"])
    return ""


# ---- order, codes, corrections


@pytest.mark.parametrize("command", ["scan_parameters", "table_move", "tilt", "prepare", "expose"])
def test_nothing_comes_before_the_context(command: str) -> None:
    desk = Desk(ct())
    values = stated(ct(), ABDOMEN) if command == "scan_parameters" else MOVE if command == "table_move" else {}
    assert desk.send(command, values) == BLOCK
    assert desk.judge.reason == OUT_OF_SEQUENCE


def test_a_stop_asks_for_new_parameters() -> None:
    desk = ready(technique=ABDOMEN)
    assert desk.send("prepare") == PASS
    assert desk.send("stop") == PASS
    assert desk.send("expose", {"series": 1}) == BLOCK
    assert desk.judge.reason == OUT_OF_SEQUENCE


def test_a_code_that_nobody_has_is_a_bad_field() -> None:
    desk = Desk(ct())
    assert desk.send("exam_context", CONTEXT | {"objective": 0}) == BLOCK
    assert desk.judge.reason == BAD_FIELD
    assert ct().slot_names[desk.judge.blamed] == "objective"


def test_codes_of_the_link_are_the_clinics_codes() -> None:
    for field, codes in (
        ("objective", schema.OBJECTIVES),
        ("scan_mode", schema.SCAN_MODES),
        ("sex", schema.SEXES),
        ("contrast", schema.FLAGS),
        ("pregnant", schema.FLAGS),
    ):
        assert dict(ct().codes(field)) == codes
    assert set(schema.NAMES) <= set(ct().quantities)


def test_an_adults_technique_on_a_child_is_held() -> None:
    desk = ready({"objective": "paed_abdomen_pelvis", **CHILD})
    assert desk.send("scan_parameters", stated(ct(), ABDOMEN | {"ma": 400, "scan_length_mm": 260})) == HOLD
    assert desk.judge.reason == ABNORMAL_FOR_CONTEXT
    assert desk.judge.blamed == ct().slot("kvp")  # 120 kV is wrong for 15 kg whatever the current
    assert NONE == 0
