"""The simulated gantry: its states, its motion in time, its doses, and what it believes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from rig_tools import LoneGantry

from gantryguard import paths
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.profiles.profile import Profile
from gantryguard.rig import cases
from gantryguard.rig.clock import MS, S
from gantryguard.rig.gantry import STATUS_NS
from gantryguard.rig.hostile import sealed
from gantryguard.rig.motion import Axis, Travel
from gantryguard.rig.phantom import Phantom
from gantryguard.rig.plan import SeriesPlan, series_plan
from gantryguard.rig.refusals import BEYOND, IMPOSSIBLE_NOW, OLD_NUMBER, UNREADABLE
from gantryguard.rig.trust import TRUSTING, Trust
from gantryguard.rig.xray import LONGEST_S, STEP_S, XrayUnit

WARY = Trust(*(False for _ in range(6)))
EXPOSE = {"series": 1.0}


@pytest.fixture(scope="module")
def profile() -> Profile:
    """The CT profile."""
    return Profile.load(paths.MODELS / "ct")


def loaded(profile: Profile, series: SeriesPlan | None = None, trust: Trust = TRUSTING) -> LoneGantry:
    """A gantry that knows patient and parameters."""
    world = LoneGantry(profile, trust)
    assert world.say("exam_context", cases.ADULT) == "acknowledge"
    assert world.say("scan_parameters", (series or cases.abdomen()).parameters) == "acknowledge"
    return world


def exposed(profile: Profile, series: SeriesPlan) -> LoneGantry:
    """A gantry that has executed one series to its end."""
    world = loaded(profile, series)
    assert world.say("prepare") == "acknowledge"
    assert world.say("expose", EXPOSE) == "acknowledge"
    world.clock.run_for(150 * S)
    return world


def move(position_mm: float, speed_mm_s: float = 100) -> Mapping[str, float]:
    return {"table_position_mm": position_mm, "move_speed_mm_s": speed_mm_s}


# ---- states

BEFORE = {
    "idle": [],
    "ready": ["exam_context", "scan_parameters"],
    "prepared": ["exam_context", "scan_parameters", "prepare"],
    "exposing": ["exam_context", "scan_parameters", "prepare", "expose"],
    "moving": ["exam_context", "scan_parameters", "table_move"],
    "stopped": ["exam_context", "scan_parameters", "stop"],
}
FIELDS = {
    "exam_context": cases.ADULT,
    "scan_parameters": cases.perfusion().parameters,
    "table_move": move(600),
    "tilt": {"gantry_tilt_deg": 5.0},
    "expose": EXPOSE,
}
ALLOWED = {
    "idle": {"exam_context", "scan_parameters", "table_move", "tilt", "stop"},
    "ready": {"exam_context", "scan_parameters", "table_move", "tilt", "prepare", "stop"},
    "prepared": {"exam_context", "scan_parameters", "prepare", "expose", "stop"},
    "exposing": {"stop"},
    "moving": {"exam_context", "scan_parameters", "table_move", "tilt", "stop"},
    "stopped": {"exam_context", "scan_parameters", "table_move", "tilt", "stop"},
}


@pytest.mark.parametrize("command", ["exam_context", "scan_parameters", "table_move", "tilt", "prepare", "expose", "stop"])
@pytest.mark.parametrize("state", list(BEFORE))
def test_every_command_in_every_state(profile: Profile, state: str, command: str) -> None:
    world = LoneGantry(profile, replace(TRUSTING, unprepared=False))
    for before in BEFORE[state]:
        assert world.say(before, FIELDS.get(before)) == "acknowledge"
    assert world.gantry.state == state
    executed = len(world.gantry.executed)
    answer = world.say(command, FIELDS.get(command))
    if command in ALLOWED[state]:
        assert answer == "acknowledge"
        assert world.gantry.executed[executed:][0].command == command
    else:
        assert answer == "refuse"
        assert world.answers[-1] == ("refuse", IMPOSSIBLE_NOW)
        assert len(world.gantry.executed) == executed


@pytest.mark.parametrize(("state", "fires"), [("ready", True), ("prepared", True), ("idle", False), ("stopped", False)])
def test_a_trusting_gantry_fires_unprepared_but_not_without_parameters(profile: Profile, state: str, fires: bool) -> None:
    world = LoneGantry(profile)
    for before in BEFORE[state]:
        world.say(before, FIELDS.get(before))
    assert (world.say("expose", EXPOSE) == "acknowledge") == fires
    assert (world.gantry.state == "exposing") == fires


def test_a_frame_that_is_no_command_is_refused(profile: Profile) -> None:
    world = LoneGantry(profile)
    frame = bytearray(world.voice.writer.build("prepare", 9, {}))
    frame[4] = 0x7E
    world.voice.transmit(sealed(frame, world.voice.writer))
    assert world.answers == [("refuse", UNREADABLE)]


def test_a_repetition_is_answered_again_and_not_executed_twice(profile: Profile) -> None:
    world = loaded(profile, cases.child_slab())
    assert world.say("expose", EXPOSE, sequence=7) == "acknowledge"
    world.clock.run_for(5 * S)
    assert world.say("keep_alive", sequence=8) == ""
    assert world.say("expose", EXPOSE, sequence=7) == "acknowledge"
    world.clock.run_for(5 * S)
    assert len(world.gantry.exposures) == 1
    assert world.say("expose", EXPOSE, sequence=9) == "acknowledge"
    world.clock.run_for(5 * S)
    assert len(world.gantry.exposures) == 2


# ---- status


def test_the_status_comes_in_its_time_and_on_a_keep_alive(profile: Profile) -> None:
    world = LoneGantry(profile)
    world.gantry.start()
    world.clock.run_for(4 * STATUS_NS + 100 * MS)
    assert [status.t_ns for status in world.statuses] == [n * STATUS_NS for n in range(5)]
    world.say("keep_alive")
    assert world.statuses[-1].t_ns == 4 * STATUS_NS + 100 * MS
    assert [status.sequence for status in world.statuses] == list(range(6))
    world.gantry.close()
    world.clock.run_for(S)
    assert len(world.statuses) == 6


def test_the_status_tells_dose_since_the_context(profile: Profile) -> None:
    world = exposed(profile, cases.head())
    world.say("keep_alive")
    assert world.statuses[-1].fields["gantry_dose_mgy"] == pytest.approx(49.5, abs=0.01)
    world.say("exam_context", dict(cases.ADULT) | {"exam_number": 200})
    world.say("keep_alive")
    assert world.statuses[-1].fields["gantry_dose_mgy"] == 0


# ---- motion


def test_the_table_takes_its_time(profile: Profile) -> None:
    world = LoneGantry(profile)
    world.say("table_move", move(600, 100))
    for after_s, where, state in ((0, 0, "moving"), (3, 300, "moving"), (2.999, 599.9, "moving"), (0.001, 600, "idle")):
        world.clock.run_for(round(after_s * S))
        world.say("keep_alive")
        status = world.statuses[-1].fields
        assert status["gantry_position_mm"] == pytest.approx(where, abs=0.06)
        assert world.gantry.state == state
        assert status["table_moving"] == (state == "moving")
    assert world.gantry.mechanical_faults == []


def test_a_new_target_in_mid_course(profile: Profile) -> None:
    world = LoneGantry(profile)
    world.say("table_move", move(3000, 100))
    world.clock.run_for(5 * S)
    world.say("table_move", move(400, 50))
    world.clock.run_for(2 * S)
    assert world.gantry.state == "idle"
    assert world.gantry.table.position(world.clock.now_ns) == pytest.approx(400)
    world.clock.run_for(60 * S)
    assert world.gantry.mechanical_faults == [], "the end stop was never reached"


def test_the_end_stop_is_hit_when_the_table_gets_there(profile: Profile) -> None:
    world = LoneGantry(profile)
    world.say("table_move", move(2500, 200))
    world.clock.run_for(9999 * MS)
    assert world.gantry.mechanical_faults == []
    world.clock.run_for(1 * MS)
    (fault,) = world.gantry.mechanical_faults
    assert (fault.axis, fault.t_ns) == ("table", 10 * S)
    assert world.gantry.table.position(world.clock.now_ns) == 2000


@pytest.mark.parametrize(("speed", "faults"), [(300, 0), (300.1, 1)])
def test_the_drive_has_a_fastest_speed(profile: Profile, speed: float, faults: int) -> None:
    world = LoneGantry(profile)
    world.say("table_move", move(600, speed))
    assert len(world.gantry.mechanical_faults) == faults
    world.clock.run_for(2 * S)
    assert world.gantry.table.position(world.clock.now_ns) == 600


@pytest.mark.parametrize(("tilt", "faults", "where"), [(30, 0, 30), (-31, 1, -30)])
def test_the_tilt_has_end_stops(profile: Profile, tilt: float, faults: int, where: float) -> None:
    world = LoneGantry(profile)
    world.say("tilt", {"gantry_tilt_deg": tilt})
    world.clock.run_for(9 * S)
    assert world.gantry.state == "moving"
    world.clock.run_for(2 * S)
    assert world.gantry.tilt.position(world.clock.now_ns) == where
    assert len(world.gantry.mechanical_faults) == faults


def test_an_axis_without_speed_stays() -> None:
    axis = Axis("table", Travel(0, 100, 10))
    assert axis.move(50, 0, 5) == 5
    assert axis.position(10 * S) == 0
    assert axis.faults == []


# ---- exposures


@pytest.mark.parametrize("series", [cases.abdomen(), cases.head(), cases.child_slab(), cases.perfusion()])
def test_an_executable_technique_delivers_what_was_stated(profile: Profile, series: SeriesPlan) -> None:
    world = exposed(profile, series)
    phantom = world.gantry.phantom
    assert phantom.ctdivol_mgy == pytest.approx(series.parameters["ctdivol_mgy"], rel=0.002)
    assert phantom.dlp_mgycm == pytest.approx(series.parameters["dlp_mgycm"], rel=0.002)
    assert world.gantry.mechanical_faults == []


@pytest.mark.parametrize(
    ("series", "seconds"),
    [
        (cases.abdomen(), (440 + 1.17 * 80) / 160),
        (cases.head(), 4 * 1.0 + 3 * STEP_S),
        (cases.perfusion(), 40 * 0.5),
        (cases.abdomen(table_speed_mm_s=0.0), LONGEST_S),
    ],
)
def test_an_exposure_takes_its_time(profile: Profile, series: SeriesPlan, seconds: float) -> None:
    parameters = dict(series.parameters)
    if seconds == LONGEST_S:
        parameters["table_speed_mm_s"] = 0.0
    world = loaded(profile, SeriesPlan(1, parameters, 0))
    world.say("expose", EXPOSE)
    world.clock.run_for(round(seconds * S) - MS)
    assert world.gantry.state == "exposing"
    world.clock.run_for(2 * MS)
    assert world.gantry.state == "ready"


def test_a_spiral_moves_the_table_and_a_spiral_over_the_end_hits_the_stop(profile: Profile) -> None:
    world = exposed(profile, cases.abdomen())
    assert world.gantry.table.position(world.clock.now_ns) == pytest.approx(440)
    world.say("table_move", move(1800, 300))
    world.clock.run_for(10 * S)
    world.say("expose", EXPOSE)
    world.clock.run_for(10 * S)
    assert [fault.axis for fault in world.gantry.mechanical_faults] == ["table"]
    assert world.gantry.table.position(world.clock.now_ns) == 2000


def test_dose_follows_the_execution_and_not_the_statement(profile: Profile) -> None:
    honest = cases.abdomen()
    lying = dict(honest.parameters) | {"ctdivol_mgy": 0.1, "dlp_mgycm": 0.1, "pitch": 1.5}
    world = exposed(profile, SeriesPlan(1, lying, 0))
    assert world.gantry.phantom.ctdivol_mgy == pytest.approx(honest.parameters["ctdivol_mgy"], rel=0.002)


@pytest.mark.parametrize(("asked", "ran"), [(133, 140), (130, 120), (110, 100), (255, 140), (0, 80), (120, 120)])
def test_a_voltage_that_is_no_station_runs_at_the_nearest(profile: Profile, asked: float, ran: float) -> None:
    world = exposed(profile, cases.abdomen(kvp=asked))
    assert world.gantry.exposures[0].shot.kvp == ran


def test_the_generator_gives_no_more_than_its_power() -> None:
    scanner = reference_scanner()
    shot = XrayUnit().shot(cases.abdomen(kvp=140, ma=4000).parameters, 0)
    assert shot.ma == pytest.approx(scanner.generator_kw * 1000 / 140)
    assert XrayUnit().shot(cases.abdomen(kvp=80, ma=4000).parameters, 0).ma == scanner.ma_max_ma


@pytest.mark.parametrize(
    "odd", [{"pitch": 0.0}, {"collimation_mm": 0.0}, {"rotation_s": 0.0}, {"phantom_cm": 0.0}, {"scan_length_mm": 0.0}]
)
@pytest.mark.parametrize("mode", ["localiser", "axial", "helical", "stationary"])
def test_nonsense_is_executed_somehow_and_in_finite_time(mode: str, odd: Mapping[str, float]) -> None:
    parameters = dict(series_plan(1, mode, 0, dict(cases.abdomen().parameters)).parameters) | dict(odd)
    shot = XrayUnit().shot(parameters, 100)
    assert 0 < shot.duration_ns <= LONGEST_S * S
    assert 0 <= shot.ctdivol_mgy < 1e6
    assert 0 <= shot.dlp_mgycm < 1e7
    assert shot.end_mm >= shot.start_mm == 100


@pytest.mark.parametrize("part", [0.25, 0.5])
@pytest.mark.parametrize("series", [cases.abdomen(), cases.perfusion()])
def test_a_stop_leaves_only_the_part_that_was_delivered(profile: Profile, series: SeriesPlan, part: float) -> None:
    world = loaded(profile, series)
    world.say("prepare")
    world.say("expose", EXPOSE)
    world.clock.run_for(round(XrayUnit().shot(series.parameters, 0).duration_ns * part))
    assert world.say("stop") == "acknowledge"
    assert world.gantry.state == "stopped"
    (exposure,) = world.gantry.exposures
    assert exposure.fraction == pytest.approx(part, rel=1e-6)
    assert exposure.ctdivol_mgy == pytest.approx(world.gantry.phantom.ctdivol_mgy)
    assert world.gantry.phantom.ctdivol_mgy == pytest.approx(series.parameters["ctdivol_mgy"] * part, rel=0.002)
    world.clock.run_for(60 * S)
    assert len(world.gantry.exposures) == 1


def test_a_stop_ends_motion_before_the_end_stop(profile: Profile) -> None:
    world = LoneGantry(profile)
    world.say("table_move", move(2500, 100))
    world.say("tilt", {"gantry_tilt_deg": 45.0})
    world.clock.run_for(5 * S)
    world.say("stop")
    world.clock.run_for(60 * S)
    assert world.gantry.table.position(world.clock.now_ns) == pytest.approx(500)
    assert world.gantry.tilt.position(world.clock.now_ns) == pytest.approx(15)
    assert world.gantry.mechanical_faults == []


# ---- the phantom


def test_repeated_exposures_of_one_place_add_up_there() -> None:
    phantom, unit = Phantom(), XrayUnit()
    for start_mm in (200, 200, 240):
        phantom.add(unit.shot(cases.child_slab().parameters, start_mm), 1.0)
    assert {number: round(dose) for number, dose in phantom.bins.items()} == dict.fromkeys(range(20, 24), 48) | dict.fromkeys(
        range(24, 28), 24
    )
    assert phantom.peak_mgy == pytest.approx(48)
    assert phantom.ctdivol_mgy == pytest.approx(72)


def test_half_a_spiral_irradiates_half_its_range() -> None:
    phantom = Phantom()
    shot = XrayUnit().shot(cases.abdomen().parameters, 0)
    phantom.add(shot, 0.5)
    assert sorted(phantom.bins) == list(range(22))
    assert phantom.peak_mgy == pytest.approx(shot.ctdivol_mgy)
    assert phantom.ctdivol_mgy == pytest.approx(shot.ctdivol_mgy / 2)


# ---- beliefs


def test_each_belief_can_be_taken_away(profile: Profile) -> None:
    world = loaded(profile, trust=WARY)
    assert world.say("expose", EXPOSE) == "refuse"
    assert world.answers[-1][1] == IMPOSSIBLE_NOW
    for command, fields in (
        ("scan_parameters", cases.abdomen(kvp=133).parameters),
        ("table_move", move(2001)),
        ("table_move", move(100, 301)),
        ("tilt", {"gantry_tilt_deg": 31.0}),
    ):
        assert world.say(command, fields) == "refuse"
        assert world.answers[-1][1] == BEYOND
    assert world.say("scan_parameters", cases.abdomen(ma=60000).parameters) == "refuse"
    assert world.answers[-1][1] == UNREADABLE
    assert world.say("prepare", sequence=0) == "refuse"
    assert world.answers[-1][1] == OLD_NUMBER
    assert world.say("prepare", sequence=50) == "acknowledge"
    assert world.say("expose", EXPOSE, sequence=51) == "acknowledge"


def test_a_trusting_gantry_believes_all_that(profile: Profile) -> None:
    world = loaded(profile)
    for command, fields in (
        ("table_move", move(2001)),
        ("table_move", move(100, 301)),
        ("tilt", {"gantry_tilt_deg": 31.0}),
        ("scan_parameters", cases.abdomen(kvp=133).parameters),
        ("scan_parameters", cases.abdomen(ma=60000).parameters),
    ):
        assert world.say(command, fields) == "acknowledge"
    world.clock.run_for(60 * S)
    assert world.say("prepare", sequence=0) == "acknowledge"


def test_no_gantry_executes_a_scan_mode_that_does_not_exist(profile: Profile) -> None:
    world = LoneGantry(profile)
    assert world.say("scan_parameters", dict(cases.abdomen().parameters) | {"scan_mode": 9}) == "refuse"
    assert world.answers[-1][1] == BEYOND
