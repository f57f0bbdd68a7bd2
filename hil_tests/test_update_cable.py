"""Updates over a cable that breaks, from a host that errs, and how long one takes."""

from __future__ import annotations

import pytest
from guard import Guard
from updates import bare, digest_of, push, pushing, signed, untouched, works

from gantryguard.profiles.profile import Profile
from gantryguard.rig.clock import MS, S
from interposer.core import reasons

pytestmark = pytest.mark.forked


def test_a_broken_cable_costs_one_piece(small: Guard) -> None:
    """The answer is lost and so is the rest of the piece: asked again, the device says where to go on."""
    blob = signed(bare(small.profile))
    update = pushing(small, blob)
    at = update._begin()
    assert at == 0
    assert update._piece(0)["at"] == 4096
    small.pico.maintenance.send(f"update data 4096 {len(blob) - 4096} 1234\n".encode() + blob[4096:4196])
    small.pico.run_for(2 * S)
    assert update._begin() == 4096
    update.send()
    update.install()
    works(small)
    assert small.ask("status")["package_counter"] == 2


def test_bytes_that_were_changed_on_their_way_are_asked_for_again(small: Guard) -> None:
    blob = signed(bare(small.profile))
    update = pushing(small, blob)
    update._begin()
    small.pico.maintenance.send(b"update data 0 64 1\n" + bytes(64))
    small.pico.run_for(500 * MS)
    assert b'"error": %d' % reasons.UPDATE_GARBLED in small.pico.maintenance.data.split(b"\n")[-2]
    update.send()
    update.install()
    works(small)


def test_a_host_that_falls_silent_is_given_up(small: Guard) -> None:
    before = digest_of(small)
    assert small.ask("update begin 5000 0011223344556677")["error"] == 0
    small.pico.run_for(31 * S)
    assert small.pico.relay.closed
    untouched(small, before)
    assert small.ask("status")["refusal"] == reasons.UPDATE_SILENT


def test_a_step_out_of_order_is_refused(small: Guard) -> None:
    before = digest_of(small)
    for words in ("data 0 64 1", "end", "install", "confirm 00112233", "nonsense", "begin", "begin x y", "data 1 2", "end now"):
        assert small.ask(f"update {words}")["error"] == reasons.UPDATE_ORDER, words
    untouched(small, before)


def test_a_real_package_is_pushed_in_three_seconds(guard: Guard, ct: Profile) -> None:
    """From the first request to the confirmation, simulated: the CT profile's package."""
    begin = guard.pico.now_ns
    push(guard, signed(bare(ct)))
    took_ms = (guard.pico.now_ns - begin) / MS
    print(f"pushed, verified, tried and confirmed in {took_ms:.0f} ms")
    assert guard.ask("status")["package_counter"] == 2
    assert took_ms <= 3000
