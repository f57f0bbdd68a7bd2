"""The whole way of a hold with the firmware's own bridge: what passes meanwhile, how it ends, how the exam goes on."""

from __future__ import annotations

from typing import Any

import pytest
from desk_bench import DeskBench
from desk_console import HELD, DeskConsole

from gantryguard import paths
from gantryguard.profiles.profile import Profile
from gantryguard.rig import cases
from gantryguard.rig.guarded import run_guarded
from gantryguard.rig.plan import ExamPlan
from gantryguard.rig.result import RunResult
from gantryguard.rig.scenario import Press, exam_scenario
from gantryguard.rig.wire import run_on_wire
from interposer.core import reasons
from interposer.core.gate import BLOCKING, HOLDING, PASSING
from interposer.core.package import P_RETRIES

MOVE = {"table_position_mm": 600, "move_speed_mm_s": 100}
NORMAL = cases.abdomen(kvp=140, ma=400, rotation_s=0.8, pitch=0.8, scan_length_mm=460)
EXAM = ExamPlan("a very obese patient", cases.VERY_OBESE, (HELD,))


@pytest.fixture(scope="module")
def profile() -> Profile:
    """The CT profile without its networks: limits alone decide here."""
    return Profile.load(paths.MODELS / "ct")


@pytest.fixture
def console(profile: Profile) -> DeskConsole:
    """A console at a guard that waits for an exam."""
    return DeskConsole(profile)


# ---- A whole exam, with the simulated console and gantry


def played(profile: Profile, *keys: Press) -> RunResult:
    """The exam through the guard; keys count from the hold on."""
    return run_guarded(lambda: DeskBench(profile), profile, exam_scenario(EXAM, keys=keys))


def test_after_an_override_the_exam_goes_on_to_its_end(profile: Profile) -> None:
    """Table, prepare, expose: all passes, and the patient gets what the plain wire would have given, once."""
    result = played(profile, Press("override", 3000, 700), Press("override", 5000, 700))
    (outcome,) = result.outcomes
    assert (outcome.series_done, outcome.ending) == (1, "")
    assert (result.held, result.reasons) == (1, {"NOTIFICATION": 1})
    assert result.dose_mgy == pytest.approx(run_on_wire(profile, exam_scenario(EXAM)).dose_mgy)
    assert len(result.exposures) == 1


@pytest.mark.parametrize(
    ("keys", "ending"),
    [
        ((Press("cancel", 3000, 700),), "CANCELLED"),
        ((Press("override", 3000, 300), Press("override", 3360, 300), Press("override", 3720, 300)), "HOLD_TIMEOUT"),
        ((Press("override", 3000, 700), Press("cancel", 3200, 700)), "CANCELLED"),
        ((), "HOLD_TIMEOUT"),
    ],
)
def test_without_an_override_nobody_is_exposed(profile: Profile, keys: tuple[Press, ...], ending: str) -> None:
    result = played(profile, *keys)
    (outcome,) = result.outcomes
    assert (outcome.series_done, outcome.ending) == (0, ending)
    assert (result.dose_mgy, len(result.exposures)) == (0, 0)


# ---- What passes while a command is held


def test_keep_alive_passes_and_nothing_else_does(console: DeskConsole) -> None:
    held = console.hold()
    others: list[tuple[str, Any]] = [
        ("table_move", MOVE),
        ("tilt", {"gantry_tilt_deg": 5}),
        ("scan_parameters", NORMAL.parameters),
        ("exam_context", {**cases.ADULT, "exam_number": 200}),
    ]
    for command, values in others:
        assert console.passes("keep_alive")
        assert not console.passes(command, values)
        assert console.said()[-1] == ("refuse", reasons.HOLD_PENDING)
        assert (console.desk.bridge.gate.state, console.desk.relay.closed) == (HOLDING, True)
    left = len(console.desk.gantry.left)
    console.press("override")
    assert console.desk.gantry.left[left:] == [held]


@pytest.mark.parametrize(
    ("command", "values", "reason"),
    [
        ("prepare", {}, reasons.OUT_OF_SEQUENCE),
        ("expose", {"series": 1}, reasons.OUT_OF_SEQUENCE),
        ("table_move", {**MOVE, "table_position_mm": 3000}, reasons.RANGE),
    ],
)
def test_what_blocks_at_any_time_blocks_and_drops_the_held_command(
    console: DeskConsole, command: str, values: dict[str, Any], reason: int
) -> None:
    held = console.hold()
    said = len(console.said())
    assert not console.passes(command, values)
    assert console.said()[said:] == [("refuse", reason)] * 2
    assert {reply.sequence for reply in console.replies()[-2:]} == {console.sequence, console.sequence - 1}
    assert (console.desk.bridge.gate.state, console.desk.relay.closed) == (BLOCKING, False)
    for key in ("override", "cancel", "override"):
        console.press(key)
    assert held not in console.desk.gantry.left
    assert console.desk.bridge.gate.state == PASSING


def test_a_refusal_by_policy_leaves_the_hold_as_it_is(console: DeskConsole) -> None:
    """A frame repeated too often is refused and nothing else: the technologist still decides about the held one."""
    held = console.hold()
    tries = console.profile.package.table("params")[P_RETRIES] + 1
    for _ in range(tries):
        assert console.desk.send(held) == []
    assert console.said()[-1] == ("refuse", reasons.TOO_MANY_RETRIES)
    assert console.desk.bridge.gate.state == HOLDING
    console.press("override")
    assert console.desk.gantry.left[-1] == held


# ---- Prepare after the table was sent somewhere: the gantry has to say that it is there


def test_prepare_waits_for_the_gantrys_word(console: DeskConsole) -> None:
    console.hold()
    console.press("override")
    assert console.passes("table_move", MOVE)
    for status in ({}, {"gantry_state": "moving", "gantry_position_mm": 300, "table_moving": "yes"}):
        if status:
            console.status(**status)
        assert not console.passes("prepare")
        assert console.said()[-1] == ("refuse", reasons.IMPOSSIBLE)
        assert console.desk.bridge.gate.state == PASSING
    console.status(gantry_state="ready", gantry_position_mm=MOVE["table_position_mm"])
    assert console.passes("prepare")
    assert console.passes("expose", {"series": 1})


def test_the_gantrys_bytes_reach_the_console_while_a_command_is_held(console: DeskConsole) -> None:
    console.hold()
    console.status(gantry_position_mm=123)
    assert console.replies()[-1].command == "status"
    assert console.replies()[-1].fields["gantry_position_mm"] == 123
