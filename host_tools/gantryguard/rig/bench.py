"""Plays a scenario on a bench: console on one side, gantry and phantom on the other, a wire or a guard between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from gantryguard.errors import UserError
from gantryguard.profiles.profile import Profile
from gantryguard.rig.cable import Line
from gantryguard.rig.clock import MS, Clock, S
from gantryguard.rig.console import ExamOutcome, Player
from gantryguard.rig.endpoint import Commands, Endpoint
from gantryguard.rig.gantry import EXPOSING, SimulatedGantry
from gantryguard.rig.result import Happening, RunResult, counted, messages_in, reasons_of
from gantryguard.rig.scenario import ATTACK, Scenario, Stage
from gantryguard.rig.session import Entry, Session
from gantryguard.rig.trust import TRUSTING, Trust
from interposer.core.link import BACKWARD, FORWARD

QUIET_NS = 300 * MS  # after the last exposure: replies and the relay come to rest
LONGEST_EXPOSURE_S = 300


class Bench(Protocol):
    """What joins the two ends. Lines are named from the guard: `_in` run towards it, `_out` away from it.

    On a plain wire `console_in` is `gantry_out`, and `gantry_in` is `console_out`.
    """

    @property
    def clock(self) -> Clock: ...
    @property
    def console_in(self) -> Line: ...
    @property
    def console_out(self) -> Line: ...
    @property
    def gantry_in(self) -> Line: ...
    @property
    def gantry_out(self) -> Line: ...
    def press(self, key: str) -> None: ...
    def release(self, key: str) -> None: ...
    def run_for(self, duration_ns: int) -> None: ...
    def run_while(self, wanted: Callable[[], bool], limit_ns: int) -> bool: ...


def play(
    bench: Bench,
    profile: Profile,
    scenario: Scenario,
    *,
    trust: Trust = TRUSTING,
    happenings: Callable[[], Sequence[Happening]] = tuple,
) -> RunResult:
    """Play a scenario to its end. `happenings` gives what the bench itself recorded. UserError (exit 8) if it never ends."""
    clock = bench.clock
    gantry = SimulatedGantry(clock, profile, bench.gantry_in.send, trust=trust)
    console = Endpoint(clock, profile, FORWARD, bench.console_in.send)
    bench.gantry_out.deliver = gantry.endpoint.on_byte
    bench.console_out.deliver = console.on_byte
    session = Session(clock, console, scenario.timing, scenario.first_sequence)
    _wire_keys(bench, session, scenario)
    player = Player(session, profile.codes("gantry_state"), undeterred=scenario.kind == ATTACK)
    outcomes: list[ExamOutcome] = []
    gantry.start()
    session.start(scenario.script(Stage(profile, session, player, Commands(profile, FORWARD), outcomes)))
    ended = bench.run_while(lambda: session.busy, scenario.limit_s * S)
    bench.run_while(lambda: gantry.state == EXPOSING, LONGEST_EXPOSURE_S * S)
    session.close()
    bench.run_for(QUIET_NS)
    gantry.close()
    if not ended:
        message = f"The run {scenario.name!r} did not end within {scenario.limit_s} s of simulated time."
        raise UserError(message, remedy="Raise the scenario's limit or look at its transcript.", exit_code=8)
    return _result(bench, profile, scenario, gantry, session, outcomes, happenings())


def _wire_keys(bench: Bench, session: Session, scenario: Scenario) -> None:
    def on_held(_entry: Entry) -> None:
        now_ns = bench.clock.now_ns
        for press in scenario.keys:
            down_ns = now_ns + press.after_ms * MS
            bench.clock.call_at(down_ns, partial(bench.press, press.key))
            bench.clock.call_at(down_ns + press.for_ms * MS, partial(bench.release, press.key))

    session.on_held = on_held


def _result(
    bench: Bench,
    profile: Profile,
    scenario: Scenario,
    gantry: SimulatedGantry,
    session: Session,
    outcomes: Sequence[ExamOutcome],
    happenings: Sequence[Happening],
) -> RunResult:
    forward, backward = Commands(profile, FORWARD, any_value=True), Commands(profile, BACKWARD)
    lines = (
        ("console>", bench.console_in, forward),
        (">gantry", bench.gantry_out, forward),
        ("gantry>", bench.gantry_in, backward),
        (">console", bench.console_out, backward),
    )
    heard = {kind: messages_in(line.arrivals, commands) for kind, line, commands in lines}
    sent, passed = counted(heard["console>"]), counted(heard[">gantry"])
    timeline = list(happenings)
    for kind, messages in heard.items():
        timeline += [Happening(m.t_ns, kind, f"{m.command} {m.frame.hex()}".strip()) for m in messages]
    return RunResult(
        name=scenario.name,
        kind=scenario.kind,
        sent=len(sent),
        passed=len(passed),
        held=sum(bool(entry.held) for entry in session.transcript),
        blocked=len(sent) - len(passed),
        reasons=reasons_of(heard["console>"], heard[">console"]),
        dose_mgy=gantry.phantom.ctdivol_mgy,
        dlp_mgycm=gantry.phantom.dlp_mgycm,
        peak_mgy=gantry.phantom.peak_mgy,
        stop_delivered=passed.count("stop") == sent.count("stop") if "stop" in sent else None,
        exposures=tuple(gantry.exposures),
        faults=tuple(gantry.mechanical_faults),
        outcomes=tuple(outcomes),
        transcript=tuple(session.transcript),
        timeline=tuple(sorted(timeline, key=lambda event: event.t_ns)),
    )
