"""The CT profile, judged by core: a plausible exam passes, and every limit refuses what breaks it and nothing at its bound."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import pytest
from ct_exam import CHILD, HEAD, LOCALISER, MOVE, PERFUSION, expose, move, ready, report
from profile_bench import ABDOMEN, CONTEXT, Desk, ct, injector, stated

from gantryguard.profiles.profile import Profile
from interposer.core import codec, limits
from interposer.core.reasons import (
    ALERT,
    BLOCK,
    HOLD,
    PASS,
    REPEATED,
)

# ---- exams that pass


def test_an_adult_abdomen_exam_passes() -> None:
    desk = ready(technique=LOCALISER)
    assert expose(desk) == PASS
    assert desk.send("keep_alive") == PASS
    assert desk.send("scan_parameters", stated(ct(), ABDOMEN)) == PASS
    assert expose(desk) == PASS
    accumulated = desk.judge.exam.values[ct().slot("accumulated_ctdivol_mgy")] / 100
    assert accumulated == pytest.approx(7.0 + 0.1, rel=0.02)
    assert desk.send("stop") == PASS
    assert desk.send("exam_context", CONTEXT | {"exam_number": 101, "age_years": 51}) == PASS
    assert desk.judge.exam.values[ct().slot("accumulated_ctdivol_mgy")] == 0


def test_a_tilted_head_passes_after_its_tilt_command() -> None:
    desk = ready({"objective": "head"}, HEAD | {"tilt_deg": -15})
    assert desk.send("prepare") == BLOCK
    assert desk.limit() == "gantry stands at the tilt"
    assert desk.send("tilt", {"gantry_tilt_deg": -15}) == PASS
    report(desk, gantry_tilt_now_deg=-15)
    assert expose(desk) == PASS


def test_contrast_phases_pass_three_times() -> None:
    desk = ready({"contrast": "yes"}, ABDOMEN)
    assert [expose(desk) for _ in range(4)] == [PASS, PASS, PASS, HOLD]
    assert desk.judge.reason == REPEATED


def test_a_perfusion_passes() -> None:
    assert expose(ready({"objective": "perfusion"}, PERFUSION)) == PASS


# ---- every limit is broken by one change of an exam that passes

PARAMETERS: dict[str, tuple[Mapping[str, Any], Mapping[str, Any], int]] = {
    "kVp is a station": ({}, ABDOMEN | {"kvp": 110}, BLOCK),
    "mA": ({}, ABDOMEN | {"ma": 19}, BLOCK),
    "generator power": ({}, ABDOMEN | {"ma": 670}, BLOCK),
    "rotation time exists": ({}, ABDOMEN | {"rotation_s": 0.45}, BLOCK),
    "collimation exists": ({}, ABDOMEN | {"collimation_mm": 30}, BLOCK),
    "helical collimation": ({}, ABDOMEN | {"collimation_mm": 160, "rotation_s": 1}, BLOCK),
    "slice exists": ({}, ABDOMEN | {"slice_mm": 0.5}, BLOCK),
    "pitch": ({}, ABDOMEN | {"pitch": 1.501}, BLOCK),
    "scan length": ({}, ABDOMEN | {"scan_length_mm": 2000.1}, BLOCK),
    "table speed": ({}, LOCALISER | {"table_speed_mm_s": 300.1}, BLOCK),
    "computed table speed": ({}, ABDOMEN | {"collimation_mm": 80, "rotation_s": 0.28, "pitch": 1.2}, BLOCK),
    "tilt": ({"objective": "head"}, HEAD | {"tilt_deg": 30.1}, BLOCK),
    "rotations": ({"objective": "perfusion"}, PERFUSION | {"rotations": 101, "ma": 50}, BLOCK),
    "localiser mA": ({}, LOCALISER | {"ma": 101}, BLOCK),
    "localiser kVp": ({}, LOCALISER | {"kvp": 140}, BLOCK),
    "localiser does not rotate": ({}, LOCALISER | {"rotation_s": 0.5}, BLOCK),
    "localiser speed": ({}, LOCALISER | {"table_speed_mm_s": 49.9}, BLOCK),
    "localiser dose": ({}, LOCALISER | {"ma": 100, "collimation_mm": 20}, HOLD),
    "only axial scans tilt": ({}, ABDOMEN | {"tilt_deg": 0.1}, BLOCK),
    "one rotation per place": ({"objective": "head"}, HEAD | {"rotations": 2, "ma": 100}, BLOCK),
    "no pitch without increment": ({"objective": "perfusion"}, PERFUSION | {"pitch": 0.5}, BLOCK),
    "phantom fits the objective": ({}, ABDOMEN | {"phantom_cm": 16}, BLOCK),
    "alert value": ({"objective": "perfusion"}, PERFUSION | {"rotations": 100, "ma": 300}, BLOCK),
    "notification adult head": ({"objective": "head"}, HEAD | {"ma": 500}, HOLD),
    "notification head 2 to 5 y": ({"objective": "paed_head", **CHILD}, HEAD | {"ma": 400}, HOLD),
    "notification head under 2 y": ({"objective": "paed_head", "age_years": 1}, HEAD | {"ma": 320}, HOLD),
    "notification adult torso": ({"weight_kg": 190}, ABDOMEN | {"ma": 600, "rotation_s": 1, "pitch": 0.8}, HOLD),
    "notification child torso": ({"objective": "paed_abdomen_pelvis", **CHILD}, ABDOMEN | {"ma": 320}, HOLD),
    "notification perfusion": ({"objective": "perfusion"}, PERFUSION | {"ma": 300, "rotations": 40}, HOLD),
    "notification coronary spiral": ({"objective": "ccta"}, ABDOMEN | {"ma": 660, "pitch": 0.15}, HOLD),
    "usual dose": ({}, ABDOMEN | {"ma": 30}, HOLD),
    "usual length": ({}, ABDOMEN | {"scan_length_mm": 150}, HOLD),
    "highest usual voltage": ({"objective": "extremity"}, ABDOMEN | {"kvp": 140}, HOLD),
    "lowest usual voltage": ({"objective": "calcium_score"}, ABDOMEN | {"scan_mode": "axial", "kvp": 100}, HOLD),
    "highest usual voltage for the slim": ({"weight_kg": 45}, ABDOMEN | {"kvp": 140, "ma": 60}, HOLD),
    "highest usual rotation time": ({"objective": "chest_ldct"}, ABDOMEN | {"rotation_s": 0.8, "ma": 50}, HOLD),
    "lowest usual rotation time": ({}, ABDOMEN | {"rotation_s": 0.35, "ma": 300}, HOLD),
    "highest usual pitch": ({"objective": "head"}, ABDOMEN | {"phantom_cm": 16, "pitch": 0.8}, HOLD),
    "lowest usual pitch": ({}, ABDOMEN | {"pitch": 0.3, "ma": 60}, HOLD),
    "highest usual collimation": ({"objective": "neck"}, ABDOMEN | {"collimation_mm": 80}, HOLD),
    "lowest usual collimation": ({}, ABDOMEN | {"collimation_mm": 20}, HOLD),
    "highest usual slice thickness": ({}, ABDOMEN | {"slice_mm": 10}, HOLD),
    "lowest usual slice thickness": ({}, ABDOMEN | {"slice_mm": 0.625}, HOLD),
    "axial is usual": ({}, ABDOMEN | {"scan_mode": "axial", "scan_length_mm": 440}, HOLD),
    "helical is usual": ({"objective": "calcium_score"}, ABDOMEN, HOLD),
    "stationary is usual": ({"objective": "head"}, PERFUSION | {"rotations": 5}, HOLD),
    "unborn child in the beam": ({"pregnant": "yes"}, ABDOMEN, HOLD),
    "notification coronary sequence": ({"objective": "ccta"}, ABDOMEN | {"scan_mode": "axial", "ma": 660, "pitch": 0.4}, HOLD),
}
STATED_WRONG: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "table speed": ({"table_speed_mm_s": 301}, ABDOMEN),
    "phantom exists": ({"phantom_cm": 20}, ABDOMEN),
    "stated table speed": ({"table_speed_mm_s": 85}, ABDOMEN),
    "stated CTDIvol": ({"ctdivol_mgy": 7.4}, ABDOMEN),
    "stated DLP": ({"dlp_mgycm": 300}, ABDOMEN),
    "table stands in this mode": ({"table_speed_mm_s": 1}, HEAD),
}
OTHER = {
    "exam number is fresh",
    "gantry tilt",
    "table position",
    "move speed",
    "scan stays on the table",
    "gantry stands at the tilt",
    "gantry is tilted as it was told",
    "table is where it was sent",
    "another patient",
    "alert value by the gantry's account",
    "localisers of an exam",
    "table stands",
    "notification child torso, head phantom",
    "no repetition",
    "three phases",
    "exposures of an exam",
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_that_break_a_limit_are_refused_by_its_name(name: str) -> None:
    context, technique, verdict = PARAMETERS[name]
    desk = ready(context)
    assert desk.send("scan_parameters", stated(ct(), technique), accept=False) == verdict
    assert name in broken(desk)


@pytest.mark.parametrize("name", STATED_WRONG)
def test_a_false_statement_is_refused(name: str) -> None:
    false, technique = STATED_WRONG[name]
    desk = ready({} if technique is ABDOMEN else {"objective": "head"})
    assert desk.send("scan_parameters", stated(ct(), technique) | false) == BLOCK
    assert name in broken(desk)


def test_every_limit_of_the_profile_is_broken_by_some_test() -> None:
    table = ct().package.table("limits")
    names = {ct().limit_name(index) for index in range(len(table) // limits.LIMIT_WORDS)}
    assert names == set(PARAMETERS) | set(STATED_WRONG) | OTHER


def broken(desk: Desk) -> set[str]:
    """Names of all limits of the last command that its trial breaks (`Judge.limit` is the first of the strictest)."""
    values, table = desk.judge.exam.trial, ct().package.table("limits")
    first, count = stretch(ct(), ct().command_names[desk.judge.command])
    return {
        ct().limit_name(index) for index in range(first, first + count) if limits.first_broken(values, table, index, 1) >= 0
    }


def stretch(profile: Profile, command: str) -> tuple[int, int]:
    """A command's limits: first, count."""
    commands, at = profile.package.table("commands"), profile.command(command) * codec.COMMAND_WORDS
    return commands[at + codec.C_LIMIT], commands[at + codec.C_LIMITS]


@pytest.mark.parametrize("profile", [ct(), injector()], ids=["ct", "injector"])
def test_every_limit_holds_to_its_bound_and_not_beyond(profile: Profile) -> None:
    table = profile.package.table("limits")
    values = array("i", bytes(4 * profile.size))
    for index in range(len(table) // limits.LIMIT_WORDS):
        at = index * limits.LIMIT_WORDS
        source, low, high, condition = table[at : at + 4]
        beyond = [bound + step for bound, step in ((low, -1), (high, 1)) if -(1 << 31) <= bound + step < 1 << 31]
        assert beyond
        for value in (low, high, *beyond):
            for holds in (1, 0) if condition >= 0 else (1,):
                values[condition if condition >= 0 else source] = holds
                values[source] = value
                found = limits.first_broken(values, table, index, 1)
                assert (found == index) == (value in beyond and bool(holds)), profile.limit_name(index)
                values[source] = 0


# ---- limits that need more than parameters


def test_motion_beyond_the_mechanics_is_refused() -> None:
    desk = ready()
    for command, values, name in (
        ("table_move", MOVE | {"table_position_mm": -0.1}, "table position"),
        ("table_move", MOVE | {"table_position_mm": 2000.1}, "table position"),
        ("table_move", MOVE | {"move_speed_mm_s": 300.1}, "move speed"),
        ("tilt", {"gantry_tilt_deg": 30.1}, "gantry tilt"),
        ("tilt", {"gantry_tilt_deg": -30.1}, "gantry tilt"),
    ):
        assert desk.send(command, values) == BLOCK
        assert desk.limit() == name


def test_a_scan_that_would_leave_the_table_is_refused() -> None:
    desk = ready(technique=ABDOMEN)
    move(desk, 1550.1)
    assert desk.send("prepare") == BLOCK
    assert desk.limit() == "scan stays on the table"
    move(desk, 1550)
    assert expose(desk) == PASS


def test_nothing_is_prepared_while_the_table_moves() -> None:
    desk = ready(technique=ABDOMEN)
    for moving, verdict in (("yes", BLOCK), ("no", PASS)):
        report(desk, table_moving=moving, gantry_state="moving")
        assert desk.send("prepare") == verdict


def test_one_slab_again_and_again_is_held_at_the_second_time() -> None:
    """The Mad River accident: a child of two and a half, one slab of the head, no contrast."""
    desk = ready({"objective": "paed_head", "age_years": 2.5, "weight_kg": 13, "height_cm": 92}, HEAD | {"ma": 120})
    assert expose(desk) == PASS
    for _ in range(3):
        assert desk.send("scan_parameters", stated(ct(), HEAD | {"ma": 120})) == PASS
        assert desk.send("prepare") == HOLD
        assert (desk.judge.reason, desk.limit()) == (REPEATED, "no repetition")
    move(desk, 569.9)  # half of the 140 mm is new: less than that is the same range
    assert desk.send("prepare") == HOLD
    move(desk, 570)
    assert desk.send("prepare") == PASS


def test_localisers_do_not_count_as_repetition() -> None:
    desk = ready(technique=LOCALISER)
    assert [expose(desk), expose(desk)] == [PASS, PASS]
    assert desk.send("scan_parameters", stated(ct(), ABDOMEN)) == PASS
    assert expose(desk) == PASS


def test_going_back_and_forth_does_not_hide_a_repetition() -> None:
    desk = ready(technique=ABDOMEN)
    assert expose(desk) == PASS
    desk.insist("scan_parameters", stated(ct(), ABDOMEN | {"scan_length_mm": 50}))
    for position in (100, 200, 300, 1000, 1100):
        move(desk, position)
        assert expose(desk) == PASS
    move(desk, 500)
    assert desk.send("prepare") == HOLD
    assert desk.limit() == "no repetition"


def test_an_exam_has_a_last_exposure() -> None:
    desk = ready(technique=ABDOMEN | {"scan_length_mm": 50})
    for number in range(12):
        move(desk, 100 * number)
        assert expose(desk) == PASS
    move(desk, 1300)
    assert desk.send("prepare") == HOLD
    assert desk.limit() == "exposures of an exam"


def test_the_alert_value_counts_what_was_given() -> None:
    desk = ready({"objective": "perfusion", "contrast": "yes"}, PERFUSION)
    assert [expose(desk), expose(desk)] == [PASS, PASS]
    assert desk.send("prepare") == BLOCK
    assert desk.judge.reason == ALERT
    assert desk.send("scan_parameters", stated(ct(), PERFUSION | {"rotations": 40})) == BLOCK
    assert desk.limit() == "alert value"


def test_the_alert_value_counts_what_the_gantry_says_it_gave() -> None:
    desk = ready({"objective": "perfusion"}, PERFUSION)
    report(desk, gantry_dose_mgy=990)
    assert desk.send("prepare") == BLOCK
    assert (desk.judge.reason, desk.limit()) == (ALERT, "alert value by the gantry's account")


def test_an_exam_has_a_last_localiser() -> None:
    desk = ready(technique=LOCALISER)
    assert [expose(desk) for _ in range(7)] == [PASS] * 6 + [HOLD]
    assert (desk.judge.reason, desk.limit()) == (REPEATED, "localisers of an exam")
    assert desk.send("scan_parameters", stated(ct(), ABDOMEN)) == PASS
    assert expose(desk) == PASS


def test_a_childs_torso_has_its_own_value_in_the_head_phantom() -> None:
    """The phantom does not fit either, which blocks: here the notification is asked by itself."""
    desk = ready({"objective": "paed_chest", **CHILD})
    desk.send("scan_parameters", stated(ct(), ABDOMEN | {"phantom_cm": 16, "ma": 400}), accept=False)
    assert {"notification child torso, head phantom", "phantom fits the objective"} <= broken(desk)
