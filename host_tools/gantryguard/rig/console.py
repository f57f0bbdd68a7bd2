"""A simulated console: plays exams over the link as a real one does, and tells what became of them.

Per exam: the context; then per series the parameters, the table (and the tilt, where it differs), prepare, expose, and the
wait for the end of the exposure. A refusal, an unanswered command or a table that does not arrive ends the exam.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gantryguard.profiles.profile import Profile
from gantryguard.rig.clock import MS, Clock, S
from gantryguard.rig.endpoint import Endpoint
from gantryguard.rig.plan import MOVE_MM_S, ExamPlan, SeriesPlan
from gantryguard.rig.session import Ask, Entry, Pause, Script, Session, Step, Timing, Until
from interposer.core.link import FORWARD

SILENCE_NS = 2 * S  # a gantry without a status for so long is gone
LONGEST_MOVE_NS = 120 * S
LONGEST_EXPOSURE_NS = 300 * S
ARRIVED_MM = 0.5
LEVEL_DEG = 0.1
BETWEEN_EXAMS_NS = 500 * MS

Part = Generator[Step, Any, str]  # returns "", or why the exam cannot go on


@dataclass(frozen=True)
class ExamOutcome:
    """How an exam ended. `ending` is "" for a completed one, else what ended it: a reason, or what did not happen."""

    name: str
    series_done: int
    ending: str


class SimulatedConsole:
    """Plays `exams` one after the other. Bytes from the gantry go to `endpoint.on_byte`."""

    def __init__(
        self,
        clock: Clock,
        profile: Profile,
        send: Callable[[bytes], object],
        exams: Sequence[ExamPlan],
        *,
        timing: Timing | None = None,
        first_sequence: int = 0,
    ) -> None:
        self.endpoint = Endpoint(clock, profile, FORWARD, send)
        self.session = Session(clock, self.endpoint, timing, first_sequence)
        self.outcomes: list[ExamOutcome] = []
        self._exams = exams
        self._states = profile.codes("gantry_state")

    @property
    def busy(self) -> bool:
        """Whether an exam is still being played."""
        return self.session.busy

    @property
    def transcript(self) -> list[Entry]:
        """Every command and what became of it."""
        return self.session.transcript

    def start(self) -> None:
        """Begin with the first exam."""
        self.session.start(self._play_all())

    def _play_all(self) -> Script:
        player = Player(self.session, self._states)
        for number, exam in enumerate(self._exams):
            if number:
                yield Pause(BETWEEN_EXAMS_NS)
            self.outcomes.append((yield from player.exam(exam)))


class Player:
    """The parts of a script that play exams. An `undeterred` one goes on whatever the answers are: the attacker's."""

    def __init__(self, session: Session, states: Mapping[str, int], *, undeterred: bool = False) -> None:
        self._session = session
        self._states = states
        self._undeterred = undeterred

    def exam(self, plan: ExamPlan) -> Generator[Step, Any, ExamOutcome]:
        """Play a whole exam."""
        ending = yield from self.context(plan)
        done = 0
        for series in plan.series:
            if ending and not self._undeterred:
                break
            ending = yield from self.series(series)
            done += not ending
        return ExamOutcome(plan.name, done, ending)

    def context(self, plan: ExamPlan) -> Part:
        """Announce the exam; waits for a first status where none has come yet."""
        if not self._session.status:
            alive = yield Until(lambda _status: True, SILENCE_NS)
            if not alive and not self._undeterred:
                return "the gantry is silent"
        return (yield from self.say("exam_context", plan.context))

    def series(self, series: SeriesPlan) -> Part:
        """Play one series from its parameters to the end of its exposure; a prepared gantry is not left alone."""
        ending = ""
        for part in (self._parameters, self._table, self._level, self._prepare, self.expose):
            ending = yield from part(series)
            if ending and not self._undeterred:
                if part == self.expose:
                    yield from self.say("stop", {})
                return ending
        return ending

    def say(self, command: str, fields: Mapping[str, float]) -> Part:
        """One command and its answer."""
        entry: Entry = yield Ask(command, fields)
        return "" if entry.done else entry.reason or f"no answer to {command}"

    def _parameters(self, series: SeriesPlan) -> Part:
        return self.say("scan_parameters", series.parameters)

    def _prepare(self, _series: SeriesPlan) -> Part:
        return self.say("prepare", {})

    def _table(self, series: SeriesPlan) -> Part:
        if abs(self._session.status.get("gantry_position_mm", 0.0) - series.position_mm) <= ARRIVED_MM:
            return ""
        fields = {"table_position_mm": series.position_mm, "move_speed_mm_s": MOVE_MM_S}
        near = ("gantry_position_mm", series.position_mm, ARRIVED_MM)
        return (yield from self._move("table_move", fields, near))

    def _level(self, series: SeriesPlan) -> Part:
        if abs(self._session.status.get("gantry_tilt_now_deg", 0.0) - series.tilt_deg) <= LEVEL_DEG:
            return ""
        near = ("gantry_tilt_now_deg", series.tilt_deg, LEVEL_DEG)
        return (yield from self._move("tilt", {"gantry_tilt_deg": series.tilt_deg}, near))

    def _move(self, command: str, fields: Mapping[str, float], near: tuple[str, float, float]) -> Part:
        ending = yield from self.say(command, fields)
        if ending:
            return ending
        moving = self._states["moving"]
        stands = yield Until(lambda status: status["gantry_state"] != moving, LONGEST_MOVE_NS)
        axis, target, tolerance = near
        there = stands and abs(self._session.status[axis] - target) <= tolerance
        return "" if there else f"{command} did not arrive"

    def expose(self, series: SeriesPlan) -> Part:
        """Expose, and wait for the end of the exposure."""
        ending = yield from self.say("expose", {"series": series.number})
        if ending:
            return ending
        exposing = self._states["exposing"]
        over = yield Until(lambda status: status["gantry_state"] != exposing, LONGEST_EXPOSURE_NS)
        return "" if over else "the exposure did not end"
