"""What is worked out while a frame still comes changes no verdict, whatever comes of the frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ct_exam
from hypothesis import given, settings
from hypothesis import strategies as st
from profile_bench import CONTEXT, Desk, ct, stated

from interposer.core.ahead import A_COUNT, A_TOUCHED, AHEAD_WORDS, split
from interposer.core.codec import C_FIELD, C_FIELDS, C_LATCH, C_LATCHES, C_ROW, C_ROWS, COMMAND_WORDS, FIELD_WORDS
from interposer.core.exam import BEGUN, OTHER, X_AHEAD, X_KEPT, X_TRIAL
from interposer.core.link import F_OPCODE_AT
from interposer.core.package import LATCH_WORDS
from interposer.core.pipeline import R_COMMAND, begin
from interposer.core.quantities import ROW_WORDS, evaluate
from interposer.core.reasons import PASS

Step = tuple[str, Mapping[str, Any]]
TECHNIQUES = (ct_exam.LOCALISER, ct_exam.HEAD, ct_exam.PERFUSION, ct_exam.ABDOMEN, ct_exam.ABDOMEN | {"ma": 240, "pitch": 0.8})
COMMANDS: list[Step] = [("scan_parameters", stated(ct(), technique)) for technique in TECHNIQUES]
COMMANDS += [("table_move", ct_exam.MOVE | {"table_position_mm": position}) for position in (300, 500)]
COMMANDS += [("exam_context", CONTEXT), ("exam_context", CONTEXT | ct_exam.CHILD), ("prepare", {}), ("expose", {"series": 1})]
COMMANDS += [("keep_alive", {}), ("stop", {})]
AT_REST = {"gantry_tilt_now_deg": 0, "gantry_dose_mgy": 5}
REPLIES: list[Step] = [("status", AT_REST | {"gantry_position_mm": position}) for position in (300, 500)]
REPLIES += [("refuse", {"reason": 128}), ("status", AT_REST | {"gantry_position_mm": 900, "table_moving": 7})]


WAYS = ("let through", "refused", "spoiled")
READY: list[tuple[str, Step]] = [("let through", ("exam_context", CONTEXT)), ("reply", REPLIES[0])]


@dataclass
class Fresh(Desk):
    """A desk that begins every judgement from what was let through, whatever is left of others."""

    def send(self, command: str, values: Mapping[str, Any] | None = None, *, accept: bool = True) -> int:
        self._forget()
        return super().send(command, values, accept=accept)

    def follow(self, frame: bytes) -> None:
        """Hear the gantry."""
        self._forget()
        self.judge.follow(frame, len(frame))

    def _forget(self) -> None:
        self.judge.exam.session[X_TRIAL] = OTHER
        self.judge.exam.session[X_AHEAD] = -1


@dataclass
class Hasty(Desk):
    """A desk that begins with every frame before it is complete."""

    def begin(self, command: str, values: Mapping[str, Any]) -> None:
        """As the guard does while the frame comes: what follows the command is not there yet. It begins with one frame only."""
        if self.judge.exam.session[X_TRIAL] >= BEGUN:
            return
        frame = self.profile.encode(command, 0, values)
        head = self.judge.forward.framing[F_OPCODE_AT] + 1
        begin(self.judge.block, evaluate, frame[:head] + bytes(len(frame) - head))

    def send(self, command: str, values: Mapping[str, Any] | None = None, *, accept: bool = True) -> int:
        self.begin(command, values or {})
        return super().send(command, values, accept=accept)

    def follow(self, frame: bytes) -> None:
        """Hear the gantry."""
        self.judge.follow(frame, len(frame))


def rows_of(command: int) -> list[tuple[int, list[int]]]:
    """The rows of a command, each with the slot that it writes and those that it reads."""
    rows, commands = ct().package.table("rows"), ct().package.table("commands")
    at, found = commands[command * COMMAND_WORDS + C_ROW], []
    for _ in range(commands[command * COMMAND_WORDS + C_ROWS]):
        end = at + ROW_WORDS + 2 * rows[at + 6]
        found.append((rows[at + 1], list(rows[at + ROW_WORDS : end : 2])))
        at = end
    return found


def judged_values(desk: Desk) -> list[int]:
    """What the last command was judged by: everything that was let through before, its fields, what its rows say."""
    exam, command = desk.judge.exam, desk.judge.result[R_COMMAND]
    written = [slot for slot, _ in rows_of(command)]
    return [exam.trial[slot] for slot in [*range(exam.session[X_KEPT]), *written]]


def test_rows_ahead_read_nothing_of_the_frame_and_the_next_one_does() -> None:
    commands, fields = ct().package.table("commands"), ct().package.table("fields")
    ahead = split(ct().package.table)
    assert len(ahead) == AHEAD_WORDS * (len(commands) // COMMAND_WORDS)
    assert max(ahead[A_COUNT::AHEAD_WORDS]) > 0
    for command in range(len(commands) // COMMAND_WORDS):
        first = commands[command * COMMAND_WORDS + C_FIELD]
        count = commands[command * COMMAND_WORDS + C_FIELDS]
        told = {fields[field * FIELD_WORDS + 2] for field in range(first, first + count)}
        read = [bool(told.intersection(slots)) for _, slots in rows_of(command)]
        done = ahead[command * AHEAD_WORDS + A_COUNT]
        assert not any(read[:done])
        assert done == len(read) or read[done]


def test_rows_ahead_stand_until_a_command_writes_what_they_read() -> None:
    """Worked out for one scan, they serve the next, whatever the gantry tells; not after another patient's context."""
    desk, scan = Hasty(ct()), ct().command("scan_parameters")
    parameters = stated(ct(), ct_exam.ABDOMEN)
    session = desk.judge.exam.session

    def send(name: str, values: Mapping[str, Any]) -> int:
        return desk.send(name, values, accept=True)

    assert send("exam_context", CONTEXT) == PASS
    assert session[X_AHEAD] != scan
    assert send("scan_parameters", parameters) == PASS
    desk.follow(ct().encode("status", 1, AT_REST | {"gantry_position_mm": 700}))
    assert send("keep_alive", {}) == PASS
    assert session[X_AHEAD] == scan
    assert send("exam_context", CONTEXT | {"exam_number": 101, "weight_kg": 60}) == PASS
    assert session[X_AHEAD] != scan
    send("scan_parameters", parameters)
    assert session[X_AHEAD] == scan
    desk.judge.exam.start_trial()
    assert session[X_AHEAD] == -1


def test_which_commands_touch_rows_ahead_follows_from_the_tables() -> None:
    commands, fields, latches = (ct().package.table(name) for name in ("commands", "fields", "latches"))
    ahead, number = split(ct().package.table), len(commands) // COMMAND_WORDS
    for command in range(number):
        done = ahead[command * AHEAD_WORDS + A_COUNT]
        read = {slot for _, slots in rows_of(command)[:done] for slot in slots}
        for other in range(number):
            at = other * COMMAND_WORDS
            told = range(commands[at + C_FIELD], commands[at + C_FIELD] + commands[at + C_FIELDS])
            kept = range(commands[at + C_LATCH], commands[at + C_LATCH] + commands[at + C_LATCHES])
            written = {fields[field * FIELD_WORDS + 2] for field in told} | {latches[latch * LATCH_WORDS] for latch in kept}
            assert ahead[command * AHEAD_WORDS + A_TOUCHED] >> other & 1 == bool(written & read)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(WAYS), st.sampled_from(COMMANDS)) | st.tuples(st.just("reply"), st.sampled_from(REPLIES)),
        min_size=4,
    )
)
def test_what_was_begun_changes_no_verdict(steps: list[tuple[str, Step]]) -> None:
    """Frames that are let through, such that are not, such that came spoiled after their beginning, and replies in between."""
    desks = (fresh := Fresh(ct()), hasty := Hasty(ct()))
    for way, (name, values) in [*READY, *steps]:
        if way == "spoiled":
            hasty.begin(name, values)
        elif way == "reply":
            for desk in desks:
                desk.follow(ct().encode(name, desk.sequence, values))
        else:
            verdicts = [desk.send(name, values, accept=way == "let through") for desk in desks]
            assert verdicts[0] == verdicts[1]
            assert list(fresh.judge.result) == list(hasty.judge.result)
            if verdicts[0] == PASS:
                assert judged_values(fresh) == judged_values(hasty)
        assert list(fresh.judge.exam.values) == list(hasty.judge.exam.values)
