"""Stop-and-wait: numbers, repetitions, holds, keep-alives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rig_tools import ScriptedGantry

from gantryguard import paths
from gantryguard.profiles.profile import Profile
from gantryguard.rig.clock import MS, S
from gantryguard.rig.endpoint import Message
from gantryguard.rig.session import Ask, Entry, Pause, Raw, Script, Session, Timing, Until
from interposer.core.reasons import ALERT, NOTIFICATION

Answer = Callable[[ScriptedGantry, Message], None]


@pytest.fixture(scope="module")
def profile() -> Profile:
    """The CT profile."""
    return Profile.load(paths.MODELS / "ct")


def asks(*commands: str) -> Script:
    """A script of bare commands."""
    for command in commands:
        yield Ask(command, {})


def answered(profile: Profile, answer: Answer, timing: Timing | None = None) -> ScriptedGantry:
    """A gantry that answers everything but keep-alives by `answer`."""
    world = ScriptedGantry(profile, timing)

    def hear(message: Message) -> None:
        world.heard.append(message)
        if message.command != "keep_alive":
            answer(world, message)

    world.end.receive = hear
    return world


def yes(world: ScriptedGantry, message: Message) -> None:
    """Acknowledge a millisecond later."""
    world.clock.call_at(world.clock.now_ns + MS, lambda: world.end.say("acknowledge", message.sequence, {}) and None)


def finish(world: ScriptedGantry, script: Script, limit_ns: int = 100 * S) -> list[Entry]:
    world.session.start(script)
    assert world.clock.run_while(lambda: world.session.busy, limit_ns)
    world.session.close()
    return world.session.transcript


def test_commands_are_numbered_in_turn_and_wrap(profile: Profile) -> None:
    world = answered(profile, yes)
    world.session = Session(world.clock, world.console, first_sequence=255)
    entries = finish(world, asks("prepare", "prepare"))
    assert [entry.sequence for entry in entries] == [255, 0]
    assert [message.sequence for message in world.heard] == [255, 0]
    assert all(entry.done and entry.tries == 1 for entry in entries)


@pytest.mark.parametrize("lost", [1, 2])
def test_an_unanswered_command_is_sent_again_byte_for_byte(profile: Profile, lost: int) -> None:
    world = answered(profile, lambda w, m: yes(w, m) if len(w.heard) > lost else None)
    (entry,) = finish(world, asks("prepare"))
    assert entry.done
    assert entry.tries == lost + 1
    assert {message.frame for message in world.heard} == {world.heard[0].frame}
    assert [message.t_ns for message in world.heard] == [n * 200 * MS for n in range(lost + 1)]


def test_after_three_tries_the_console_gives_up(profile: Profile) -> None:
    world = answered(profile, lambda _w, _m: None)
    (entry,) = finish(world, asks("prepare"))
    assert (entry.outcome, entry.tries, entry.answered_ns) == ("unanswered", 3, 600 * MS)
    assert len(world.commands()) == 3


def test_a_late_answer_of_an_earlier_command_is_not_taken_for_this_one(profile: Profile) -> None:
    def wrong(world: ScriptedGantry, message: Message) -> None:
        world.end.say("acknowledge", (message.sequence - 1) & 255, {})

    (entry,) = finish(answered(profile, wrong), asks("prepare"))
    assert entry.outcome == "unanswered"


def test_a_refusal_tells_its_reason(profile: Profile) -> None:
    (entry,) = finish(
        answered(profile, lambda w, m: w.end.say("refuse", m.sequence, {"reason": ALERT}) and None), asks("prepare")
    )
    assert (entry.outcome, entry.reason, entry.tries) == ("refused", "ALERT", 1)


@pytest.mark.parametrize("final", ["acknowledge", "refuse"])
def test_a_held_command_waits_for_its_final_answer_with_keep_alives(profile: Profile, final: str) -> None:
    def hold(world: ScriptedGantry, message: Message) -> None:
        world.end.say("held", message.sequence, {"reason": NOTIFICATION})
        fields = {} if final == "acknowledge" else {"reason": ALERT}
        world.clock.call_at(world.clock.now_ns + 5 * S, lambda: world.end.say(final, message.sequence, fields) and None)

    world = answered(profile, hold)
    told: list[Entry] = []
    world.session.on_held = told.append
    (entry,) = finish(world, asks("prepare"))
    assert entry.held == "NOTIFICATION"
    assert entry.tries == 1, "a held command is not sent again"
    assert entry.outcome == ("acknowledged" if final == "acknowledge" else "refused")
    assert entry.answered_ns == 5 * S
    assert [told_of.reason for told_of in told] == ["NOTIFICATION"]
    alive = [message for message in world.heard if message.command == "keep_alive"]
    assert len(alive) in (4, 5)
    assert [message.sequence for message in alive] == list(range(1, len(alive) + 1))


def test_nobody_decides_about_a_held_command(profile: Profile) -> None:
    world = answered(profile, lambda w, m: w.end.say("held", m.sequence, {"reason": NOTIFICATION}) and None)
    (entry,) = finish(world, asks("prepare"))
    assert (entry.outcome, entry.held, entry.answered_ns) == ("unanswered", "NOTIFICATION", 60 * S)


def test_keep_alives_come_in_their_time_while_idle(profile: Profile) -> None:
    def idle() -> Script:
        yield Pause(6 * Timing().keep_alive_ns + 100 * MS)

    world = answered(profile, yes)
    finish(world, idle())
    assert [message.t_ns for message in world.heard] == [n * Timing().keep_alive_ns for n in range(1, 7)]


def test_no_keep_alive_comes_between_a_command_and_its_repetition(profile: Profile) -> None:
    world = answered(profile, lambda _w, _m: None, Timing(retry_ns=900 * MS))
    finish(world, asks("prepare"))
    assert [message.command for message in world.heard] == ["prepare"] * 3


def test_a_closed_session_is_silent(profile: Profile) -> None:
    world = answered(profile, yes)
    finish(world, asks("prepare"))
    heard = len(world.heard)
    world.clock.run_for(10 * S)
    assert len(world.heard) == heard


def test_until_sees_only_what_came_after_it_began(profile: Profile) -> None:
    seen: list[bool] = []

    def script() -> Script:
        seen.append((yield Until(lambda status: status["gantry_state"] == 2, S)))
        seen.append((yield Until(lambda status: status["gantry_state"] == 2, S)))

    world = answered(profile, yes)
    world.clock.call_at(100 * MS, lambda: world.end.say("status", 0, {"gantry_state": 2}) and None)
    finish(world, script())
    assert seen == [True, False]
    assert world.clock.now_ns == 1100 * MS


def test_crafted_bytes_take_the_numbers_that_are_due(profile: Profile) -> None:
    def script() -> Script:
        yield Ask("prepare", {})
        yield Raw(lambda number: world.console.writer.build("stop", number(), {}))
        yield Ask("prepare", {})

    world = answered(profile, yes)
    entries = finish(world, script())
    assert [message.sequence for message in world.heard] == [0, 1, 2]
    assert [entry.outcome for entry in entries] == ["acknowledged", "sent", "acknowledged"]
