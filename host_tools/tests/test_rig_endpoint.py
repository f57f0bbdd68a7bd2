"""The link's ends: frames from named values and back, and what becomes of broken ones."""

from __future__ import annotations

import pytest

from gantryguard import paths
from gantryguard.profiles.profile import Profile
from gantryguard.rig import cases
from gantryguard.rig.cable import FRAMING
from gantryguard.rig.clock import MS, EventClock
from gantryguard.rig.endpoint import Commands, Endpoint, Message
from interposer.core.link import FORWARD
from interposer.core.reasons import BAD_FIELD, NONE, UNKNOWN_COMMAND


@pytest.fixture(scope="module")
def profile() -> Profile:
    """The CT profile."""
    return Profile.load(paths.MODELS / "ct")


class Ear:
    """A gantry's end that only listens."""

    def __init__(self, profile: Profile) -> None:
        self.clock = EventClock()
        self.heard: list[Message] = []
        self.end = Endpoint(self.clock, profile, 1, lambda _data: None, receive=self.heard.append)

    def hear(self, data: bytes, flags: int = 0) -> list[str]:
        for byte in data:
            self.end.on_byte(byte, flags)
        return [message.command for message in self.heard]


def test_fields_survive_the_wire(profile: Profile) -> None:
    commands = Commands(profile, FORWARD)
    parameters = cases.abdomen().parameters
    message = commands.read(commands.build("scan_parameters", 200, parameters), 5)
    assert (message.command, message.sequence, message.reason, message.t_ns) == ("scan_parameters", 200, NONE, 5)
    assert dict(message.fields) == pytest.approx(dict(parameters), abs=0.011)


def test_fields_that_are_not_given_are_unknown(profile: Profile) -> None:
    commands = Commands(profile, FORWARD)
    message = commands.read(commands.build("exam_context", 0, {"exam_number": 3, "objective": 1}), 0)
    assert message.fields["exam_number"] == 3
    assert message.fields["weight_kg"] != message.fields["weight_kg"]


def test_a_command_takes_only_its_own_fields(profile: Profile) -> None:
    with pytest.raises(KeyError, match="expose has no field kvp"):
        Commands(profile, FORWARD).build("expose", 0, {"kvp": 120})


def test_a_value_out_of_its_range_is_only_read_by_who_does_not_check(profile: Profile) -> None:
    frame = Commands(profile, FORWARD).build("scan_parameters", 0, dict(cases.abdomen().parameters) | {"ma": 60000})
    assert Commands(profile, FORWARD).read(frame, 0).reason == BAD_FIELD
    assert Commands(profile, FORWARD, any_value=True).read(frame, 0).fields["ma"] == 60000


def test_an_unknown_opcode_is_told_as_such(profile: Profile) -> None:
    frame = bytearray(Commands(profile, FORWARD).build("prepare", 0, {}))
    frame[4] = 0x7E
    assert Commands(profile, FORWARD).read(bytes(frame), 0).reason == UNKNOWN_COMMAND


def test_frames_are_found_between_rubbish(profile: Profile) -> None:
    writer = Commands(profile, FORWARD)
    ear = Ear(profile)
    data = b"\x00\xa5\x01" + writer.build("prepare", 1, {}) + b"\xa5" + writer.build("stop", 2, {})
    assert ear.hear(data) == ["prepare", "stop"]


def test_a_frame_hidden_in_a_broken_off_one_is_found_after_the_gap(profile: Profile) -> None:
    writer = Commands(profile, FORWARD)
    ear = Ear(profile)
    assert ear.hear(b"\xa5\x5a\x20" + writer.build("stop", 2, {})) == []
    ear.clock.run_for(19 * MS)
    assert ear.heard == []
    ear.clock.run_for(2 * MS)
    assert [message.command for message in ear.heard] == ["stop"]


def test_a_slow_frame_is_given_up_and_the_next_one_heard(profile: Profile) -> None:
    frame = Commands(profile, FORWARD).build("stop", 2, {})
    ear = Ear(profile)
    ear.hear(frame[:4])
    ear.clock.run_for(25 * MS)
    assert ear.hear(frame[4:]) == []
    assert ear.hear(frame) == ["stop"]


def test_bytes_with_an_error_flag_are_lost(profile: Profile) -> None:
    frame = Commands(profile, FORWARD).build("stop", 2, {})
    assert Ear(profile).hear(frame, FRAMING) == []
    assert Ear(profile).hear(frame) == ["stop"]
