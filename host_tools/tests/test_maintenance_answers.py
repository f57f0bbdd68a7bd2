"""Answers of the maintenance port: one JSON line each, made in pieces so small that no frame waits for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from desk import Desk, firmware

from gantryguard.client.maintenance import Guard as Client
from gantryguard.errors import UserError
from gantryguard.profiles.profile import Profile
from interposer.core.reasons import BAD_CHECK, NONE
from interposer.service.events import EVENT_WORDS, EVENTS, VERDICT

LONGEST_PIECE = 512
LARGE = (1 << 30) - 1
LOADED = SimpleNamespace(reason=NONE, root_version=1, refusal=NONE, is_trial=False)


@pytest.fixture
def desk(ct: Profile) -> Desk:
    """A guard that has said nothing yet."""
    return Desk(ct)


def answer(desk: Desk, request: str, number: int = 0) -> Iterator[str]:
    """The pieces of one answer."""
    pieces: Iterator[str] = firmware().Status(desk.bridge, LOADED, NONE, "").answers()[request](number)
    return pieces


def whole(pieces: Iterator[str]) -> Any:
    """The answer; blanks stand between its pieces, as on the wire."""
    made = list(pieces)
    assert max(map(len, made)) <= LONGEST_PIECE
    return json.loads("   ".join(made))


def fill(desk: Desk, count: int) -> None:
    """So many events, with numbers as long as they come."""
    for index in range(count):
        desk.bridge.events.add(VERDICT, LARGE, -1, index % 3, BAD_CHECK, LARGE, -LARGE, -LARGE, LARGE)


def test_names_are_the_packages_to_the_byte(ct: Profile, desk: Desk) -> None:
    assert "".join(whole(answer(desk, "names"))).encode() == ct.package.table("names")


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, EVENTS - 3, EVENTS, 3 * EVENTS])
def test_every_kept_event_is_told_once_and_in_order(desk: Desk, count: int) -> None:
    fill(desk, count)
    told = whole(answer(desk, "events"))
    total = desk.bridge.events.total
    assert [row[0] for row in told["rows"]] == list(range(max(0, total - EVENTS), total))
    assert all(len(row) == EVENT_WORDS == len(told["columns"]) for row in told["rows"])


def test_only_what_is_new_is_told(desk: Desk) -> None:
    fill(desk, 20)
    total = desk.bridge.events.total
    assert [row[0] for row in whole(answer(desk, "events", total - 2))["rows"]] == [total - 2, total - 1]
    assert whole(answer(desk, "events", total))["rows"] == []
    assert whole(answer(desk, "events", 10**30))["rows"] == []


def test_events_that_are_overwritten_while_they_are_told_are_left_out(desk: Desk) -> None:
    fill(desk, EVENTS)
    last = desk.bridge.events.total - 1
    pieces = answer(desk, "events")
    begun = [next(pieces), next(pieces)]
    fill(desk, EVENTS // 2)
    numbers = [row[0] for row in whole(iter([*begun, *pieces]))["rows"]]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == last
    assert len(numbers) <= EVENTS // 2 + 4


def test_a_guard_without_a_package_has_neither_names_nor_events() -> None:
    status = firmware().Status(None, LOADED, NONE, "").answers()
    assert "".join(whole(status["names"](0))) == ""
    assert whole(status["events"](0))["rows"] == []


def test_a_device_with_another_protocol_is_named() -> None:
    class Old:
        """Answers as a device of another version."""

        def exchange(self, _line: bytes, _timeout_s: float) -> bytes:
            return b'{"protocol": 1}\n'

    with pytest.raises(UserError, match="another protocol"):
        Client(Old()).status()
