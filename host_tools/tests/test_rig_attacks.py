"""The demo's attacks: each does harm on the plain wire, none does through the guard."""

from __future__ import annotations

import pickle
from functools import cache

import pytest
from desk_bench import DeskBench

from gantryguard import paths
from gantryguard.errors import UserError
from gantryguard.profiles.profile import Profile
from gantryguard.reasons import TEXTS
from gantryguard.rig import cases
from gantryguard.rig.attacks import SLABS, attacks, justified_exception
from gantryguard.rig.bench import play
from gantryguard.rig.clock import MS, S
from gantryguard.rig.guarded import run_guarded
from gantryguard.rig.hostile import EXPOSURES, KEEP_ALIVES, record
from gantryguard.rig.plan import ExamPlan
from gantryguard.rig.result import RunResult
from gantryguard.rig.scenario import ATTACK, EXAM, Press, Scenario, exam_scenario
from gantryguard.rig.trace import CONTACT
from gantryguard.rig.trust import Trust
from gantryguard.rig.wire import run_on_wire

ATTACKS = {attack.name: attack for attack in attacks()}
# What reaches the phantom of a plain wire, CTDIvol in mGy, and how many mechanical faults there are.
HARM = {
    "eight-fold perfusion": (8 * 173.6, 0),
    "adult technique on a child": (12.25, 0),
    "151 slabs": (151 * 24.0, 0),
    "tilt beyond its stop": (49.5, 1),
    "table beyond its stop": (0, 2),
    "no such kVp": (30.3, 0),
    "replay": (12.25, 0),
    "no prepare": (12.25, 0),
    "nested frames": (12.25, 0),
    "flood": (5 * 24.0, 0),
    "stop while blocked": (173.6 / 10, 0),
}


@pytest.fixture(scope="module")
def profile() -> Profile:
    """The CT profile without its networks: the attacks are for the limits."""
    return Profile.load(paths.MODELS / "ct")


def guarded(profile: Profile, scenario: Scenario) -> RunResult:
    return run_guarded(lambda: DeskBench(profile), profile, scenario)


class Played:
    """Every attack once on the wire and once through the guard, played when it is first asked for."""

    def __init__(self, profile: Profile) -> None:
        self.on_wire = cache(lambda name: run_on_wire(profile, ATTACKS[name]))
        self.through = cache(lambda name: guarded(profile, ATTACKS[name]))


@pytest.fixture(scope="module")
def played(profile: Profile) -> Played:
    """The attacks' runs, shared by the tests that only look at them."""
    return Played(profile)


def test_the_list_is_complete() -> None:
    assert set(ATTACKS) == set(HARM)
    assert all(attack.kind == ATTACK and attack.story for attack in ATTACKS.values())


@pytest.mark.parametrize("name", HARM)
def test_an_attack_does_harm_on_the_plain_wire(played: Played, name: str) -> None:
    dose_mgy, faults = HARM[name]
    result = played.on_wire(name)
    assert result.dose_mgy == pytest.approx(dose_mgy, rel=0.01)
    assert len(result.faults) == faults
    assert result.dose_mgy > 0 or result.faults
    assert (result.blocked, result.held) == (0, 0)


@pytest.mark.parametrize("name", HARM)
def test_an_attack_does_none_through_the_guard(played: Played, name: str) -> None:
    result = played.through(name)
    assert result.dose_mgy == pytest.approx(0.0, abs=0.01)
    assert result.faults == ()
    assert result.blocked > 0
    assert result.reasons
    assert set(result.reasons) <= {name for name, _text in TEXTS.values()}


def test_what_stops_each_attack(played: Played) -> None:
    first = {name: set(played.through(name).reasons) for name in ATTACKS}
    assert "ALERT" in first["eight-fold perfusion"]
    assert "ABNORMAL_FOR_CONTEXT" in first["adult technique on a child"]
    assert "ABNORMAL_FOR_CONTEXT" in first["151 slabs"]  # even the first: no child's head is scanned as one slab
    assert "ENVELOPE" in first["tilt beyond its stop"]
    assert first["table beyond its stop"] & {"RANGE", "ENVELOPE"}
    assert "ENVELOPE" in first["no such kVp"]
    assert first["replay"] == {"STALE"}
    assert first["no prepare"] == {"OUT_OF_SEQUENCE"}
    assert first["nested frames"] == {"WRONG_LENGTH", "OUT_OF_SEQUENCE"}
    assert "RATE" in first["flood"]


def test_a_stop_passes_a_block(played: Played) -> None:
    result, on_wire = played.through("stop while blocked"), played.on_wire("stop while blocked")
    assert result.stop_delivered
    assert result.transcript[-1].command == "stop"
    assert result.transcript[-1].done
    contact = [event.what for event in result.timeline if event.kind == CONTACT]
    assert contact[:1] == ["0"], "the block opened the relay before"
    assert on_wire.stop_delivered
    assert 0 < on_wire.exposures[0].fraction < 0.2


def test_a_run_without_a_stop_says_so(played: Played) -> None:
    assert played.on_wire("no prepare").stop_delivered is None


def test_the_151_slabs_are_all_well_formed(played: Played) -> None:
    result = played.on_wire("151 slabs")
    assert len(result.exposures) == SLABS
    assert result.peak_mgy == pytest.approx(SLABS * 24.0, rel=0.01)
    assert all(entry.done for entry in result.transcript)


def test_the_flood_is_one_of_thousands_of_frames_in_two_seconds(played: Played) -> None:
    result = played.on_wire("flood")
    times = [event.t_ns for event in result.timeline if event.kind == "console>"]
    start_ns = next(entry.t_ns for entry in result.transcript if entry.outcome == "sent")
    within = [t_ns for t_ns in times if start_ns <= t_ns <= start_ns + 2 * S]
    assert len(within) > 2500
    assert len(times) >= KEEP_ALIVES + EXPOSURES


def test_a_replay_fails_where_numbers_are_checked(profile: Profile) -> None:
    result = run_on_wire(profile, ATTACKS["replay"], trust=Trust(old_numbers=False))
    assert result.dose_mgy == 0
    assert set(result.reasons) == {"GANTRY_OLD_NUMBER"}


def test_a_recording_holds_the_frames_as_they_were(profile: Profile) -> None:
    plan = ExamPlan("recorded", cases.ADULT, (cases.abdomen(),))
    frames = record(profile, plan)
    assert [frame[4] for _t_ns, frame in frames] == [0x11, 0x20, 0x30, 0x31]
    assert [t_ns for t_ns, _frame in frames] == sorted(t_ns for t_ns, _frame in frames)


def test_the_justified_exception_is_held_and_let_through(profile: Profile) -> None:
    scenario = justified_exception()
    result, on_wire = guarded(profile, scenario), run_on_wire(profile, scenario)
    assert result.kind == EXAM
    assert (result.held, result.blocked) == (1, 0)
    assert result.reasons == {"NOTIFICATION": 1}
    assert [outcome.ending for outcome in result.outcomes] == [""]
    assert result.dose_mgy == pytest.approx(on_wire.dose_mgy)
    assert result.dose_mgy > 50
    held = next(entry for entry in result.transcript if entry.held)
    assert 1900 * MS < held.answered_ns - held.t_ns < 2200 * MS, "1.5 s until the key, half a second of pressing"


@pytest.mark.parametrize(
    ("keys", "ending"),
    [
        ((), "HOLD_TIMEOUT"),
        ((Press("override", 1500, 300),), "HOLD_TIMEOUT"),
        ((Press("cancel", 1500, 800),), "CANCELLED"),
    ],
)
def test_without_a_full_press_the_exception_is_refused(profile: Profile, keys: tuple[Press, ...], ending: str) -> None:
    series = cases.abdomen(kvp=140, ma=560, rotation_s=0.8, pitch=0.8, scan_length_mm=460)
    result = guarded(profile, exam_scenario(ExamPlan("obese", cases.VERY_OBESE, (series,)), keys=keys))
    assert [outcome.ending for outcome in result.outcomes] == [ending]
    assert result.dose_mgy == 0
    assert (result.held, result.passed, result.blocked) == (1, 1, 1)


@pytest.mark.parametrize("name", ["151 slabs", "nested frames", "replay"])
def test_equal_runs_are_equal_to_the_byte(profile: Profile, played: Played, name: str) -> None:
    attack = ATTACKS[name]
    first, second = played.on_wire(name), run_on_wire(profile, attack)
    assert first.digest() == second.digest()
    assert repr(first.transcript).encode() == repr(second.transcript).encode()
    through, again = played.through(name), guarded(profile, attack)
    assert through.digest() == again.digest() != first.digest()


def test_a_result_can_be_handed_to_another_process(played: Played) -> None:
    result = played.on_wire("no prepare")
    assert pickle.loads(pickle.dumps(result)).digest() == result.digest()
    assert set(result.summary()) == {"passed", "held", "blocked", "dose_mgy", "stop_delivered"}


def test_a_guard_that_does_not_start_is_an_error(profile: Profile) -> None:
    def dead() -> DeskBench:
        bench = DeskBench(profile)
        bench.relay.closed = False
        bench.run_while = lambda _wanted, _limit_ns: False  # type: ignore[method-assign]  # never wakes up
        return bench

    with pytest.raises(UserError, match="did not close its relay"):
        run_guarded(dead, profile, ATTACKS["no prepare"])


def test_an_honest_exam_gets_through_unchanged(profile: Profile) -> None:
    scenario = exam_scenario(ExamPlan("routine", cases.ADULT, (cases.abdomen(),)))
    bench = DeskBench(profile)
    bench.run_for(100 * MS)
    result = play(bench, profile, scenario)
    assert (result.held, result.blocked, result.reasons) == (0, 0, {})
    assert result.passed == result.sent == 5
    sent = [event.what for event in result.timeline if event.kind == "console>"]
    assert [event.what for event in result.timeline if event.kind == ">gantry"] == sent
