"""The simulated console on a plain wire: whole exams, and every way in which one can end early."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gantryguard import paths
from gantryguard.clinic.exams import generate_exams
from gantryguard.clinic.scanner import reference_scanner
from gantryguard.errors import UserError
from gantryguard.profiles.profile import Profile
from gantryguard.rig import cases
from gantryguard.rig.clock import MS, S
from gantryguard.rig.console import SimulatedConsole
from gantryguard.rig.gantry import SimulatedGantry
from gantryguard.rig.plan import ExamPlan, plan_of
from gantryguard.rig.scenario import EXAM, Scenario, Stage, exam_scenario
from gantryguard.rig.session import Pause, Script
from gantryguard.rig.trust import TRUSTING, Trust
from gantryguard.rig.wire import PlainWire, run_on_wire

BAUD = 115200
HEAD = ExamPlan("head", cases.ADULT_HEAD, (cases.head(1, tilt_deg=-12), cases.head(2)))
BODY = ExamPlan("body", cases.ADULT | {"exam_number": 102.0}, (cases.abdomen(),))


@pytest.fixture(scope="module")
def profile() -> Profile:
    """The CT profile."""
    return Profile.load(paths.MODELS / "ct")


class Room:
    """Console and gantry on a plain wire; `lose` may swallow frames of the console before they reach the wire."""

    def __init__(
        self, profile: Profile, *exams: ExamPlan, trust: Trust = TRUSTING, lose: Callable[[bytes], bool] | None = None
    ) -> None:
        self.wire = PlainWire(BAUD)
        self.gantry = SimulatedGantry(self.wire.clock, profile, self.wire.gantry_in.send, trust=trust)
        self.wire.gantry_out.deliver = self.gantry.endpoint.on_byte

        def send(data: bytes) -> None:
            if lose is None or not lose(data):
                self.wire.console_in.send(data)

        self.console = SimulatedConsole(self.wire.clock, profile, send, exams)
        self.wire.console_out.deliver = self.console.endpoint.on_byte

    def play(self) -> list[str]:
        """Play all exams; returns their endings."""
        self.console.start()
        assert self.wire.run_while(lambda: self.console.busy, 600 * S)
        return [outcome.ending for outcome in self.console.outcomes]

    def executed(self) -> list[str]:
        return [command.command for command in self.gantry.executed]


def test_two_exams_in_order(profile: Profile) -> None:
    room = Room(profile, HEAD, BODY)
    room.gantry.start()
    assert room.play() == ["", ""]
    assert [outcome.series_done for outcome in room.console.outcomes] == [2, 1]
    head = ["exam_context", "scan_parameters", "table_move", "tilt", "prepare", "expose"]
    again = ["scan_parameters", "table_move", "tilt", "prepare", "expose"]
    assert room.executed() == [*head, *again, "exam_context", "scan_parameters", "table_move", "prepare", "expose"]
    assert room.gantry.phantom.ctdivol_mgy == pytest.approx(2 * 49.5 + 12.25, rel=0.002)
    assert all(exposure.prepared and exposure.fraction == 1 for exposure in room.gantry.exposures)
    assert room.gantry.mechanical_faults == []


def test_the_console_waits_for_table_and_exposure(profile: Profile) -> None:
    room = Room(profile, BODY, BODY)
    room.gantry.start()
    room.play()
    times = {entry.command: entry.t_ns for entry in room.console.transcript[:5]}
    assert times["prepare"] - times["table_move"] > 6 * S
    first, second = room.gantry.exposures
    assert second.start_ns > first.end_ns + 500 * MS


def test_a_table_and_a_tilt_that_stand_right_are_left_alone(profile: Profile) -> None:
    still = cases.perfusion()
    room = Room(profile, ExamPlan("twice", cases.STROKE, (still, still)))
    room.gantry.start()
    room.play()
    assert room.executed().count("table_move") == 1
    assert room.executed().count("tilt") == 0


def test_a_silent_gantry_ends_the_exam(profile: Profile) -> None:
    room = Room(profile, HEAD, lose=lambda _data: True)
    assert room.play() == ["the gantry is silent"]
    assert room.executed() == []


def test_a_refusal_ends_the_exam_and_the_next_one_begins(profile: Profile) -> None:
    wrong = ExamPlan("kvp", cases.ADULT, (cases.abdomen(kvp=133), cases.abdomen()))
    room = Room(profile, wrong, BODY, trust=Trust(any_kvp=False))
    room.gantry.start()
    assert room.play() == ["GANTRY_BEYOND", ""]
    assert room.console.outcomes[0].series_done == 0
    assert len(room.gantry.exposures) == 1


@pytest.mark.parametrize("length", [8, 7])
def test_a_lost_frame_is_repeated_and_nothing_happens_twice(profile: Profile, length: int) -> None:
    seen: set[bytes] = set()

    def lose_the_first(data: bytes) -> bool:
        first = len(data) == length and data not in seen
        seen.add(data)
        return first

    room = Room(profile, BODY, lose=lose_the_first)
    room.gantry.start()
    assert room.play() == [""]
    assert max(entry.tries for entry in room.console.transcript) == 2
    assert len(room.gantry.exposures) == 1


def test_a_prepared_gantry_is_stopped_where_the_exposure_cannot_be_asked_for(profile: Profile) -> None:
    room = Room(profile, BODY, lose=lambda data: data[4] == 0x31)
    room.gantry.start()
    assert room.play() == ["no answer to expose"]
    assert room.executed()[-1] == "stop"
    assert room.gantry.exposures == []


def test_a_table_that_does_not_arrive_ends_the_exam(profile: Profile) -> None:
    far = ExamPlan("far", cases.ADULT, (cases.SeriesPlan(1, cases.abdomen().parameters, 2100),))
    room = Room(profile, far)
    room.gantry.start()
    assert room.play() == ["table_move did not arrive"]
    assert room.gantry.exposures == []


def test_generated_exams_run_to_their_end(profile: Profile) -> None:
    for number, exam in enumerate(generate_exams(25, scanner=reference_scanner(), seed=5), start=1):
        result = run_on_wire(profile, exam_scenario(plan_of(exam, number)))
        assert [outcome.ending for outcome in result.outcomes] == [""], exam.name
        assert result.faults == (), exam.name
        stated = sum(series.command["ctdivol_mgy"] for series in exam.series)
        assert result.dose_mgy == pytest.approx(stated, rel=0.01, abs=0.02), exam.name
        assert result.passed == result.sent


def test_a_scenario_without_end_is_an_error(profile: Profile) -> None:
    def script(_stage: Stage) -> Script:
        while True:
            yield Pause(S)

    with pytest.raises(UserError, match="did not end within 5 s"):
        run_on_wire(profile, Scenario("endless", EXAM, "", script, limit_s=5))
